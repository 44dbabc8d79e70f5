"""An engine at the desk: rules end its answers, hours reach its prompt, and work in the background is left alone."""

from datetime import datetime

import pytest

from fakes import ScriptedLlm, never
from talkover.agent.desk_responder import DeskResponder, at_desk
from talkover.agent.opening_hours import opening_hours
from talkover.agent.say_rules import say_rules
from talkover.config import ConfigError
from talkover.engines import LlmCall, LlmFinished, LlmText
from talkover.messages import Prompt, PromptMessage
from talkover.sections.agent import AgentSettings

MONDAY = datetime(2026, 11, 23, 10)
PROMPT = Prompt("Be brief.", (PromptMessage("user", "Hello"),))


def desk(llm: ScriptedLlm) -> DeskResponder:
    rules = say_rules(("full refund",), (), "I cannot say.")
    return DeskResponder(llm, rules, opening_hours({"mon": ["09:00-18:00"]}), lambda: MONDAY)


def test_an_answer_ends_where_a_rule_is_broken() -> None:
    events = list(desk(ScriptedLlm("Certainly. You get a full refund. Today.")).respond(PROMPT, never))
    assert "".join(event.text for event in events if isinstance(event, LlmText)) == "Certainly. I cannot say."
    assert events[-1] == LlmFinished()


def test_text_before_a_call_comes_before_it() -> None:
    script = [LlmText("One moment"), LlmCall(0, "look_up", ""), LlmCall(0, "look_up", "{}"), LlmFinished("tool_calls")]
    assert list(desk(ScriptedLlm(script)).respond(PROMPT, never)) == script


def test_no_call_is_made_by_an_answer_that_broke_a_rule() -> None:
    script = [LlmText("A full refund"), LlmCall(0, "pay_back", "{}"), LlmFinished("tool_calls")]
    assert list(desk(ScriptedLlm(script)).respond(PROMPT, never)) == [LlmText("I cannot say."), LlmFinished()]


def test_the_opening_hours_are_in_the_prompt() -> None:
    llm = ScriptedLlm()
    list(desk(llm).respond(PROMPT, never))
    assert llm.prompts[0].circumstances == "Today is Monday. We are open now, until 18:00."
    assert llm.prompts[0].instructions == PROMPT.instructions


def test_a_summary_is_made_without_the_desk() -> None:
    llm = ScriptedLlm("The caller wants a full refund.")
    summary = Prompt("Summarise.", PROMPT.messages, in_background=True)
    events = list(desk(llm).respond(summary, never))
    assert "".join(event.text for event in events if isinstance(event, LlmText)) == "The caller wants a full refund."
    assert llm.prompts == [summary]


def test_an_engine_without_rules_or_hours_stays_as_it_is() -> None:
    llm = ScriptedLlm()
    assert at_desk(llm, AgentSettings()) is llm


def test_wrong_hours_are_named_by_their_key() -> None:
    with pytest.raises(ConfigError, match=r"agent\.opening_hours\.mon: must look like"):
        at_desk(ScriptedLlm(), AgentSettings(opening_hours={"mon": ("nine",)}))
