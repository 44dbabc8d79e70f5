"""Arguments of a call against the tool's JSON schema. Pure.

The part of JSON Schema (draft 2020-12) is checked that says what a model gets wrong: types, missing and unknown
parameters, choices, ranges and lengths. What else a schema demands is left to whoever runs the tool. Problems are told
in words a model can act on, all at once.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from talkover.tools.tool import ToolFailed

MAX_ARGUMENT_CHARS = 20_000
MAX_DEPTH = 12

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
    if not isinstance(value, dict):
        raise ArgumentsRefused(f"The arguments must be a JSON object, got {_shown(value)}.")
    return cast("dict[str, Any]", value)


def check(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raises ArgumentsRefused with all problems."""
    problems = list(_problems("", dict(arguments), schema, schema, 0))
    if problems:
        raise ArgumentsRefused(f"The arguments do not fit: {'; '.join(problems)}.")


def canonical(arguments: Mapping[str, Any]) -> str:
    """The same text for the same arguments, in whichever order the model wrote them."""
    return json.dumps(arguments, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _problems(path: str, value: Any, schema: Any, root: Mapping[str, Any], depth: int) -> Iterator[str]:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return
    schema = _resolved(cast("dict[str, Any]", schema), root)
    name = path or "the arguments"
    choices = [option for key in ("anyOf", "oneOf") for option in schema.get(key, ())]
    if choices and all(any(_problems(path, value, choice, root, depth + 1)) for choice in choices):
        yield next(iter(_problems(path, value, choices[0], root, depth + 1)))
        return
    kinds = schema.get("type")
    allowed = [kinds] if isinstance(kinds, str) else list(kinds or ())
    if allowed and not any(_is(value, kind) for kind in allowed):
        yield f"{name} must be {' or '.join(map(_named, allowed))}, got {_shown(value)}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{name} must be one of {', '.join(map(_shown, schema['enum']))}, got {_shown(value)}"
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
                yield from _problems(f"{path}[{index}]", item, schema.get("items"), root, depth + 1)
        case dict():
            yield from _members(path, cast("dict[str, Any]", value), schema, root, depth)
        case _:
            return


def _members(
    path: str, value: dict[str, Any], schema: dict[str, Any], root: Mapping[str, Any], depth: int
) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    properties: dict[str, Any] = schema.get("properties") or {}
    for key in schema.get("required") or ():
        if key not in value:
            yield f"{prefix}{key} is missing"
    for key, member in value.items():
        if key in properties:
            yield from _problems(f"{prefix}{key}", member, properties[key], root, depth + 1)
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
            node = cast("dict[str, Any]", node).get(part.replace("~1", "/").replace("~0", "~")) if node else None
        schema = cast("dict[str, Any]", node) if isinstance(node, dict) else {}
    return {}


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
