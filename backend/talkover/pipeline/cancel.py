"""Cancellation is a number: a new generation makes all older work stale."""

from __future__ import annotations

import threading

from talkover.engines import IsStale


class Generations:
    """The counter of one lane. Work carries the number it was started under; stages compare and stop by themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current = 0

    def next(self) -> int:
        """Start a generation; every older one is stale from now on. Returns its number."""
        with self._lock:
            self._current += 1
            return self._current

    def is_stale(self, generation: int) -> bool:
        return generation < self._current

    def checker(self, generation: int) -> IsStale:
        """A function that says whether `generation` is stale by now."""
        return lambda: self.is_stale(generation)
