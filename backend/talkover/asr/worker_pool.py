"""The recogniser's worker processes as seen from the server: who decodes what, and what to do when one dies.

One thread moves the bytes of all workers. Callers only put frames into a worker's outbox and wait on a condition, so
that nobody ever blocks on a pipe. A worker that ends, hangs or talks nonsense is replaced after a growing pause, and
the utterances it had are decoded again elsewhere from the audio that is kept for that; an utterance that takes down
three workers is given up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from talkover.asr.stability import StablePrefix
from talkover.asr.worker_frames import DecodedWords, Frame, FrameReader, Kind, encode

logger = logging.getLogger(__name__)

MAX_UTTERANCE_BYTES = 300 * 32_000
"""five minutes: the longest utterance the settings allow"""
MAX_OUTBOX_BYTES = 64 << 20
"""unsent audio of one worker; a hung worker is replaced long before"""
AUDIO_FRAME_BYTES = 1 << 19
PING_EVERY_S = 1.0
HANG_S = 5.0
"""a ready worker that does not answer a ping for this long is replaced; it answers between slices of a few ms"""
START_TIMEOUT_S = 30.0
MAX_ATTEMPTS = 3
"""workers an utterance may meet"""
MAX_FAILED_STARTS = 4
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 5.0
READ_BYTES = 1 << 16


@dataclass(slots=True, eq=False)
class Utterance:
    """One utterance and all that is known of it. Guarded by the pool's lock."""

    number: int
    audio: bytearray = field(default_factory=bytearray)
    """int16 at 16 kHz, kept to decode it again after a crash"""
    finishing: bool = False
    stable: StablePrefix = field(default_factory=StablePrefix)
    words: tuple[str, ...] = ()
    stable_words: int = 0
    decoded_ms: int = 0
    final: DecodedWords | None = None
    error: str | None = None
    attempts: int = 0
    worker: _Worker | None = None


@dataclass(slots=True, eq=False)
class _Worker:
    """One process with its pipes; `process` is None while it waits to be started (again)."""

    process: subprocess.Popen[bytes] | None = None
    reader: FrameReader = field(default_factory=FrameReader)
    outbox: bytearray = field(default_factory=bytearray)
    ready: bool = False
    failed_starts: int = 0
    start_at_s: float = 0.0
    started_s: float = 0.0
    pinged_s: float = 0.0
    answered_s: float = 0.0
    utterances: set[Utterance] = field(default_factory=set[Utterance])

    @property
    def given_up(self) -> bool:
        return self.failed_starts >= MAX_FAILED_STARTS


