"""The state machine of server-side tools: what runs, when a wait is filled, what is told, asked and dropped."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from talkover.messages import ToolFinished
from talkover.realtime.consent import is_only_no, question, understood
from talkover.realtime.phrases import PHRASES, bridge
from talkover.realtime.tool_runs import (
    BRIDGE_AFTER_S,
    CALLED_OFF,
    DECLINED,
    Ask,
    Bridge,
    Call,
    Ended,
    GiveUp,
    Line,
    Record,
    Start,
    Stop,
    Tell,
    ToolLimits,
    ToolRuns,
)
from talkover.tools.tool import Tool, ToolResult

T0 = 100.0
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str = "weather", **fields: Any) -> Tool:
    return Tool(name, "", SCHEMA, lambda _arguments, _context: ToolResult(""), **fields)


def call(number: int = 1, batch: str = "resp_1", name: str = "weather", arguments: str = '{"city": "Rome"}') -> Call:
    return Call(f"item_{number}", f"call_{number}", name, arguments, batch)


def free(quiet_since_s: float = T0, agent_asked: bool = False) -> Line:
    return Line(True, quiet_since_s, agent_asked)


BUSY = Line(False, T0, False)


def fresh(**limits: Any) -> ToolRuns:
    runs = ToolRuns("sess_1", ToolLimits(**limits))
    runs.turn_is("item_u1")
    return runs


def started(runs: ToolRuns, number: int = 1, at_s: float = T0, **fields: Any) -> int:
    steps = runs.called(call(number, f"resp_{number}", **fields), tool(fields.get("name", "weather")), at_s)
    assert isinstance(steps[0], Start)
    return steps[0].run.id


def kinds(steps: list[Any]) -> list[type]:
    return [type(step) for step in steps]


# ------------------------------------------------------------------------------------------------ running and telling


def test_a_call_runs_at_once_and_its_result_is_told_on_a_free_line() -> None:
    runs = fresh()
    run_id = started(runs)
    assert kinds(runs.finished(ToolFinished(run_id, "sunny"), T0 + 0.3)) == [Ended]
    assert runs.due(BUSY, T0 + 0.4) == []
    record, tell = runs.due(free(), T0 + 0.5)
    assert isinstance(record, Record)
    assert (record.calls[0].output, record.at_call) == ("sunny", False)
    assert tell == Tell((), False)
    assert runs.due(free(), T0 + 60) == []


def test_parallel_calls_are_told_together() -> None:
    runs = fresh()
    first = runs.called(call(1), tool(), T0)
    second = runs.called(call(2, name="time"), tool("time"), T0)
    assert isinstance(first[0], Start)
    assert isinstance(second[0], Start)
    runs.finished(ToolFinished(second[0].run.id, "noon"), T0 + 0.1)
    assert runs.due(free(), T0 + 0.2) == []
    runs.finished(ToolFinished(first[0].run.id, "sunny"), T0 + 0.3)
    record, _ = runs.due(free(), T0 + 0.4)
    assert isinstance(record, Record)
    assert [one.output for one in record.calls] == ["sunny", "noon"]


def test_arguments_that_do_not_fit_go_back_to_the_model_without_a_run() -> None:
    runs = fresh()
    wrong = call(arguments='{"town": 3}')
    assert kinds(runs.called(wrong, tool(), T0)) == [Ended]
    assert json.loads(wrong.output or "") == {"error": "The arguments do not fit: city is missing."}
    assert kinds(runs.due(free(), T0)) == [Record, Tell]


def test_a_run_past_its_time_fails_and_its_late_result_counts_for_nothing() -> None:
    runs = fresh(timeout_s=3)
    late = call()
    run = runs.called(late, tool(), T0)[0]
    assert isinstance(run, Start)
    assert runs.next_s(BUSY) == T0 + 3
    assert kinds(runs.due(free(T0 + 2.9), T0 + 3)) == [Stop, Ended, Record, Tell]
    assert "weather did not answer within 3 seconds" in (late.output or "")
    assert runs.finished(ToolFinished(run.run.id, "sunny"), T0 + 4) == []


def test_a_tool_may_have_its_own_time() -> None:
    runs = fresh(timeout_s=3)
    runs.called(call(), tool(timeout_s=9), T0)
    assert runs.next_s(BUSY) == T0 + 9


def test_rounds_of_calls_are_limited_and_the_last_answer_comes_without_tools() -> None:
    runs = fresh(max_steps=2)
    runs.finished(ToolFinished(started(runs, 1), "one"), T0)
    assert runs.due(free(), T0)[1] == Tell((), False)
    runs.finished(ToolFinished(started(runs, 2, arguments='{"city": "Oslo"}'), "two"), T0)
    assert runs.due(free(), T0)[1] == Tell((), True)
    more = call(3, "resp_3", arguments='{"city": "Bern"}')
    assert kinds(runs.called(more, tool(), T0)) == [Ended]
    assert kinds(runs.due(free(), T0)) == [Record, GiveUp]
    assert runs.due(free(), T0 + 60) == []


def test_a_new_turn_has_a_new_budget() -> None:
    runs = fresh(max_steps=1)
    runs.finished(ToolFinished(started(runs, 1), "one"), T0)
    runs.due(free(), T0)
    runs.turn_is("item_u2")
    assert started(runs, 2)


def test_more_calls_at_a_time_than_allowed_are_refused() -> None:
    runs = fresh(max_calls=1)
    started(runs, 1)
    second = call(2, arguments='{"city": "Oslo"}')
    assert kinds(runs.called(second, tool(), T0)) == [Ended]
    assert "At most 1 tools" in (second.output or "")


def test_the_same_call_in_a_turn_is_done_once_and_answered_twice() -> None:
    runs = fresh()
    run_id = started(runs, 1)
    assert runs.called(call(2, "resp_2", arguments='{ "city":"Rome" }'), tool(), T0) == []
    assert kinds(runs.finished(ToolFinished(run_id, "sunny"), T0 + 1)) == [Ended, Ended]
    third = call(3, "resp_3")
    runs.due(free(), T0 + 1)
    runs.called(third, tool(), T0 + 2)
    assert third.output == "sunny"


def test_what_means_the_same_has_the_same_key_and_nothing_else_has() -> None:
    def key(turn: str, arguments: str, session: str = "sess_1") -> str:
        runs = ToolRuns(session, ToolLimits())
        runs.turn_is(turn)
        step = runs.called(call(arguments=arguments), tool(), T0)[0]
        assert isinstance(step, Start)
        return step.run.key

    same = key("u1", '{"city": "Rome"}')
    assert key("u1", '{ "city" : "Rome" }') == same
    assert (
        len({same, key("u2", '{"city": "Rome"}'), key("u1", '{"city": "Oslo"}'), key("u1", '{"city": "Rome"}', "s")})
        == 4
    )


# -------------------------------------------------------------------------------------------------- filling the wait


def test_a_wait_is_filled_after_700_ms_and_then_again_and_ever_more_rarely() -> None:
    runs = fresh()
    started(runs)
    quiet_s = T0
    times: list[float] = []
    for _ in range(6):
        at_s = runs.next_s(free(quiet_s))
        assert at_s is not None
        assert not [step for step in runs.due(free(quiet_s), at_s - 0.01) if isinstance(step, Bridge)]
        if at_s > T0 + 19:
            break
        assert kinds(runs.due(free(quiet_s), at_s)) == [Bridge]
        times.append(at_s - quiet_s)
        quiet_s = at_s + 2.0
    assert times[0] == pytest.approx(BRIDGE_AFTER_S)
    assert max(times[:3]) <= 0.75
    assert times[3] >= 3


def test_the_first_comes_earlier_when_the_user_has_waited_already() -> None:
    runs = fresh()
    started(runs)
    assert runs.next_s(free(T0 - 0.7)) == pytest.approx(T0 + 0.45)
    assert runs.next_s(free(T0 - 5)) == pytest.approx(T0 + 0.2)


def test_nothing_is_said_into_words_of_the_agent_that_still_sound() -> None:
    runs = fresh()
    started(runs)
    assert runs.next_s(free(T0 + 2)) == pytest.approx(T0 + 2.7)


@pytest.mark.parametrize("line", [BUSY, free(agent_asked=True)])
def test_nothing_is_said_while_somebody_speaks_or_the_user_was_asked_something(line: Line) -> None:
    runs = fresh()
    started(runs)
    assert runs.due(line, T0 + 10) == []


def test_a_quick_tool_gets_no_bridge() -> None:
    runs = fresh()
    run_id = started(runs)
    assert runs.due(free(), T0 + 0.69) == []
    runs.finished(ToolFinished(run_id, "sunny"), T0 + 0.69)
    assert kinds(runs.due(free(), T0 + 0.7)) == [Record, Tell]


# ---------------------------------------------------------------------------------------- interruption and moot results


def test_work_outlives_turns_and_its_result_is_told_later() -> None:
    runs = fresh()
    run_id = started(runs)
    runs.turn_is("item_u2")
    assert runs.due(BUSY, T0 + 2) == []
    runs.finished(ToolFinished(run_id, "sunny"), T0 + 3)
    assert kinds(runs.due(free(T0 + 6), T0 + 6)) == [Record, Tell]


def test_a_result_of_which_nothing_was_heard_is_told_again() -> None:
    runs = fresh()
    runs.finished(ToolFinished(started(runs), "sunny"), T0 + 1)
    runs.due(free(), T0 + 1)
    runs.not_heard()
    assert kinds(runs.due(free(), T0 + 4)) == [Record, Tell]


def test_a_result_is_moot_once_the_same_tool_was_asked_again() -> None:
    runs = fresh()
    old = started(runs, 1)
    runs.turn_is("item_u2")
    new = started(runs, 2, arguments='{"city": "Oslo"}')
    runs.finished(ToolFinished(old, "sunny"), T0 + 1)
    steps = runs.due(BUSY, T0 + 1)
    assert [(step.at_call, step.calls[0].call_id) for step in steps if isinstance(step, Record)] == [(True, "call_1")]
    runs.finished(ToolFinished(new, "snow"), T0 + 2)
    assert kinds(runs.due(free(), T0 + 2)) == [Record, Tell]


def test_a_result_is_moot_after_several_turns_about_something_else() -> None:
    runs = fresh()
    run_id = started(runs)
    for turn in range(2, 6):
        runs.turn_is(f"item_u{turn}")
    runs.finished(ToolFinished(run_id, "sunny"), T0 + 15)
    (record,) = runs.due(free(), T0 + 15)
    assert isinstance(record, Record)
    assert record.at_call


def test_work_that_is_called_off_stops_and_says_so_to_the_model() -> None:
    runs = fresh()
    unwanted = call()
    runs.called(unwanted, tool(), T0)
    assert kinds(runs.called_off()) == [Stop, Ended, Record]
    assert json.loads(unwanted.output or "") == {"error": CALLED_OFF}
    assert runs.due(free(), T0 + 10) == []


# ------------------------------------------------------------------------------------------------------------ consent


def test_a_tool_that_asks_first_runs_only_after_a_yes() -> None:
    runs = fresh()
    assert runs.called(call(), tool(confirm="Shall I?"), T0) == []
    assert kinds(runs.due(free(), T0)) == [Ask]
    assert runs.due(free(), T0 + 30) == []
    assert kinds(runs.consented(T0 + 30)) == [Start]
    assert runs.unconfirmed is None


def test_a_no_settles_the_call() -> None:
    runs = fresh()
    refused = call()
    runs.called(refused, tool(confirm="Shall I?"), T0)
    runs.due(free(), T0)
    assert kinds(runs.refused(DECLINED)) == [Ended, Record]
    assert json.loads(refused.output or "") == {"error": DECLINED}
    assert runs.due(free(), T0 + 10) == []


def test_a_question_that_was_not_heard_is_put_again_and_then_given_up() -> None:
    runs = fresh()
    runs.called(call(), tool(confirm="Shall I?"), T0)
    runs.due(free(), T0)
    assert runs.ask_again() == []
    assert kinds(runs.due(free(), T0 + 5)) == [Ask]
    assert kinds(runs.ask_again()) == [Ended, Record]


# -------------------------------------------------------------------------------------------------------------- ahead


def test_only_a_tool_that_changes_nothing_begins_ahead_and_its_run_is_taken_over() -> None:
    runs = fresh()
    assert runs.called_ahead(tool(), '{"city": "Rome"}', T0) == []
    (start,) = runs.called_ahead(tool(read_only=True), '{"city": "Rome"}', T0)
    assert isinstance(start, Start)
    runs.finished(ToolFinished(start.run.id, "sunny"), T0 + 0.2)
    runs.turn_is("item_u2")
    assert runs.due(free(), T0 + 0.3) == []
    called = call()
    runs.called(called, tool(read_only=True), T0 + 0.4)
    assert called.output == "sunny"


def test_what_began_ahead_and_was_not_called_for_is_stopped() -> None:
    runs = fresh(timeout_s=60)
    runs.called_ahead(tool(read_only=True), '{"city": "Rome"}', T0)
    assert runs.due(free(), T0 + 5) == []
    assert kinds(runs.due(free(), T0 + 16)) == [Stop]
    assert runs.is_idle


# -------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Yes.", "yes"),
        ("Yes, please do.", "yes"),
        ("okay go ahead", "yes"),
        ("That's right, thank you.", "yes"),
        ("好的，可以", "yes"),
        ("yes but to another address", "other"),
        ("What does it cost?", "other"),
        ("", "other"),
        ("No, thanks.", "no"),
        ("don't do that", "no"),
        ("no, order forty three", "no"),
        ("不要", "no"),
        ("Never mind.", "stop"),
        ("oh, forget about it please", "stop"),
        ("Cancel that.", "stop"),
        ("cancel my order", "other"),
        ("stop the music at nine", "other"),
        ("算了", "stop"),
    ],
)
def test_how_a_reply_is_understood(text: str, reply: str) -> None:
    assert understood(text) == reply


def test_a_no_with_more_in_it_wants_an_answer() -> None:
    assert is_only_no("No, thank you.")
    assert not is_only_no("no, order forty three")


def test_bridges_vary_and_none_follows_itself() -> None:
    for language, kinds_of_phrase in PHRASES.items():
        options = kinds_of_phrase["bridge"]
        said = [bridge(language, count) for count in range(9)]
        assert said[0] == options[0]
        assert all(before != after for before, after in pairwise(said))
        assert set(said) == set(options)


def test_a_language_without_phrases_gets_english_ones() -> None:
    assert bridge("pl", 0) == bridge("en", 0) != bridge("de", 0)


def test_a_wait_that_was_filled_before_the_call_gets_no_first_bridge() -> None:
    runs = fresh()
    runs.called(call(), tool(), T0)
    runs.wait_was_filled()
    line = free(quiet_since_s=T0 - 0.1)
    assert runs.due(line, T0 + 0.59) == []
    assert runs.due(line, T0 + 0.61) == [Bridge(1)]


def test_a_long_silence_after_a_filler_still_leaves_the_tool_a_moment() -> None:
    runs = fresh()
    runs.called(call(), tool(), T0)
    runs.wait_was_filled()
    assert runs.due(free(quiet_since_s=T0 - 5), T0 + 0.19) == []


def test_a_filler_before_calls_that_all_failed_leaves_no_trace() -> None:
    runs = fresh()
    runs.called(call(arguments="{}"), tool(), T0)
    runs.wait_was_filled()
    runs.due(free(), T0)
    started(runs, 2, T0 + 1)
    assert runs.due(free(quiet_since_s=T0), T0 + 5) == [Bridge(0)]


def test_a_question_holds_the_arguments() -> None:
    assert question("Shall I cancel order {order_id} {note}?", {"order_id": 42}) == "Shall I cancel order 42?"
