"""How long this caller pauses within a turn, learnt while the call goes on."""

from __future__ import annotations

from collections import deque

REMEMBERED = 16
LEAST_KNOWN = 2
"""pauses before anything is concluded"""
USUAL_SHARE = 0.8
"""of the pauses are at most as long as the usual one"""
SHORTEST_MS, LONGEST_MS = 160.0, 2500.0
"""under it is a plosive's closure, over it nobody waits"""


class CallerPauses:
    """Pauses after which the caller went on, be it before the turn was ended or, cut off, right after."""

    def __init__(self) -> None:
        self._pauses_ms: deque[float] = deque(maxlen=REMEMBERED)

    def went_on_after(self, silence_ms: float) -> None:
        """The caller spoke again after so much silence, in the same thought."""
        if SHORTEST_MS <= silence_ms <= LONGEST_MS:
            self._pauses_ms.append(silence_ms)

    @property
    def usual_ms(self) -> float | None:
        """Longer than most of them; None until enough are known."""
        if len(self._pauses_ms) < LEAST_KNOWN:
            return None
        ordered = sorted(self._pauses_ms)
        return ordered[min(len(ordered) - 1, int(USUAL_SHARE * len(ordered)))]