class WorkerPool:
    """Decodes any number of utterances in `count` processes. All methods are safe from any thread."""

    def __init__(
        self, command: Sequence[str], count: int, hang_s: float = HANG_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._command = tuple(command)
        self._clock = clock
        self._hang_s = hang_s
        self._workers = [_Worker() for _ in range(count)]
        self._changed = threading.Condition()
        self._homeless: set[Utterance] = set()
        """utterances that wait for a worker to be there"""
        self._numbers = 0
        self._closed = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="asr-workers", daemon=True)
        self._thread.start()

    # -------------------------------------------------------------------------------------------------- for callers

    def wait_ready(self, timeout_s: float) -> bool:
        """Whether every worker got ready in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or all(w.ready or w.given_up for w in self._workers), timeout_s
            ) and all(w.ready for w in self._workers)

    def process_ids(self) -> tuple[int, ...]:
        """Of the workers that run now."""
        with self._changed:
            return tuple(worker.process.pid for worker in self._workers if worker.process is not None)

    def begin(self) -> Utterance:
        """A new utterance; it costs nothing until it is fed."""
        with self._changed:
            self._numbers = self._numbers % 0xFFFF_FFFF + 1
            return Utterance(self._numbers)

    def feed(self, utterance: Utterance, pcm16: bytes) -> None:
        """Take whole int16 samples at 16 kHz. Never waits; what is beyond five minutes is left out."""
        with self._changed:
            pcm16 = pcm16[: MAX_UTTERANCE_BYTES - len(utterance.audio)]
            if not pcm16 or not self._is_open(utterance) or utterance.finishing:
                return
            utterance.audio += pcm16
            if utterance.worker is None and utterance not in self._homeless:
                self._assign(utterance)
            elif utterance.worker is not None:
                self._send_audio(utterance, utterance.worker, pcm16)
        self._wake()

    def finish(self, utterance: Utterance) -> None:
        """Ask for the final words; `wait_final` gets them."""
        with self._changed:
            if not self._is_open(utterance) or utterance.finishing:
                return
            utterance.finishing = True
            if not utterance.audio:
                utterance.final = DecodedWords((), 0)
            elif utterance.worker is not None:
                utterance.worker.outbox += encode(Frame(Kind.FINISH, utterance.number))
        self._wake()

    def wait_final(self, utterance: Utterance, timeout_s: float) -> bool:
        """Wait until `final` or `error` of the utterance is set; whether that happened in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._is_open(utterance), timeout_s)

    def drop(self, utterance: Utterance) -> None:
        """Forget an utterance, whatever its state."""
        with self._changed:
            self._homeless.discard(utterance)
            worker, utterance.worker = utterance.worker, None
            if worker is not None:
                worker.utterances.discard(utterance)
                worker.outbox += encode(Frame(Kind.DROP, utterance.number))
            if self._is_open(utterance):
                utterance.error = "the utterance was closed"
            utterance.audio.clear()
            self._changed.notify_all()
        self._wake()

    def close(self) -> None:
        """End all processes and the thread; utterances still open fail."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._wake()
        self._thread.join()
        os.close(self._wake_write)

    # ------------------------------------------------------------------------------------------- with the lock held

    def _is_open(self, utterance: Utterance) -> bool:
        if self._closed and utterance.error is None and utterance.final is None:
            utterance.error = "the recogniser is closed"
        return utterance.final is None and utterance.error is None

    def _assign(self, utterance: Utterance) -> None:
        """Give an utterance with all its audio to the worker that has least to do, or let it wait for one."""
        ready = [worker for worker in self._workers if worker.ready]
        if not ready:
            if all(worker.given_up for worker in self._workers):
                self._fail(utterance, "no worker process could be started")
            else:
                self._homeless.add(utterance)
            return
        worker = min(ready, key=lambda worker: len(worker.utterances))
        self._homeless.discard(utterance)
        utterance.worker = worker
        utterance.attempts += 1
        worker.utterances.add(utterance)
        if self._send_audio(utterance, worker, bytes(utterance.audio)) and utterance.finishing:
            worker.outbox += encode(Frame(Kind.FINISH, utterance.number))

    def _send_audio(self, utterance: Utterance, worker: _Worker, pcm16: bytes) -> bool:
        """Put audio into the outbox of a worker; False when there is no room and the utterance failed."""
        if len(worker.outbox) + len(pcm16) > MAX_OUTBOX_BYTES:
            worker.utterances.discard(utterance)
            utterance.worker = None
            worker.outbox += encode(Frame(Kind.DROP, utterance.number))
            self._fail(utterance, "too much audio is waiting to be recognised")
            return False
        for start in range(0, len(pcm16), AUDIO_FRAME_BYTES):
            worker.outbox += encode(Frame(Kind.AUDIO, utterance.number, pcm16[start : start + AUDIO_FRAME_BYTES]))
        return True

    def _fail(self, utterance: Utterance, error: str) -> None:
        self._homeless.discard(utterance)
        utterance.error = error
        utterance.audio.clear()
        self._changed.notify_all()

    def _take(self, worker: _Worker, frame: Frame) -> None:
        """Raises ValueError for a reply that makes no sense."""
        now_s = self._clock()
        if frame.kind == Kind.READY:
            worker.ready, worker.pinged_s, worker.answered_s = True, now_s, now_s
            for utterance in list(self._homeless):
                self._assign(utterance)
        elif frame.kind == Kind.PONG:
            worker.answered_s, worker.failed_starts = now_s, 0
        else:
            decoded = DecodedWords.from_bytes(frame.payload)
            utterance = next((u for u in worker.utterances if u.number == frame.utterance), None)
            if utterance is None:
                return
            if frame.kind == Kind.PARTIAL and decoded.decoded_ms > utterance.decoded_ms:
                utterance.decoded_ms = decoded.decoded_ms
                utterance.words, utterance.stable_words = utterance.stable.update(decoded.words, decoded.decoded_ms)
            elif frame.kind == Kind.FINAL:
                worker.utterances.discard(utterance)
                utterance.worker, utterance.final = None, decoded
                utterance.audio.clear()
        self._changed.notify_all()

    def _lose(self, worker: _Worker, reason: str) -> None:
        """The process is of no use any more: end it, plan its successor and find its utterances another home."""
        process, worker.process = worker.process, None
        if process is not None:
            self._end(process)
        worker.ready = False
        worker.reader, worker.outbox = FrameReader(), bytearray()
        worker.failed_starts += 1
        pause_s = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**worker.failed_starts)
        worker.start_at_s = self._clock() + pause_s
        orphans, worker.utterances = worker.utterances, set()
        if worker.given_up:
            logger.error("asr: worker process %s; it failed %d times and is given up", reason, worker.failed_starts)
        else:
            logger.warning("asr: worker process %s; the next one starts in %.1f s", reason, pause_s)
        for utterance in orphans:
            utterance.worker = None
            if utterance.attempts >= MAX_ATTEMPTS:
                self._fail(utterance, f"the worker process failed {MAX_ATTEMPTS} times on this utterance")
            else:
                self._assign(utterance)
        if all(worker.given_up for worker in self._workers):
            for utterance in list(self._homeless):
                self._fail(utterance, "no worker process could be started")
        self._changed.notify_all()

    # -------------------------------------------------------------------------------------------- the thread's work

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    if self._closed:
                        return
                    wait_s = self._look_after_workers()
                for key, events in self._selector.select(wait_s):
                    if key.data is None:
                        with contextlib.suppress(BlockingIOError):
                            os.read(self._wake_read, READ_BYTES)
                    elif events & selectors.EVENT_READ:
                        self._read(key.data)
                with self._changed:
                    for worker in self._workers:
                        self._write(worker)
        finally:
            self._end_all()

    def _look_after_workers(self) -> float:
        """Start, ping and judge workers; seconds until that is needed again."""
        now_s = self._clock()
        for worker in self._workers:
            if worker.process is None:
                if now_s >= worker.start_at_s and not worker.given_up:
                    self._start(worker)
            elif not worker.ready:
                if now_s - worker.started_s > START_TIMEOUT_S:
                    self._lose(worker, f"was not ready after {START_TIMEOUT_S:.0f} s")
            elif worker.answered_s < worker.pinged_s:
                if now_s - worker.pinged_s > self._hang_s:
                    self._lose(worker, f"did not answer for {self._hang_s:g} s")
            elif now_s - worker.pinged_s >= PING_EVERY_S and (worker.utterances or worker.failed_starts):
                worker.pinged_s = now_s
                worker.outbox += encode(Frame(Kind.PING))
                self._write(worker)
        idle = all(worker.ready and not worker.utterances and not worker.failed_starts for worker in self._workers)
        return 60.0 if idle else FIRST_PAUSE_S

    def _start(self, worker: _Worker) -> None:
        try:
            # a session of its own: Ctrl-C in the terminal is for the server, which then closes the pipe
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            self._lose(worker, f"could not be started ({error.strerror})")
            return
        assert process.stdin is not None
        assert process.stdout is not None
        worker.process, worker.started_s = process, self._clock()
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)

    def _read(self, worker: _Worker) -> None:
        process = worker.process
        if process is None or process.stdout is None:
            return
        try:
            data = os.read(process.stdout.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        with self._changed:
            if not data:
                self._lose(worker, "ended")
                return
            try:
                for frame in worker.reader.feed(data):
                    self._take(worker, frame)
            except ValueError:
                self._lose(worker, "sent something unreadable")

    def _write(self, worker: _Worker) -> None:
        """Send what fits into the pipe, and be woken for the rest."""
        process = worker.process
        if process is None or process.stdin is None or not worker.ready:
            return
        pipe = process.stdin.fileno()
        try:
            while worker.outbox:
                del worker.outbox[: os.write(pipe, worker.outbox[:READ_BYTES])]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            worker.outbox.clear()
        registered = pipe in self._selector.get_map()
        if worker.outbox and not registered:
            self._selector.register(pipe, selectors.EVENT_WRITE, worker)
        elif registered and not worker.outbox:
            self._selector.unregister(pipe)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and take its exit status, so that neither it nor a zombie stays."""
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(pipe.fileno())
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()

    def _end_all(self) -> None:
        with self._changed:
            for worker in self._workers:
                if worker.process is not None:
                    self._end(worker.process)
                    worker.process, worker.ready = None, False
            self._closed = True
            self._changed.notify_all()
        self._selector.close()
        os.close(self._wake_read)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")
