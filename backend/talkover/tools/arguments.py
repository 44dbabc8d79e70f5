"""Arguments of a call against the tool's JSON schema. Pure.

The part of JSON Schema (draft 2020-12) is checked that says what a model gets wrong: types, missing and unknown
parameters, choices, ranges and lengths. What else a schema demands is left to whoever runs the tool. Problems are told
in words a model can act on, all at once.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from talkover.tools.tool import ToolFailed

MAX_ARGUMENT_CHARS = 20_000
MAX_NESTING = 64
"""levels of the arguments"""
MAX_DEPTH = 12
"""levels of the schema that are followed"""
MAX_STEPS = 10_000
"""of one check: choices within choices may ask for any number of them"""

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_BOUNDS: tuple[tuple[str, Callable[[float, float], bool], str], ...] = (
    ("minimum", operator.ge, "at least"),
    ("maximum", operator.le, "at most"),
    ("exclusiveMinimum", operator.gt, "more than"),
    ("exclusiveMaximum", operator.lt, "less than"),
)


class ArgumentsRefused(ToolFailed):
    """The arguments do not fit; the message names each problem, for the model to call again."""


def decode(arguments: str) -> dict[str, Any]:
    """The arguments as the model wrote them. Raises ArgumentsRefused when they are no JSON object."""
    if len(arguments) > MAX_ARGUMENT_CHARS:
        raise ArgumentsRefused(f"The arguments must be at most {MAX_ARGUMENT_CHARS} characters, got {len(arguments)}.")
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise ArgumentsRefused(f"The arguments must be a JSON object: {error}.") from None
    if _is_deep(value):
        raise ArgumentsRefused(f"The arguments must be nested at most {MAX_NESTING} levels deep.")
    if not isinstance(value, dict):
        raise ArgumentsRefused(f"The arguments must be a JSON object, got {_shown(value)}.")
    return cast("dict[str, Any]", value)


def check(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises ArgumentsRefused with all problems.

    Schemas come from other people's documents: a keyword whose value is not of the kind that JSON Schema asks for is
    taken as absent, and what is left of a schema after `MAX_STEPS` is not looked at.
    """
    problems = list(_Check(schema).problems("", dict(arguments), schema, 0))
    if problems:
        raise ArgumentsRefused(f"The arguments do not fit: {'; '.join(problems)}.")


def canonical(arguments: Mapping[str, Any]) -> str:
    """The same text for the same arguments, in whichever order the model wrote them."""
    return json.dumps(arguments, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(slots=True)
class _Check:
    """Arguments on their way through one schema."""

    root: Mapping[str, Any]
    steps: int = 0

    def problems(self, path: str, value: Any, schema: Any, depth: int) -> Iterator[str]:
        self.steps += 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self.steps > MAX_STEPS:
            return
        schema = _resolved(cast("dict[str, Any]", schema), self.root)
        name = path or "the arguments"
        choices = [option for key in ("anyOf", "oneOf") for option in _list(schema.get(key))]
        if choices and (refusals := self._refusals(path, value, choices, depth)):
            yield refusals[0]
            return
        kinds = schema.get("type")
        allowed = [kind for kind in ([kinds] if isinstance(kinds, str) else _list(kinds)) if isinstance(kind, str)]
        if allowed and not any(_is(value, kind) for kind in allowed):
            yield f"{name} must be {' or '.join(map(_named, allowed))}, got {_shown(value)}"
            return
        options = schema.get("enum")
        if isinstance(options, list) and value not in options:
            yield f"{name} must be one of {', '.join(map(_shown, _list(options)))}, got {_shown(value)}"
        if "const" in schema and value != schema["const"]:
            yield f"{name} must be {_shown(schema['const'])}, got {_shown(value)}"
        match value:
            case bool():
                return
            case int() | float():
                for key, holds, words in _BOUNDS:
                    bound = schema.get(key)
                    if isinstance(bound, (int, float)) and not isinstance(bound, bool) and not holds(value, bound):
                        yield f"{name} must be {words} {bound}, got {value}"
            case str():
                yield from _lengths(name, len(value), schema, "minLength", "maxLength", "characters")
            case list():
                items = cast("list[Any]", value)
                yield from _lengths(name, len(items), schema, "minItems", "maxItems", "items")
                for index, item in enumerate(items):
                    yield from self.problems(f"{path}[{index}]", item, schema.get("items"), depth + 1)
            case dict():
                yield from self._members(path, cast("dict[str, Any]", value), schema, depth)
            case _:
                return

    def _refusals(self, path: str, value: Any, choices: list[Any], depth: int) -> list[str]:
        """The first problem with each of several choices; none when one of them fits."""
        refusals: list[str] = []
        for choice in choices:
            problem = next(self.problems(path, value, choice, depth + 1), None)
            if problem is None:
                return []
            refusals.append(problem)
        return refusals

    def _members(self, path: str, value: dict[str, Any], schema: dict[str, Any], depth: int) -> Iterator[str]:
        prefix = f"{path}." if path else ""
        properties = _object(schema.get("properties"))
        for key in _list(schema.get("required")):
            if isinstance(key, str) and key not in value:
                yield f"{prefix}{key} is missing"
        for key, member in value.items():
            if key in properties:
                yield from self.problems(f"{prefix}{key}", member, properties[key], depth + 1)
            elif schema.get("additionalProperties") is False:
                yield f"{prefix}{key} is not a parameter, allowed: {', '.join(properties) or 'none'}"


def _lengths(
    name: str, length: int, schema: Mapping[str, Any], shortest: str, longest: str, what: str
) -> Iterator[str]:
    least, most = schema.get(shortest), schema.get(longest)
    if isinstance(least, int) and length < least:
        yield f"{name} must have at least {least} {what}, got {length}"
    if isinstance(most, int) and length > most:
        yield f"{name} must have at most {most} {what}, got {length}"


def _resolved(schema: dict[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """What a `$ref` within the schema stands for; an empty schema, which allows everything, for any other."""
    for _ in range(MAX_DEPTH):
        reference = schema.get("$ref")
        if reference is None:
            return schema
        node: Any = root
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return {}
        for part in reference[2:].split("/"):
            node = _object(node).get(part.replace("~1", "/").replace("~0", "~"))
        schema = _object(node)
    return {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [child for node in level for child in (_object(node).values() or _list(node))]
    return bool(level)


def _is(value: Any, kind: str) -> bool:
    if kind not in _KINDS:
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS[kind])


def _named(kind: str) -> str:
    return {"null": "null", "array": "a list", "integer": "an integer", "object": "an object"}.get(kind, f"a {kind}")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
