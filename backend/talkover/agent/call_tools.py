"""What every telephone desk can do: say when it is open, pass a caller on to a human, and end the call.

Their results are the words to be spoken. What the session has to do beside that is told by a signal, which
`realtime/call.py` reads once those words were heard.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from talkover.agent.opening_hours import OpeningHours, state_sentence
from talkover.sections.agent import AgentSettings
from talkover.tools.tool import Tool, ToolContext, ToolResult

HANDOVER = "handover"
END_CALL = "end_call"

_ASKS_FOR_A_HUMAN = """
... (talk|speak|speaking|talking) (to|with) [a|an|the|some] [real|actual|live|human] \
    (human|person|somebody|someone|agent|representative|operator|colleague|manager|employee) ...
... (connect|transfer|put) me (to|with|through to|through) ... \
    (human|person|somebody|someone|agent|representative|operator|colleague|manager|employee) ...
... (get|give) me [a|an|the] [real|actual|live|human] (human|person|agent|representative|operator|manager) ...
[i want|i need] [a|an|the] [real|actual|live|human] (human|person|agent|representative|operator) [please|now]*
"""
_SAYS_GOODBYE = """
[okay|ok|alright|all right|well|great|thanks|thank you|no|thats all|that is all|then]* \
    (goodbye|good bye|bye|bye bye) [bye|now|for now|then|thank you|thanks]*
... (hang up|end the call|end this call|close the call) ...
"""
_ASKS_FOR_HOURS = """
... are you open [now|today|right now|at the moment|still]*
... (is somebody|is anybody|is someone) (there|in) [now|today|right now]*
"""
_REASON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "maxLength": 300, "description": "What the caller wants, for the colleague."}
    },
}


def call_tools(agent: AgentSettings, hours: OpeningHours | None, now: Callable[[], datetime]) -> list[Tool]:
    """The built-in tools that the configuration asks for. `now` tells the time where the desk is."""
    tools: list[Tool] = []
    if hours is not None:
        tools.append(_hours_tool(hours, now))
    if agent.handover:
        tools.append(_handover_tool(agent, hours, now))
    if agent.end_call:
        tools.append(_end_call_tool(agent))
    return tools


def _hours_tool(hours: OpeningHours, now: Callable[[], datetime]) -> Tool:
    def run(_arguments: dict[str, Any], _context: ToolContext) -> ToolResult:
        return ToolResult(state_sentence(hours, now()))

    description = "Whether the desk is open at this moment, and until or from when."
    return Tool(
        "is_open_now", description, {"type": "object", "properties": {}}, run, read_only=True, asked_by=_ASKS_FOR_HOURS
    )


def _handover_tool(agent: AgentSettings, hours: OpeningHours | None, now: Callable[[], datetime]) -> Tool:
    def run(arguments: dict[str, Any], _context: ToolContext) -> ToolResult:
        if hours is not None and hours.closes_at(now()) is None:
            return ToolResult(f"{agent.closed_words} {state_sentence(hours, now())}".strip())
        return ToolResult(agent.handover_words, signal=f"{HANDOVER}:{arguments.get('reason') or ''}")

    description = (
        "Pass the caller on to a human colleague: when they ask for one, or when you cannot help. "
        "Say the words it returns, and nothing else."
    )
    return Tool("hand_over_to_human", description, _REASON, run, asked_by=_ASKS_FOR_A_HUMAN)


def _end_call_tool(agent: AgentSettings) -> Tool:
    def run(_arguments: dict[str, Any], _context: ToolContext) -> ToolResult:
        return ToolResult(agent.farewell, signal=END_CALL)

    description = "End the call, after the caller said goodbye or asked for it. Say the words it returns, nothing else."
    return Tool("end_call", description, {"type": "object", "properties": {}}, run, asked_by=_SAYS_GOODBYE)
