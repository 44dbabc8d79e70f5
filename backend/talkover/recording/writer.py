"""The thread that records calls: sessions hand over what they see, and it decodes, encodes and writes.

Nothing of a call waits for it. What it cannot take or write ends the recording of that call, with one line in the log,
the reason in its transcript and a count in the metrics; the call goes on, and so do the recordings of others.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import soundfile

from talkover.messages import SourcesFound, Transcript
from talkover.metrics import Metrics
from talkover.realtime.actions import Action, Heard, Record, Send, Voiced
from talkover.realtime.session import Happened
from talkover.realtime.session_options import SessionOptions
from talkover.recording.call import CallRecording, TooFarAhead
from talkover.recording.folder import RecordingsFolder, delete, open_private, write_transcript
from talkover.recording.wire_audio import RATE_HZ
from talkover.sections.operation import RecordingSettings

log = logging.getLogger(__name__)

MAX_JOBS = 20_000
"""waiting, of all calls"""
MAX_WAITING_BYTES = 48 << 20
"""of one call: more than the largest frame"""
SWEEP_S = 0.5
CHECKPOINT_S = 15.0
"""what a killed process loses of a transcript; of the sound it loses what is not settled, and the encoder's block"""
DAY_S = 86_400.0
MAX_DELETED_AT_ONCE = 200
"""recordings; the others a little later, so that calls are written meanwhile"""
CLOSE_S = 10.0

Fault = Literal[
    "the writer is too slow", "the disk is full", "cannot be written", "too much audio ahead", "internal error"
]


@dataclass(frozen=True, slots=True)
class _Job:
    call: RecordedCall
    step: Happened | tuple[Action, ...]
    at_s: float
    """monotonic"""
    wall_s: float
    size: int


class RecordedCall:
    """Looks on at one session, in its thread; all it does is pass on what belongs to a recording."""

    def __init__(self, writer: RecordingWriter, session_id: str, recording: CallRecording) -> None:
        self.id = session_id
        self.recording = recording
        """the writer's thread alone touches it"""
        self.over_at_s: float | None = None
        self.fault: Fault | None = None
        """why it is not recorded any more"""
        self.is_refused = False
        """by the user: nothing may be kept, whatever else happens"""
        self.is_finished = False
        self._writer = writer
        self._lock = threading.Lock()
        self._waiting_jobs = 0
        self._waiting_bytes = 0

    @property
    def is_recorded(self) -> bool:
        return self.fault is None and not self.is_refused

    def happened(self, what: Happened, now_s: float) -> None:
        if isinstance(what, str | SourcesFound) or (isinstance(what, Transcript) and what.final):
            self._pass_on(what, now_s, len(what) if isinstance(what, str) else 0)

    def decided(self, actions: Sequence[Action], now_s: float) -> None:
        kept = tuple(action for action in actions if isinstance(action, Send | Heard | Voiced | Record))
        if any(isinstance(action, Record) and action.erase for action in kept):
            self.is_refused = True
        if kept:
            size = sum(len(action.event.get("delta", "")) for action in kept if isinstance(action, Send))
            self._pass_on(kept, now_s, size)

    def closed(self) -> None:
        self.over_at_s = self._writer.clock()

    @property
    def has_waiting(self) -> bool:
        with self._lock:
            return self._waiting_jobs > 0

    def worked_off(self, size: int) -> None:
        with self._lock:
            self._waiting_jobs -= 1
            self._waiting_bytes -= size

    def _pass_on(self, step: Happened | tuple[Action, ...], now_s: float, size: int) -> None:
        if not self.is_recorded:
            return
        with self._lock:
            self._waiting_jobs += 1
            self._waiting_bytes += size
            fits = self._waiting_bytes <= MAX_WAITING_BYTES
        if not fits or not self._writer.offer(_Job(self, step, now_s, time.time(), size)):
            self.worked_off(size)
            self.fault = "the writer is too slow"


@dataclass(slots=True)
class _Files:
    """Of a recording that has begun."""

    folder: Path
    sound: soundfile.SoundFile | None
    checkpoint_at_s: float = 0.0


