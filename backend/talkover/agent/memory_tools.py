"""Remembering a caller, and forgetting them: offered where it is known who calls.

Nothing is stored that was not read back and agreed to: the question before `remember_caller` is the consent.
"""

from __future__ import annotations

from typing import Any

from talkover.memory.store import MAX_NOTE_CHARACTERS
from talkover.tools.tool import Tool, ToolContext, ToolFailed, ToolResult

REMEMBER = "remember"
FORGET = "forget"

_NOTE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "note": {
            "type": "string",
            "minLength": 2,
            "maxLength": MAX_NOTE_CHARACTERS,
            "description": "One fact about the caller, such as their name or what they prefer.",
        }
    },
    "required": ["note"],
}
_ASKS_TO_FORGET = """
... forget (everything|all) [you know|you have] [about me|of me] ...
... (delete|erase|forget) (my data|my details|what you know about me|everything about me) ...
"""
_ASKS_TO_REMEMBER = "[please|can you|could you]* remember (that|this) ..."


def memory_tools() -> list[Tool]:
    """Two tools; the session does what their signals say."""
    return [
        Tool(
            "remember_caller",
            "Remember a fact about the caller for later calls. They are asked for their consent first. "
            "Never for passwords, card numbers or health.",
            _NOTE,
            _remember,
            confirm="Shall I keep in mind for your next calls: {note}?",
            asked_by=_ASKS_TO_REMEMBER,
        ),
        Tool(
            "forget_caller",
            "Delete everything that is remembered of the caller.",
            {"type": "object", "properties": {}},
            _forget,
            confirm="Shall I delete everything I have remembered about you?",
            asked_by=_ASKS_TO_FORGET,
        ),
    ]


def _remember(arguments: dict[str, Any], _context: ToolContext) -> ToolResult:
    note = " ".join(str(arguments["note"]).split())
    if not note:
        raise ToolFailed("There is nothing to remember in that.")
    return ToolResult("I will keep that in mind.", signal=f"{REMEMBER}:{note}")


def _forget(_arguments: dict[str, Any], _context: ToolContext) -> ToolResult:
    return ToolResult("I have forgotten everything about you.", signal=FORGET)
