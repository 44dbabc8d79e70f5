"""How long nobody has spoken, and when the protocol's idle timeout answers that. No I/O."""

from __future__ import annotations

from talkover.realtime.turn_detection import TurnDetection

MAX_IDLE_PROMPTS = 3
"""times in a row that silence is answered before the agent just waits"""


class Silence:
    """Of one session; times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._from_s: float | None = None
        self._prompts = 0

    def broken(self) -> None:
        """The user spoke, or silence means something else from here on."""
        self._prompts = 0

    def prompted(self) -> None:
        """Silence was answered."""
        self._prompts += 1

    def watch(self, is_quiet: bool, now_s: float) -> None:
        """`is_quiet`: nobody speaks, and nothing is being answered, awaited or worked on."""
        if not is_quiet:
            self._from_s = None
        elif self._from_s is None:
            self._from_s = now_s

    def since_s(self, sounds_until_s: float) -> float | None:
        """Since when, ahead of now while the agent still sounds; None: it is not quiet."""
        return None if self._from_s is None else max(self._from_s, sounds_until_s)

    def prompt_at_s(self, detection: TurnDetection | None, sounds_until_s: float) -> float | None:
        """When it is answered; None when it is not."""
        since_s = self.since_s(sounds_until_s)
        if detection is None or detection.idle_timeout_ms is None or since_s is None:
            return None
        return None if self._prompts >= MAX_IDLE_PROMPTS else since_s + detection.idle_timeout_ms / 1000