class RecordingWriter:
    """Of one server. `observer` is the factory of those who look on."""

    def __init__(
        self,
        settings: RecordingSettings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Begins with deleting what is too old. Raises OSError when the folder cannot be used."""
        if settings.path is None:
            raise ValueError("recording.path must be set")
        self.clock = clock
        self._settings = settings
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._folder = RecordingsFolder(settings.path)
        settings.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(settings.path, os.W_OK | os.X_OK):
            raise PermissionError(f"recording.path: {settings.path} cannot be written to")
        self._jobs: queue.Queue[_Job] = queue.Queue(MAX_JOBS)
        self._calls: list[RecordedCall] = []
        self._files: dict[str, _Files] = {}
        self._calls_lock = threading.Lock()
        self._closing = threading.Event()
        self._expires_at_s = 0.0
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
        self._thread.start()

    def observer(self, session_id: str, options: SessionOptions) -> RecordedCall:
        """For a session that begins."""
        recording = CallRecording(
            session_id,
            options.recording or "",
            self.clock(),
            options.settings.input_format,
            options.pre_roll_ms,
        )
        call = RecordedCall(self, session_id, recording)
        with self._calls_lock:
            self._calls.append(call)
        return call

    def offer(self, job: _Job) -> bool:
        """False when it would have to wait for too many others."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Finish the recordings of calls that are over, and stop."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.warning("recordings: not everything could be written in %g s", CLOSE_S)

    # ------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        next_sweep_s = 0.0
        while True:
            try:
                self._work(self._jobs.get(timeout=SWEEP_S))
            except queue.Empty:
                if self._closing.is_set() and not self._sweep():
                    return
            if time.monotonic() >= next_sweep_s:
                self._sweep()
                next_sweep_s = time.monotonic() + SWEEP_S

    def _work(self, job: _Job) -> None:
        call = job.call
        try:
            if not call.is_recorded:
                return
            if isinstance(job.step, tuple):
                call.recording.decided(job.step, job.at_s, job.wall_s)
            else:
                call.recording.happened(job.step, job.at_s)
        except TooFarAhead:
            call.fault = "too much audio ahead"
        except Exception:
            log.exception("session %s: its recording failed", call.id)
            call.fault = "internal error"
        finally:
            call.worked_off(job.size)

    def _sweep(self) -> bool:
        """Write what has settled, end what is over, delete what is too old. False when no call is left."""
        with self._calls_lock:
            calls = tuple(self._calls)
        over = {call.id for call in calls if self._look_after(call)}
        with self._calls_lock:
            self._calls = [call for call in self._calls if call.id not in over]
            left = bool(self._calls)
        self._expire()
        return left

    def _look_after(self, call: RecordedCall) -> bool:
        """True when the call is over and nothing of it is left to be done."""
        over_at_s = call.over_at_s
        if call.has_waiting:
            return False
        if call.is_recorded:
            self._write(call, self.clock() if over_at_s is None else over_at_s, over_at_s is not None)
        if call.is_refused:
            self._erase(call)
        elif over_at_s is not None or call.fault is not None:
            self._finish(call)
        if over_at_s is not None:
            self._files.pop(call.id, None)
        return over_at_s is not None

    def _write(self, call: RecordedCall, now_s: float, is_over: bool) -> None:
        try:
            files = self._files.get(call.id)
            for block in call.recording.blocks(now_s, is_over):
                if files is None:
                    files = self._files[call.id] = self._open(call)
                if shutil.disk_usage(files.folder).free < self._settings.min_free_mib << 20:
                    call.fault = "the disk is full"
                    return
                if files.sound is not None:
                    files.sound.write(block)
            if files is not None and files.sound is not None and self.clock() >= files.checkpoint_at_s:
                files.checkpoint_at_s = self.clock() + CHECKPOINT_S
                files.sound.flush()
                write_transcript(files.folder, call.recording.transcript(False, None))
        except (OSError, soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
            log.debug("session %s: %s", call.id, error)
            call.fault = "cannot be written"

    def _open(self, call: RecordedCall) -> _Files:
        folder = self._folder.create(call.id, call.recording.started_at_s)
        files = self._files[call.id] = _Files(folder, None)
        kind = self._settings.format
        descriptor = open_private(folder / f"audio.{kind}")
        files.sound = soundfile.SoundFile(descriptor, "w", RATE_HZ, 2, "PCM_16", format=kind.upper(), closefd=True)
        return files

    def _finish(self, call: RecordedCall) -> None:
        """The call is over, or its recording is; once."""
        files = self._files.get(call.id)
        if call.is_finished or (files is None and call.fault is None):
            return
        call.is_finished = True
        if call.fault is not None:
            log.warning("session %s: its recording stopped: %s", call.id, call.fault)
        try:
            if files is not None and files.sound is not None:
                files.sound.close()
            if files is not None:
                write_transcript(files.folder, call.recording.transcript(True, call.fault))
        except (OSError, soundfile.SoundFileError) as error:
            log.debug("session %s: its recording could not be finished: %s", call.id, error)
        self._metrics.recordings_total.labels("complete" if call.fault is None else "broken").inc()

    def _erase(self, call: RecordedCall) -> None:
        """The user refused: nothing is kept; once."""
        files = self._files.get(call.id)
        if files is None:
            return
        try:
            if files.sound is not None:
                files.sound.close()
            delete(files.folder)
        except (OSError, soundfile.SoundFileError) as error:
            log.error("session %s: its recording could not be deleted, though the user refused: %s", call.id, error)
            return
        del self._files[call.id]
        log.info("session %s: the user refused, its recording is deleted", call.id)
        self._metrics.recordings_total.labels("erased").inc()

    def _expire(self) -> None:
        """Once a day; a bounded number at a time."""
        now_s = time.monotonic()
        if now_s < self._expires_at_s:
            return
        self._expires_at_s = now_s + DAY_S
        deleted = 0
        try:
            for folder in self._folder.older_than(self._settings.keep_days, self._wall_clock()):
                delete(folder)
                deleted += 1
                if deleted == MAX_DELETED_AT_ONCE:
                    self._expires_at_s = now_s
                    break
        except OSError as error:
            log.warning("recordings: one that is too old could not be deleted: %s", error)
        if deleted:
            log.info("recordings: %d older than %d days deleted", deleted, self._settings.keep_days)
