"""The dialects of streamed chat completions, line by line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from talkover.engines import LlmCall, LlmEvent, LlmFinished, LlmText
from talkover.llm.chat_stream import ChatStream, StreamError
from talkover.messages import Usage


def delta(**fields: Any) -> str:
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": fields}]})


def finish(reason: str | None) -> str:
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def call(index: int | None = None, call_id: str | None = None, **function: Any) -> str:
    piece: dict[str, Any] = {"function": function}
    if index is not None:
        piece["index"] = index
    if call_id is not None:
        piece["id"] = call_id
    return delta(tool_calls=[piece])


def events_of(*lines: str) -> list[LlmEvent]:
    stream = ChatStream()
    events = [event for line in lines for event in stream.feed(line)]
    return [*events, *stream.finish()]


def text_of(events: list[LlmEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, LlmText))


def calls_of(events: list[LlmEvent]) -> list[tuple[str, str]]:
    """(name, arguments) per call; fails when pieces of two calls are mixed."""
    calls: dict[int, list[str]] = {}
    order: list[int] = []
    for event in events:
        if isinstance(event, LlmCall):
            if not order or order[-1] != event.index:
                assert event.index not in calls, "pieces of parallel calls are mixed"
                assert event.arguments == "", "the first piece has the name and no arguments"
                order.append(event.index)
                calls[event.index] = [event.name]
            calls[event.index].append(event.arguments)
    return [(calls[index][0], "".join(calls[index][1:])) for index in order]


def test_text_and_usage() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    events = events_of(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo."),
        finish("stop"),
        "data: " + json.dumps({"choices": [], "usage": usage}),
        "data: [DONE]",
    )
    assert text_of(events) == "Hello."
    assert events[-1] == LlmFinished("stop", Usage(9, 2, 4))


@pytest.mark.parametrize(
    "noise",
    [
        ": keep-alive",
        "event: message",
        "data: this is not JSON",
        "data: [1, 2]",
        'data: {"choices": null}',
        'data: {"choices": [null]}',
        'data: {"choices": [{"delta": null}]}',
        'data: {"choices": [{"delta": {"content": null, "tool_calls": null}}]}',
        'data: {"choices": [{"delta": {"tool_calls": [null, {}]}}]}',
        'data: {"usage": "none"}',
        "<html>gateway</html>",
    ],
)
def test_noise_between_tokens_does_no_harm(noise: str) -> None:
    events = events_of(delta(content="Hel"), noise, delta(content="lo."), finish("stop"), "data: [DONE]")
    assert text_of(events) == "Hello."
    assert events[-1] == LlmFinished("stop")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_not_spoken_but_is_a_sign_of_life(name: str) -> None:
    stream = ChatStream()
    assert list(stream.feed(delta(**{name: "Let me think."}))) == []
    assert stream.alive
    assert stream.is_empty


def test_keep_alive_is_no_sign_of_life() -> None:
    stream = ChatStream()
    list(stream.feed(": keep-alive"))
    list(stream.feed(delta(role="assistant", content="")))
    assert not stream.alive


def test_content_as_parts_and_refusals_are_spoken() -> None:
    events = events_of(delta(content=[{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]))
    assert text_of(events) == "Hello."
    assert text_of(events_of(delta(refusal="I can't."))) == "I can't."


def test_an_answer_that_is_not_a_stream_is_understood() -> None:
    body = json.dumps({"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}, indent=1)
    events = events_of(*body.splitlines())
    assert text_of(events) == "Hello."


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        (None, "stop"),
        ("", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
    ],
)
def test_finish_reasons(said: str | None, meant: str) -> None:
    assert events_of(delta(content="Hi."), finish(said))[-1] == LlmFinished(meant)


def test_a_call_is_streamed_as_it_comes() -> None:
    stream = ChatStream()
    assert list(stream.feed(call(0, "a", name="look_up", arguments=""))) == [LlmCall(0, "look_up", "")]
    assert list(stream.feed(call(0, arguments='{"q":'))) == [LlmCall(0, "look_up", '{"q":')]
    assert list(stream.feed(call(0, arguments=' "x"}'))) == [LlmCall(0, "look_up", ' "x"}')]
    assert list(stream.feed(finish("tool_calls"))) == []
    assert list(stream.finish()) == [LlmFinished("tool_calls")]


CALLS = {
    "interleaved": [
        call(0, "a", name="one", arguments='{"a":'),
        call(1, "b", name="two", arguments='{"b":'),
        call(0, arguments=" 1}"),
        call(1, arguments=" 2}"),
    ],
    "whole, without id and index": [
        delta(
            tool_calls=[
                {"function": {"name": "one", "arguments": '{"a": 1}'}},
                {"function": {"name": "two", "arguments": '{"b": 2}'}},
            ]
        )
    ],
    "pieces without id and index": [
        call(name="one", arguments=""),
        call(arguments='{"a": 1}'),
        call(name="two", arguments='{"b"'),
        call(arguments=": 2}"),
    ],
    "the same index for both": [
        call(0, "a", name="one", arguments='{"a": 1}'),
        call(0, "b", name="two", arguments='{"b"'),
        call(0, "b", arguments=": 2}"),
    ],
    "index without id": [
        call(0, name="one", arguments='{"a": 1}'),
        call(1, name="two", arguments='{"b": 2}'),
    ],
    "id and name repeated in every piece": [
        call(0, "a", name="one", arguments='{"a"'),
        call(0, "a", name="one", arguments=": 1}"),
        call(1, "b", name="two", arguments='{"b": 2}'),
    ],
    "name repeated, no id, no index": [
        call(name="one", arguments='{"a"'),
        call(name="one", arguments=": 1}"),
        call(name="two", arguments='{"b": 2}'),
    ],
    "arguments as an object": [
        call(0, "a", name="one", arguments={"a": 1}),
        call(1, "b", name="two", arguments={"b": 2}),
    ],
    "name after the arguments": [
        call(0, "a", arguments='{"a": 1}'),
        call(0, "a", name="one"),
        call(1, "b", name="two", arguments='{"b": 2}'),
    ],
}


@pytest.mark.parametrize("dialect", CALLS)
def test_parallel_calls_in_every_dialect(dialect: str) -> None:
    events = events_of(*CALLS[dialect], finish("stop"))
    assert calls_of(events) == [("one", '{"a": 1}'), ("two", '{"b": 2}')]
    assert events[-1] == LlmFinished("tool_calls")


def test_the_same_function_twice_in_one_chunk() -> None:
    pieces = [{"function": {"name": "one", "arguments": f'{{"a": {number}}}'}} for number in (1, 2)]
    assert calls_of(events_of(delta(tool_calls=pieces))) == [("one", '{"a": 1}'), ("one", '{"a": 2}')]


def test_a_call_without_arguments_gets_an_empty_object() -> None:
    assert calls_of(events_of(call(0, "a", name="now", arguments=""), finish("tool_calls"))) == [("now", "{}")]


def test_the_old_function_call_field() -> None:
    events = events_of(
        delta(function_call={"name": "one", "arguments": '{"a"'}), delta(function_call={"arguments": ": 1}"})
    )
    assert calls_of(events) == [("one", '{"a": 1}')]


def test_an_error_in_the_stream_shows_its_code_and_not_its_text() -> None:
    stream = ChatStream()
    line = 'data: {"error": {"message": "your prompt was: hello", "code": "server_error"}}'
    with pytest.raises(StreamError, match=r"^server_error$"):
        list(stream.feed(line))


def test_whether_the_answer_is_complete() -> None:
    stream = ChatStream()
    list(stream.feed(delta(content="Hel")))
    assert not stream.is_complete
    list(stream.feed("data: [DONE]"))
    assert stream.is_complete
