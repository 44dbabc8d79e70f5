"""How a call begins and ends: the greeting, the hand-over to a human, and hanging up. A state machine without I/O.

The greeting waits until the client has said how it wants to hear it (its first `session.update`), for a moment only,
and is dropped when the conversation begins another way. What a tool signalled happens once its words were heard: the
hand-over is told to the client, or the call ended, unless the user goes on speaking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GREETING_WAIT_S = 1.0
"""for a client's first `session.update`"""
OPENS_ITSELF_WITHIN_S = 0.2
"""a client that wants to open the conversation does so right behind its `session.update`"""
MAX_WORDS_S = 20.0
"""the words that go with a signal take no longer: later than this it happens anyway"""
SPEECH_BEGINS_S = 8.0
"""a model has begun with those words by then, or says none"""

HANG_UP_AFTER_S = 0.7
"""the client plays what it has; and a caller may still say something"""

Kind = Literal["handover", "end_call"]


@dataclass(frozen=True, slots=True)
class Greet:
    """Say the greeting."""

    text: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """Tell the client that a human shall take over."""

    reason: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Tell the client that the call is over, and close the connection."""


CallStep = Greet | HandOver | HangUp


@dataclass(slots=True)
class _Signalled:
    kind: Kind
    reason: str
    at_s: float
    was_spoken: bool = False


class Call:
    """One session as a telephone call."""

    def __init__(self, greeting: str) -> None:
        """`greeting`: what the agent opens with; empty: it waits for the user."""
        self._greeting = greeting
        self._greets_at_s: float | None = None
        self._signalled: _Signalled | None = None

    def opened(self, now_s: float) -> None:
        self._greets_at_s = now_s + GREETING_WAIT_S if self._greeting else None

    def configured(self, now_s: float) -> None:
        """The client has sent a `session.update`."""
        if self._greets_at_s is not None:
            self._greets_at_s = now_s + OPENS_ITSELF_WITHIN_S

    def signalled(self, signal: str, now_s: float) -> None:
        """A tool asked for something: `handover:reason` or `end_call`; anything else is not for the call."""
        kind, _, reason = signal.partition(":")
        if kind in ("handover", "end_call"):
            self._signalled = _Signalled(kind, reason.strip(), now_s)

    def user_spoke(self) -> None:
        """Who speaks does not want to be hung up on; a hand-over stays asked for."""
        if self._signalled is not None and self._signalled.kind == "end_call":
            self._signalled = None

    def step(self, is_free: bool, has_begun: bool, agent_quiet_s: float, now_s: float) -> CallStep | None:
        """What is to be done now.

        `is_free`: nobody speaks, and nothing is being answered or awaited. `has_begun`: the conversation has items.
        `agent_quiet_s`: when the agent was or will be last heard.
        """
        if self._greets_at_s is not None:
            if has_begun or not is_free:
                self._greets_at_s = None
            elif now_s >= self._greets_at_s:
                self._greets_at_s = None
                return Greet(self._greeting)
        signalled = self._signalled
        if signalled is None:
            return None
        signalled.was_spoken = signalled.was_spoken or agent_quiet_s > signalled.at_s
        due_at_s = self._signal_due_s(is_free, agent_quiet_s)
        if due_at_s is None or now_s < due_at_s:
            return None
        self._signalled = None
        return HandOver(signalled.reason) if signalled.kind == "handover" else HangUp()

    def deadline_s(self, is_free: bool, agent_quiet_s: float) -> float | None:
        """When `step` is due at the latest."""
        deadlines = [self._greets_at_s, self._signal_due_s(is_free, agent_quiet_s)]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _signal_due_s(self, is_free: bool, agent_quiet_s: float) -> float | None:
        signalled = self._signalled
        if signalled is None:
            return None
        if is_free and signalled.was_spoken:
            return agent_quiet_s + (HANG_UP_AFTER_S if signalled.kind == "end_call" else 0.0)
        return signalled.at_s + (SPEECH_BEGINS_S if is_free else MAX_WORDS_S)
