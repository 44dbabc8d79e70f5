"""What the agent is saying right now, for the decisions about the user's voice: its words, and what they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from talkover.messages import FunctionTool
from talkover.realtime.conversation import Conversation, Entry
from talkover.vad.expectation import ANYTHING, Expectation, ExpectedField, expectation, expected_field
from talkover.vad.interruption import Dialogue

RECENT_CHARS = 240
"""of the agent's words an echo can still say: some 15 s"""
COMING_MS = 300.0
"""audio about to sound counts as said: the user's own delay, and that of the estimate"""
CLOSING_MS = 700.0
"""the agent is at its end when it has no more than this to say"""


class Situation:
    """Reads the conversation; remembers the newest answer so that it is looked at once only."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._fields: tuple[ExpectedField, ...] = ()
        self._asked = ("", ANYTHING)

    def expect_for(self, tools: Sequence[FunctionTool]) -> None:
        """The session's tools have changed: what they need is what callers are asked for."""
        self._fields = tuple(
            found
            for tool in tools
            for name, schema in cast("dict[str, Any]", tool.parameters.get("properties") or {}).items()
            if isinstance(schema, dict) and (found := expected_field(name, cast("dict[str, Any]", schema)))
        )
        self._asked = ("", ANYTHING)

    def dialogue(self, played_ms: float | None, left_ms: float | None) -> Dialogue:
        """`played_ms` of the agent's newest message have sounded; `left_ms` more will, None when that is unknown."""
        entry = self._newest()
        if entry is None:
            return Dialogue()
        is_closing = left_ms is not None and left_ms <= CLOSING_MS
        text = entry.heard_text
        if played_ms is not None and entry.ledger is not None and entry.heard_chars is None:
            text = entry.ledger.text
            if not is_closing:
                text = text[: entry.ledger.heard_chars(played_ms + COMING_MS)]
        asked = self._expectation(text) if is_closing else ANYTHING
        return Dialogue(text[-RECENT_CHARS:], asked, is_closing)

    def _newest(self) -> Entry | None:
        """The agent's message when nobody has spoken since."""
        last_id = self._conversation.last_id
        entry = None if last_id is None else self._conversation.get(last_id)
        return entry if entry is not None and entry.item.role == "assistant" else None

    def _expectation(self, text: str) -> Expectation:
        if self._asked[0] != text:
            self._asked = (text, expectation(text, self._fields))
        return self._asked[1]
