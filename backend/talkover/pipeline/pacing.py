"""How far ahead of playback audio may be sent."""

from __future__ import annotations


class Pacer:
    """Tells when the next chunk may leave so that the client never holds more than `lead_s` of unplayed audio.

    The first chunk is never held. Times are seconds of one monotonic clock that is passed in.
    """

    def __init__(self, lead_s: float | None) -> None:
        self._lead_s = lead_s
        self._playback_ends_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next chunk may leave; 0 when at once."""
        if self._lead_s is None:
            return 0.0
        return max(0.0, self._playback_ends_s - now_s - self._lead_s)

    def sent(self, duration_s: float, now_s: float) -> None:
        self._playback_ends_s = max(self._playback_ends_s, now_s) + duration_s

    def flush(self) -> None:
        """The client dropped what it had not played."""
        self._playback_ends_s = 0.0
