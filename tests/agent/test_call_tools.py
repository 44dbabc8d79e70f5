"""What a desk can do, asked for by a model and by plain words."""

from __future__ import annotations

from datetime import datetime

import pytest

from fakes import never
from talkover.agent.call_tools import call_tools
from talkover.agent.opening_hours import opening_hours
from talkover.llm.client_tools import meant_call
from talkover.messages import Prompt
from talkover.sections.agent import AgentSettings
from talkover.tools.tool import Tool, ToolContext

HOURS = opening_hours({"mon": ["09:00-18:00"]})
AGENT = AgentSettings(handover=True, end_call=True)
CONTEXT = ToolContext("key", 0.0, never)


def tools(now: str = "2026-11-23T10:00") -> dict[str, Tool]:
    return {tool.name: tool for tool in call_tools(AGENT, HOURS, lambda: datetime.fromisoformat(now))}


def test_only_what_is_configured_is_offered() -> None:
    assert call_tools(AgentSettings(), None, datetime.now) == []
    assert set(tools()) == {"is_open_now", "hand_over_to_human", "end_call"}


def test_a_caller_is_handed_over_while_somebody_is_there() -> None:
    result = tools()["hand_over_to_human"].run({"reason": "a refund"}, CONTEXT)
    assert (result.output, result.signal) == (AGENT.handover_words, "handover:a refund")


def test_a_caller_is_told_when_nobody_is_there() -> None:
    result = tools("2026-11-23T19:00")["hand_over_to_human"].run({}, CONTEXT)
    assert result.signal == ""
    assert result.output == (
        "Nobody is there right now to take your call. "
        "Today is Monday. We are closed now; we open again on Monday, 30 November, at 9:00."
    )


def test_the_call_ends_with_the_farewell() -> None:
    result = tools()["end_call"].run({}, CONTEXT)
    assert (result.output, result.signal) == (AGENT.farewell, "end_call")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("I want to talk to a human.", "hand_over_to_human"),
        ("Can I speak to a real person, please?", "hand_over_to_human"),
        ("Please connect me with an agent.", "hand_over_to_human"),
        ("Operator, please.", "hand_over_to_human"),
        ("A human, please!", "hand_over_to_human"),
        ("Are you open right now?", "is_open_now"),
        ("Okay, thank you, goodbye.", "end_call"),
        ("Bye-bye!", "end_call"),
        ("You can hang up now.", "end_call"),
        ("Are you a human?", None),
        ("Is a person allowed to return a lamp?", None),
        ("What are your opening hours?", None),
        ("How do I say goodbye in French?", None),
        ("I spoke to a person yesterday about my order.", None),
    ],
)
def test_plain_words_ask_for_a_tool_only_when_they_mean_it(words: str, name: str | None) -> None:
    offered = tuple(tool.definition for tool in tools().values())
    call = meant_call(Prompt("", (), offered), words)
    assert (call.name if call else None) == name
