"""What is heard while the user speaks: one utterance's way, chunk by chunk, through the streaming model's thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import numpy as np

from talkover.asr.batching import Batcher
from talkover.asr.streaming_paraformer import StreamingParaformer
from talkover.asr.tokens import Token
from talkover.engines import EngineFailed, IsStale
from talkover.messages import Samples

_POLL_S = 0.01

_log = logging.getLogger(__name__)


class LiveUtterance:
    """Takes audio from the session's thread and decodes it in the model's thread, one chunk per turn.

    After each chunk it goes to the end of the queue again, so sessions take turns however far behind one of them is.
    """

    def __init__(self, model: StreamingParaformer, thread: LiveThread) -> None:
        self._model = model
        self._thread = thread
        self._cache = model.start()
        self._lock = threading.Lock()
        """guards what follows; never held while the model works"""
        self._waiting: list[Samples] = []
        self._n_waiting = 0
        self._tokens: tuple[Token, ...] = ()
        self._settled = 0
        self._queued = False
        self._ending = False
        self._closed = False
        self._error: EngineFailed | None = None
        self._ended = threading.Event()

    def feed(self, samples: Samples) -> None:
        """Take audio; returns at once."""
        with self._lock:
            if self._closed or self._error is not None:
                return
            self._waiting.append(samples)
            self._n_waiting += samples.size
        self._queue_when_ready()

    @property
    def is_behind(self) -> bool:
        """Whether the model still has a chunk of it to decode."""
        with self._lock:
            return self._queued

    def newest(self) -> tuple[tuple[Token, ...], int]:
        """All tokens so far, and how many of them did not come from the latest chunk that gave any."""
        with self._lock:
            return self._tokens, self._settled

    def finish(self, timeout_s: float, is_stale: IsStale) -> tuple[Token, ...]:
        """Decode what is left, too; the tokens of the whole utterance. Raises EngineFailed."""
        with self._lock:
            self._ending = True
        self._queue_when_ready()
        deadline_s = time.monotonic() + timeout_s
        while not self._ended.wait(_POLL_S):
            if self._error is not None:
                raise EngineFailed(str(self._error)) from self._error
            if is_stale() or self._closed:
                break
            if time.monotonic() > deadline_s:
                raise EngineFailed(f"streaming model: no result for {timeout_s:g} s")
        return self.newest()[0]

    def close(self) -> None:
        """Decode nothing any more."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._n_waiting = 0

    def advance(self) -> None:
        """One chunk, in the model's thread."""
        piece, final = self._take()
        if piece is None:
            return
        try:
            fresh = self._model.step(self._cache, piece, final)
        except Exception as error:  # a model's library raises anything; only this utterance suffers
            _log.exception("the streaming model failed")
            with self._lock:
                self._error = EngineFailed(f"streaming model: {error}")
            return
        with self._lock:
            self._queued = False
            if fresh:
                self._settled = len(self._tokens)
                self._tokens += tuple(fresh)
            if final:
                self._ended.set()
                return
        self._queue_when_ready()

    def _take(self) -> tuple[Samples | None, bool]:
        """The next chunk, and whether it is the last one; None when there is nothing to do after all."""
        with self._lock:
            size = self._model.chunk_samples
            if self._closed or not (self._ending or self._n_waiting >= size):
                self._queued = False
                return None, False
            audio = np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.float32)
            final = self._ending and audio.size <= size
            piece, rest = audio[:size], audio[size:]
            self._waiting, self._n_waiting = ([rest] if rest.size else []), rest.size
            return piece, final

    def _queue_when_ready(self) -> None:
        with self._lock:
            ready = self._ending or self._n_waiting >= self._model.chunk_samples
            if self._queued or self._closed or self._ended.is_set() or not ready:
                return
            self._queued = True
        try:
            self._thread.submit(self)
        except EngineFailed as error:
            with self._lock:
                self._queued = False
                self._error = error


LiveThread = Batcher[LiveUtterance, None]


def advance_all(utterances: Sequence[LiveUtterance]) -> list[None]:
    """What a `LiveThread` runs."""
    return [utterance.advance() for utterance in utterances]
