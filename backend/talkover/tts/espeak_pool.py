"""Threads with a private copy of espeak-ng each: callers take turns piece by piece, the most urgent first.

A piece of text takes espeak-ng some 3 ms per second of audio. Its blocks go into the piece's own queue as fast as
they are made, so the library is free again long before the audio has been played. The pieces are short, which bounds
both that queue and the turn.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import math
import queue
import shutil
import tempfile
import threading
from collections.abc import Generator, Sequence
from pathlib import Path

import espeakng_loader

from talkover.engines import EngineFailed, EngineUnavailable, IsStale
from talkover.resources import cache_folder
from talkover.tts.espeak_library import Block, Delivery, EspeakLibrary

_POLL_S = 0.02
_TIMEOUT_S = 10.0
"""longest wait for the next block; includes waiting for a turn"""
_MAX_WAITING = 256
_CLOSE_TIMEOUT_S = 2.0

_log = logging.getLogger(__name__)


class SpeakJob:
    """One piece of text on its way through a thread of the pool."""

    def __init__(self, text: str, delivery: Delivery) -> None:
        self.text = text
        self.delivery = delivery
        self._blocks: queue.SimpleQueue[Block | EngineFailed | None] = queue.SimpleQueue()
        self._stopped = False

    def run(self, library: EspeakLibrary) -> None:
        """Speak in the pool's thread."""
        if self._stopped:
            return
        try:
            library.speak(self.text, self.delivery, self._take)
        except EngineFailed as error:
            self._blocks.put(error)
        else:
            self._blocks.put(None)

    def stop(self) -> None:
        """Make the thread stop at its next block."""
        self._stopped = True

    def blocks(self, is_stale: IsStale) -> Generator[Block]:
        """What has been spoken, until its end or until stale. Raises EngineFailed."""
        try:
            waited_s = 0.0
            while not is_stale():
                try:
                    block = self._blocks.get(timeout=_POLL_S)
                except queue.Empty:
                    waited_s += _POLL_S
                    if waited_s >= _TIMEOUT_S:
                        raise EngineFailed(f"espeak-ng: no audio for {_TIMEOUT_S:.0f} s") from None
                    continue
                if block is None:
                    return
                if isinstance(block, EngineFailed):
                    raise block
                waited_s = 0.0
                yield block
        finally:
            self.stop()

    def _take(self, block: Block) -> bool:
        self._blocks.put(block)
        return not self._stopped


class EspeakPool:
    """`size` threads, a copy of espeak-ng each."""

    def __init__(self, size: int, warmup: Sequence[tuple[str, Delivery]]) -> None:
        """Load the copies and start the threads, each of which first speaks `warmup` to nobody.

        Raises EngineUnavailable.
        """
        self._jobs: queue.PriorityQueue[tuple[float, int, SpeakJob | None]] = queue.PriorityQueue(_MAX_WAITING)
        """(deadline, order of arrival, job)"""
        self._arrivals = itertools.count()
        self._warm: queue.SimpleQueue[EngineFailed | None] = queue.SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(library, warmup), name=f"espeak-{index}", daemon=True)
            for index, library in enumerate(load_copies(size))
        ]
        self._n_cold = len(self._threads)
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    def wait_until_warm(self) -> None:
        """Return when every thread has spoken. Raises EngineUnavailable."""
        while self._n_cold:
            try:
                error = self._warm.get(timeout=_TIMEOUT_S)
            except queue.Empty:
                raise EngineUnavailable(f"tts engine 'espeak': silent for {_TIMEOUT_S:.0f} s") from None
            if error is not None:
                raise EngineUnavailable(f"tts engine 'espeak': {error}")
            self._n_cold -= 1

    def submit(self, text: str, delivery: Delivery, due_s: float) -> SpeakJob:
        """Have a piece spoken by the next free thread, before all that is due later (monotonic seconds).

        Raises EngineFailed when too many wait, or when closed.
        """
        if self._closed:
            raise EngineFailed("espeak-ng: the engine is closed")
        job = SpeakJob(text, delivery)
        try:
            self._jobs.put_nowait((due_s, next(self._arrivals), job))
        except queue.Full:
            raise EngineFailed(f"espeak-ng: {_MAX_WAITING} pieces of text are waiting") from None
        return job

    def close(self) -> None:
        """End the threads after what they are speaking, and the libraries; may be called twice."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        for _ in self._threads:
            self._jobs.put((math.inf, next(self._arrivals), None), timeout=_CLOSE_TIMEOUT_S)
        for thread in self._threads:
            thread.join(_CLOSE_TIMEOUT_S)

    def _serve(self, library: EspeakLibrary, warmup: Sequence[tuple[str, Delivery]]) -> None:
        try:
            for text, delivery in warmup:
                library.speak(text, delivery, lambda _block: True)
        except EngineFailed as error:
            self._warm.put(error)
        else:
            self._warm.put(None)
        while (job := self._jobs.get()[2]) is not None:
            job.run(library)
        library.terminate()


def load_copies(count: int) -> Sequence[EspeakLibrary]:
    """`count` libraries independent of each other. Raises EngineUnavailable.

    A loader returns the copy it has already when asked for the same file, so each is loaded from a file of its own.
    Once all are loaded the files are not needed any more and removed, except on Windows, which locks them.
    Without a folder that can hold them there is one library, loaded from where it is installed.
    """
    original = Path(espeakng_loader.get_library_path())
    data = Path(espeakng_loader.get_data_path())
    if count > 1:
        for parent in (None, cache_folder()):
            try:
                folder = Path(tempfile.mkdtemp(prefix="talkover-espeak-", dir=parent))
            except OSError:
                continue
            try:
                copies = [folder / f"{index}-{original.name}" for index in range(count)]
                for copy in copies:
                    shutil.copyfile(original, copy)
                return [EspeakLibrary(copy, data) for copy in copies]
            except (OSError, EngineUnavailable) as error:
                _log.warning("espeak-ng cannot be copied to %s: %s", folder, error)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return [EspeakLibrary(original, data)]
