"""Writes the event log of every session to a folder, without ever keeping a session waiting.

The session's thread only encodes lines. One thread of the process compresses and writes them; when it cannot, or cannot
keep up, the recording stops with a line in the server's log and the session goes on.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from talkover.realtime.actions import Action
from talkover.realtime.event_log import came_out, ended, entered, header
from talkover.realtime.session import Happened
from talkover.realtime.session_options import SessionOptions

log = logging.getLogger(__name__)

MAX_WAITING = 512
"""buffers of all sessions together that may wait to be written"""
BUFFER_BYTES = 64 << 10
BUFFER_S = 1.0
"""older lines than this are handed over to be written: so much is lost when the process is killed"""
CLOSE_TIMEOUT_S = 2.0
"""for what still waits when the server ends"""


class EventLogs:
    """The recordings of one server; called with a session it makes one, as a `MakeObserver`."""

    def __init__(self, folder: Path, max_bytes: int, with_audio: bool = False) -> None:
        """`max_bytes`: of one session, before compression. Raises OSError when there can be no such folder."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._with_audio = with_audio
        self._waiting: queue.Queue[tuple[_LogFile, bytes | None] | None] = queue.Queue(MAX_WAITING)
        self._open = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write, name="event-log", daemon=True)
        self._thread.start()

    def __call__(self, session_id: str, options: SessionOptions) -> SessionRecorder:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{session_id}.jsonl.gz"
        file = _LogFile(self._folder / name, session_id)
        with self._changed:
            self._open += 1
        return SessionRecorder(session_id, options, file, self._waiting, self._max_bytes, self._with_audio)

    def close(self) -> None:
        """Write what waits and what sessions say at their end; for each not longer than `CLOSE_TIMEOUT_S`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open, CLOSE_TIMEOUT_S)
        try:
            self._waiting.put(None, timeout=CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_TIMEOUT_S)

    def _write(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            file, data = waiting
            if data is not None:
                file.write(data)
                continue
            file.close()
            with self._changed:
                self._open -= 1
                self._changed.notify_all()


class _LogFile:
    """One gzip file, opened with the first write and readable by its owner only: it holds what was said.

    All of it in the writing thread but `failed`.
    """

    def __init__(self, path: Path, session_id: str) -> None:
        self.failed = False
        self._path = path
        self._session_id = session_id
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Whole lines, readable at once: a reader may come before the end, or there may be none."""
        self._do(self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH))

    def close(self) -> None:
        self._do(self._compressor.flush(zlib.Z_FINISH), last=True)

    def _do(self, packed: bytes, last: bool = False) -> None:
        if self.failed:
            return
        try:
            self._file = self._file or os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
            self._file.write(packed)
            self._file.flush()
            if last:
                self._file.close()
        except OSError as error:
            self.failed = True
            if self._file is not None:
                with suppress(OSError):
                    self._file.close()
            log.warning("session %s: its events are recorded no further: %s", self._session_id, error)


class SessionRecorder:
    """Encodes one session's events; an observer that is also told what was decided within."""

    def __init__(
        self,
        session_id: str,
        options: SessionOptions,
        file: _LogFile,
        waiting: queue.Queue[tuple[_LogFile, bytes | None] | None],
        max_bytes: int,
        with_audio: bool,
    ) -> None:
        self._session_id = session_id
        self._file = file
        self._waiting = waiting
        self._left_bytes = max_bytes
        self._with_audio = with_audio
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._buffer_since_s: float | None = None
        self._stopped = False
        self._add(header(session_id, options, with_audio))

    def happened(self, what: Happened, now_s: float) -> None:
        if self._stopped:
            return
        if self._buffer_since_s is None:
            self._buffer_since_s = now_s
        try:
            line = entered(what, now_s, self._with_audio)
        except (TypeError, ValueError, NotImplementedError) as error:
            self._stop(f"{type(what).__name__} cannot be recorded: {type(error).__name__}")
            return
        self._add(line)

    def decided_within(self, line: bytes) -> None:
        if not self._stopped:
            self._add(line)

    def decided(self, actions: Sequence[Action], now_s: float) -> None:
        if self._stopped:
            return
        if actions:
            try:
                line = came_out(actions)
            except (TypeError, ValueError, NotImplementedError) as error:
                self._stop(f"an action cannot be recorded: {type(error).__name__}")
                return
            self._add(line)
        is_old = self._buffer_since_s is not None and now_s - self._buffer_since_s >= BUFFER_S
        if is_old or self._buffer_bytes >= BUFFER_BYTES:
            self._hand_over()

    def closed(self) -> None:
        if not self._stopped:
            self._finish("closed", is_whole=True)

    def _add(self, line: bytes) -> None:
        self._left_bytes -= len(line) + 1
        if self._left_bytes < 0:
            self._stop("the file has reached event_log.max_mib")
            return
        self._buffer += (line, b"\n")
        self._buffer_bytes += len(line) + 1

    def _stop(self, reason: str) -> None:
        log.warning("session %s: its events are recorded no further: %s", self._session_id, reason)
        self._finish(reason, is_whole=False)

    def _finish(self, reason: str, is_whole: bool) -> None:
        self._buffer += (ended(reason, is_whole), b"\n")
        self._hand_over()
        self._put(None)
        self._stopped = True
        self._buffer.clear()

    def _hand_over(self) -> None:
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._buffer_bytes, self._buffer_since_s = 0, None
        self._put(data)

    def _put(self, data: bytes | None) -> None:
        if self._stopped:
            return
        if self._file.failed:
            self._stopped, data = True, None
        try:
            self._waiting.put_nowait((self._file, data))
        except queue.Full:
            self._stopped = True
            log.warning("session %s: its events are recorded no further: the disk is too slow", self._session_id)
