"""How a session ends when the server stops: what is being said is let finish, a goodbye is said, the line is closed.

A state machine without I/O; times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PATIENCE_S = 4.0
"""for an answer or a user's turn to end; then the goodbye is said into it"""
MAX_GOODBYE_S = 8.0
"""from its beginning until the line is closed at the latest"""
CLOSE_AFTER_S = 0.3
"""the client plays what it has"""
LONGEST_S = PATIENCE_S + MAX_GOODBYE_S


@dataclass(frozen=True, slots=True)
class SayGoodbye:
    """Now; whatever is still being said is cut off."""


@dataclass(frozen=True, slots=True)
class CloseLine:
    """The session is over."""


@dataclass(slots=True)
class Departure:
    """Of one session."""

    _began_s: float = 0.0
    _said_s: float = 0.0
    _phase: Literal["none", "asked", "said"] = "none"

    def begin(self, now_s: float) -> None:
        """The server is about to stop. Once."""
        if self._phase == "none":
            self._phase, self._began_s = "asked", now_s

    def step(self, is_free: bool, sounds_until_s: float, now_s: float) -> SayGoodbye | CloseLine | None:
        """`is_free`: nobody speaks and nothing is due; `sounds_until_s`: when the agent was or will be last heard."""
        due_s = self.deadline_s(is_free, sounds_until_s)
        if due_s is None or now_s < due_s:
            return None
        if self._phase == "said":
            return CloseLine()
        self._phase, self._said_s = "said", now_s
        return SayGoodbye()

    def deadline_s(self, is_free: bool, sounds_until_s: float) -> float | None:
        """When `step` is due; None: never."""
        match self._phase:
            case "none":
                return None
            case "asked":
                patient_until_s = self._began_s + PATIENCE_S
                return min(patient_until_s, max(self._began_s, sounds_until_s)) if is_free else patient_until_s
            case "said":
                over_s = self._said_s + MAX_GOODBYE_S
                return min(over_s, max(self._said_s, sounds_until_s) + CLOSE_AFTER_S) if is_free else over_s
