"""Which words of a changing partial transcript will stay. Pure."""

from __future__ import annotations

from collections.abc import Sequence

STABLE_AFTER_MS = 600
"""words that did not change while this much more audio was decoded are committed"""
UNSETTLED_WORDS = 2
"""the last words always may still change: the decoder has not heard their right context"""


class StablePrefix:
    """Commits words one way: what it committed stays at the start of everything it returns."""

    def __init__(self) -> None:
        self._committed: list[str] = []
        self._previous: list[str] = []
        self._unchanged_since_ms: list[int] = []
        """for each word of `_previous`: the audio position at which it and all before it were first seen"""

    def update(self, words: Sequence[str], decoded_ms: int) -> tuple[tuple[str, ...], int]:
        """The words to show for a new hypothesis, and how many of them are committed."""
        words = [*self._committed, *words[len(self._committed) :]]
        same = 0
        while same < min(len(words), len(self._previous)) and words[same] == self._previous[same]:
            same += 1
        self._unchanged_since_ms = [*self._unchanged_since_ms[:same], *[decoded_ms] * (len(words) - same)]
        self._previous = words
        settled = len(words) - UNSETTLED_WORDS
        stable = len(self._committed)
        while stable < settled and decoded_ms - self._unchanged_since_ms[stable] >= STABLE_AFTER_MS:
            stable += 1
        self._committed = words[:stable]
        return tuple(words), stable
