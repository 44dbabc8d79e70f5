"""Python functions as tools, and arguments a model gets wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from talkover.config import ConfigError
from talkover.tools.arguments import MAX_ARGUMENT_CHARS, ArgumentsRefused, check, decode
from talkover.tools.functions import function_tool, load_functions
from talkover.tools.tool import Tool, Toolbox, ToolContext, ToolResult, cut_output

CONTEXT = ToolContext("key-1", 1e9, lambda: False)


class Parcel(BaseModel):
    weight_kg: float
    express: bool = False


def ship(
    city: Annotated[str, Field(description="Where to.", min_length=2)],
    parcel: Parcel,
    context: ToolContext,
    speed: Literal["slow", "fast"] = "slow",
) -> dict[str, object]:
    """Send a parcel."""
    return {"to": city, "kg": parcel.weight_kg, "speed": speed, "key": context.idempotency_key}


def test_the_schema_comes_from_the_annotations_and_hides_the_context() -> None:
    tool = function_tool(ship)
    assert (tool.name, tool.description) == ("ship", "Send a parcel.")
    assert set(tool.parameters["properties"]) == {"city", "parcel", "speed"}
    assert tool.parameters["required"] == ["city", "parcel"]
    assert tool.parameters["properties"]["city"]["description"] == "Where to."


def test_a_call_gets_typed_arguments_and_the_context() -> None:
    result = function_tool(ship).run({"city": "Rome", "parcel": {"weight_kg": 2}, "speed": "fast"}, CONTEXT)
    assert json.loads(result.output) == {"to": "Rome", "kg": 2.0, "speed": "fast", "key": "key-1"}


def test_wrong_arguments_are_told_all_at_once() -> None:
    with pytest.raises(ArgumentsRefused) as refused:
        function_tool(ship).run({"city": "R", "parcel": {"weight_kg": "heavy"}, "colour": "red"}, CONTEXT)
    for word in ("city", "parcel.weight_kg", "'heavy'", "colour"):
        assert word in str(refused.value)


def test_an_async_function_and_a_ready_result_are_taken_too() -> None:
    async def soon(n: int) -> ToolResult:
        return ToolResult(f"{n} minutes", signal="later")

    assert function_tool(soon).run({"n": 3}, CONTEXT) == ToolResult("3 minutes", signal="later")


def test_a_function_that_cannot_be_called_by_name_is_no_tool() -> None:
    def greedy(*names: str) -> str:
        return ""

    with pytest.raises(TypeError, match="names"):
        function_tool(greedy)


def test_tools_are_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "orders.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "from talkover.tools.functions import tool\n"
        "@dataclass\n"
        "class Shop:\n"
        "    open: ClassVar[bool] = True\n"
        "@tool(confirm='Shall I cancel order {order}?', timeout_s=3)\n"
        "def cancel_order(order: int) -> str:\n"
        "    'Cancel an order.'\n"
        "    return f'{order} is cancelled'\n"
        "def helper(): ...\n"
    )
    (tool,) = load_functions(str(path))
    assert (tool.name, tool.confirm, tool.timeout_s) == ("cancel_order", "Shall I cancel order {order}?", 3)
    assert tool.run({"order": 7}, CONTEXT).output == "7 is cancelled"


@pytest.mark.parametrize(
    ("source", "problem"),
    [("import nothing_of_that_name", "nothing_of_that_name"), ("x = 1", "decorator"), ("def (", "SyntaxError")],
)
def test_a_file_without_tools_is_named(tmp_path: Path, source: str, problem: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(source)
    with pytest.raises(ConfigError, match=problem) as refused:
        load_functions(str(path))
    assert "broken.py" in str(refused.value)


def test_names_must_be_unique_and_fit_the_wire() -> None:
    with pytest.raises(ConfigError, match="twice") as refused:
        Toolbox([function_tool(ship), function_tool(ship), function_tool(ship, name="two words")])
    assert "'two words'" in str(refused.value)


def test_the_tools_of_a_box_are_closed_once() -> None:
    closed: list[str] = []
    box = Toolbox([Tool("a", "", {}, lambda _a, _c: ToolResult(""), closes=(lambda: closed.append("a"),))])
    box.close()
    assert closed == ["a"]


# ----------------------------------------------------------------------------------------------------------- arguments

SCHEMA = {
    "type": "object",
    "properties": {
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "units": {"enum": ["metric", "imperial"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2},
        "place": {"$ref": "#/$defs/place"},
        "when": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["days"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "days is missing"),
        ({"days": "3"}, 'days must be an integer, got "3"'),
        ({"days": True}, "days must be an integer, got true"),
        ({"days": 9}, "days must be at most 7, got 9"),
        ({"days": 1, "units": "both"}, 'units must be one of "metric", "imperial", got "both"'),
        ({"days": 1, "tags": ["abcd"]}, "tags[0] must have at most 3 characters, got 4"),
        ({"days": 1, "tags": ["a", "b", "c"]}, "tags must have at most 2 items, got 3"),
        ({"days": 1, "place": {}}, "place.city is missing"),
        ({"days": 1, "when": 5}, "when must be a string, got 5"),
        ({"days": 1, "hours": 2}, "hours is not a parameter, allowed: days, units, tags, place, when"),
    ],
)
def test_what_is_wrong_with_arguments_is_said(arguments: dict[str, object], problem: str) -> None:
    with pytest.raises(ArgumentsRefused) as refused:
        check(arguments, SCHEMA)
    assert str(refused.value) == f"The arguments do not fit: {problem}."


@pytest.mark.parametrize(
    "arguments",
    [{"days": 1}, {"days": 7.0, "when": None}, {"days": 2, "place": {"city": "Rome", "street": "x"}, "tags": []}],
)
def test_arguments_that_fit_are_let_through(arguments: dict[str, object]) -> None:
    check(arguments, SCHEMA)


def test_a_schema_that_holds_itself_ends() -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    check({"x": 1}, schema)


@pytest.mark.parametrize("text", ["[1]", "not json", "{" * 5, '{"a": 1', "[" * 5000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ArgumentsRefused, match="JSON object"):
        decode(text)


def test_endless_arguments_are_refused() -> None:
    with pytest.raises(ArgumentsRefused, match=str(MAX_ARGUMENT_CHARS)):
        decode('{"a": "' + "x" * MAX_ARGUMENT_CHARS + '"}')


def test_a_long_output_is_cut() -> None:
    assert len(cut_output("x" * 100_000)) == 16_000
    assert cut_output("short") == "short"
