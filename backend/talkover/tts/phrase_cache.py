"""Speech of texts that are spoken often (greetings, fillers, apologies), so that they sound at once.

A text is kept when it is spoken for the second time: nearly all that a language model says is said once, and would
only push out what comes again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator

from talkover.engines import IsStale, SpeechChunk

MAX_BYTES = 32 * 2**20
"""some 6 minutes of speech"""
MAX_PHRASE_CHARS = 120
MAX_SEEN = 4096
"""texts spoken once that are remembered, by hash"""


class PhraseCache:
    """Shared by all sessions; what is used least recently makes room."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[SpeechChunk, ...]] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """Audio that is kept."""
        return self._n_bytes

    def speak(
        self, text: str, how: Hashable, synthesize: Callable[[], Iterator[SpeechChunk]], is_stale: IsStale
    ) -> Iterator[SpeechChunk]:
        """The chunks of `synthesize`, or those of an earlier call with the same `text` and `how`.

        `how` must name everything else the sound depends on: the voice's content, speed, instruction. Only speech that
        came to its end is kept.
        """
        if len(text) > MAX_PHRASE_CHARS:
            yield from synthesize()
            return
        key = (text, how)
        kept, is_repeated = self._look_up(key)
        if kept is not None:
            for chunk in kept:
                if is_stale():
                    return
                yield chunk
            return
        chunks: list[SpeechChunk] = []
        for chunk in synthesize():
            if is_repeated:
                chunks.append(chunk)
            yield chunk
        if is_repeated and chunks and not is_stale():
            self._keep(key, tuple(chunks))

    def _look_up(self, key: Hashable) -> tuple[tuple[SpeechChunk, ...] | None, bool]:
        """What is kept, and whether the text was spoken before."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key], True
            number = hash(key)
            is_repeated = number in self._seen
            self._seen[number] = None
            self._seen.move_to_end(number)
            if len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
            return None, is_repeated

    def _keep(self, key: Hashable, chunks: tuple[SpeechChunk, ...]) -> None:
        size = _n_bytes(chunks)
        if size > self._max_bytes:
            return
        with self._lock:
            self._n_bytes += size - _n_bytes(self._kept.pop(key, ()))
            self._kept[key] = chunks
            while self._n_bytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._n_bytes -= _n_bytes(dropped)


def _n_bytes(chunks: tuple[SpeechChunk, ...]) -> int:
    return sum(chunk.samples.nbytes for chunk in chunks)
