"""The client's tools without a language model: called when named, filled from the words, read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from talkover.llm.client_tools import demanded_call, meant_call, spoken_result
from talkover.messages import FunctionTool, Prompt, PromptCall, PromptCallOutput, PromptMessage


def tool(name: str, description: str = "", required: tuple[str, ...] = (), **properties: Any) -> FunctionTool:
    return FunctionTool(name, description, {"type": "object", "properties": properties, "required": list(required)})


WEATHER = tool("get_weather", "The weather of a city.", ("city",), city={"type": "string"})
LIGHT = tool(
    "setLight",
    "Turns the light on or off.",
    ("state",),
    state={"type": "string", "enum": ["on", "off"]},
    brightness={"type": "integer"},
)
TIMER = tool("set_timer", "", ("minutes",), minutes={"type": "integer"})


def prompt(text: str, *tools: FunctionTool, choice: str = "auto") -> Prompt:
    return Prompt("", (PromptMessage("user", text),), tools, choice)


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("What is the weather in New York?", "get_weather", {"city": "New York"}),
        ("set the light to off please", "setLight", {"state": "off"}),
        ("set the light on with brightness fifty", "setLight", {"state": "on", "brightness": 50}),
        ("please set a timer for twenty five minutes", "set_timer", {"minutes": 25}),
    ],
)
def test_clear_words_call_a_tool(text: str, name: str, arguments: dict[str, Any]) -> None:
    call = meant_call(prompt(text, WEATHER, LIGHT, TIMER), text)
    assert call is not None
    assert (call.name, json.loads(call.arguments)) == (name, arguments)


@pytest.mark.parametrize("text", ["what is talkover", "the weather", "set a timer", "light"])
def test_unclear_words_call_none(text: str) -> None:
    assert meant_call(prompt(text, WEATHER, LIGHT, TIMER), text) is None


def test_tool_choice_is_obeyed() -> None:
    text = "what is the weather in Rome"
    assert meant_call(prompt(text, WEATHER, choice="none"), text) is None
    assert demanded_call(prompt(text, WEATHER), text) is None
    required = demanded_call(prompt(text, TIMER, WEATHER, choice="required"), text)
    assert required is not None
    assert (required.name, json.loads(required.arguments)) == ("get_weather", {"city": "Rome"})
    named = demanded_call(prompt("do something", TIMER, choice="set_timer"), "do something")
    assert named is not None
    assert (named.name, named.arguments) == ("set_timer", "{}")
    assert demanded_call(prompt(text, WEATHER, choice="unknown"), text) is None


def test_a_tool_without_a_schema() -> None:
    call = demanded_call(prompt("now", FunctionTool("now"), choice="required"), "now")
    assert call is not None
    assert call.arguments == "{}"


@pytest.mark.parametrize(
    ("output", "spoken"),
    [
        ("It is sunny", "It is sunny."),
        ('"quoted"', "Quoted."),
        ('{"temperature": 21, "windSpeed": 3}', "The temperature is 21, wind speed is 3."),
        ('{"ok": true}', "That is done."),
        ('{"success": false}', "That did not work."),
        ('{"error": "no such city"}', "That did not work: no such city."),
        ('["a", "b"]', "A, b."),
        ("[]", "Nothing was found."),
        ("true", "Yes."),
        ("", "That is done."),
        ("null", "Nothing."),
    ],
)
def test_a_result_is_read_back(output: str, spoken: str) -> None:
    messages = (PromptMessage("user", "x"), PromptCall("c", "f", "{}"), PromptCallOutput("c", output))
    assert spoken_result(Prompt("", messages)) == (spoken,)


def test_a_long_result_is_cut() -> None:
    result = spoken_result(Prompt("", (PromptCallOutput("c", "word " * 1000),)))
    assert result is not None
    assert len(result[0]) < 450


def test_without_a_result_nothing_is_read() -> None:
    assert spoken_result(prompt("hello")) is None
    assert spoken_result(Prompt("", (PromptCallOutput("c", "x"), PromptMessage("user", "and?")))) is None
