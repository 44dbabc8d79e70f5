"""When the user's audio was heard, from when it arrived. Pure; times are passed in."""

from __future__ import annotations

from collections import deque

KEPT_MS = 10_000.0
"""of audio whose arrival is remembered: more than any silence that ends a turn"""


class Arrivals:
    """Maps positions of the input audio to the clock of the server.

    Audio arrives when it has been heard, or later: packets bunch, and a busy session works them off late. So the audio
    behind a position that came soonest tells when it was heard, and neither jitter nor a backlog at the moment of a
    decision makes the time before it look shorter.
    """

    def __init__(self) -> None:
        self._soonest: deque[tuple[float, float]] = deque()
        """(position in ms, arrival - position in s), both rising: a later one that came sooner makes earlier ones
        superfluous"""

    def add(self, until_ms: float, now_s: float) -> None:
        """All audio before `until_ms` is here by now."""
        offset_s = now_s - until_ms / 1000
        while self._soonest and self._soonest[-1][1] >= offset_s:
            self._soonest.pop()
        self._soonest.append((until_ms, offset_s))
        while self._soonest[0][0] < until_ms - KEPT_MS:
            self._soonest.popleft()

    def heard_s(self, position_ms: float, now_s: float) -> float:
        """When the audio at `position_ms` was heard, which is before `now_s`."""
        for until_ms, offset_s in self._soonest:
            if until_ms >= position_ms:
                return min(now_s, position_ms / 1000 + offset_s)
        return now_s
