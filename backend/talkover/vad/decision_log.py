"""A decider's calls and results as lines of JSON, and the same decisions again from those lines.

A decider is an object without I/O and clock: all that its decisions rest on comes in through the arguments of its
methods. So the log of one session is enough to take every decision again, to the bit, without audio and without models.

The lines of a file, in order of time; several deciders may share it:

    {"format": "talkover-decisions", "version": 1}
    {"decider": "Endpointer", "made_with": [...]}
    {"session": "sess_..."}
    {"voice": "alloy", "is": "en-us"}
    {"last_sound_ms": 1840.0}
    {"decider": "Endpointer", "call": "feed", "with": [...], "gives": [...]}

Arguments are positional and encoded as msgspec does; results carry the names of their types. Constructor and methods
must be annotated with what msgspec can convert: numbers, strings, frozen dataclasses, literals, None.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar, cast

import msgspec

FORMAT = "talkover-decisions"
VERSION = 1

Parameters = ParamSpec("Parameters")
Decider = TypeVar("Decider")
Write = Callable[[bytes], None]
"""takes one line without its end"""


def header() -> bytes:
    """The first line of a file."""
    return msgspec.json.encode({"format": FORMAT, "version": VERSION})


def session_line(session_id: str) -> bytes:
    """Tells whose decisions these are."""
    return msgspec.json.encode({"session": session_id})


def voice_line(name: str, voice_id: str | None) -> bytes:
    """Tells which voice a name stood for when it was asked."""
    return msgspec.json.encode({"voice": name, "is": voice_id})


def last_sound_line(ended_ms: float) -> bytes:
    """Tells where the last sound of a turn ended, from its first sample."""
    return msgspec.json.encode({"last_sound_ms": ended_ms})


def recorded(
    kind: Callable[Parameters, Decider],
    write: Write | None,
    *arguments: Parameters.args,
    **named: Parameters.kwargs,
) -> Decider:
    """`kind(*arguments)`, every call of which is written down; the plain object when `write` is None."""
    decider = kind(*arguments, **named)
    if write is None:
        return decider
    bound = inspect.signature(kind).bind(*arguments, **named)
    bound.apply_defaults()
    name = type(decider).__name__
    write(msgspec.json.encode({"decider": name, "made_with": plain(bound.args)}))
    return cast(Decider, _Recorded(decider, name, write))


class _Recorded:
    """Stands for a decider."""

    def __init__(self, decider: object, name: str, write: Write) -> None:
        self._decider = decider
        self._name = name
        self._write = write
        self._calls: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Any:
        if name in self._calls:
            return self._calls[name]
        found = getattr(self._decider, name)
        if not inspect.ismethod(found):
            return found
        self._calls[name] = self._recording(name, found)
        return self._calls[name]

    def _recording(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(method)

        def call(*arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            bound = signature.bind(*arguments, **named)
            bound.apply_defaults()
            self._write(_line(self._name, name, plain(bound.args), result))
            return result

        return call


def _line(decider: str, call: str, arguments: Any, result: object) -> bytes:
    return msgspec.json.encode(
        {"decider": decider, "call": call, "with": arguments, "gives": plain(result, with_types=True)}
    )


def plain(value: object, with_types: bool = False) -> Any:
    """JSON's own types; a float that JSON has no word for becomes the string Python reads it from."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: plain(getattr(value, field.name), with_types) for field in fields(value)}
        return {"type": type(value).__name__, **members} if with_types else members
    if isinstance(value, (list, tuple)):
        items = cast("Iterable[object]", value)
        return [plain(item, with_types) for item in items]
    return value


# ---------------------------------------------------------------------------------------------------------- replay


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that came out otherwise."""

    line: int
    """in the file, from 1"""
    recorded: str
    replayed: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay."""

    calls: int
    differences: tuple[Difference, ...]
    """the first `MAX_DIFFERENCES`"""


MAX_DIFFERENCES = 20


def replay(lines: Iterable[bytes], kinds: Mapping[str, type[Any]]) -> Replay:
    """Take the decisions of a log again and compare them byte by byte.

    Raises ValueError for what is no such log, and for a decider or a call that `kinds` do not know.
    """
    differences: list[Difference] = []
    calls = 0
    for decided in decide_again(lines, kinds):
        calls += 1
        if decided.encoded() != decided.recorded and len(differences) < MAX_DIFFERENCES:
            gives = msgspec.json.encode(decided.entry.get("gives")).decode()
            again = msgspec.json.encode(plain(decided.result, with_types=True)).decode()
            differences.append(Difference(decided.line, gives, again))
    return Replay(calls, tuple(differences))


@dataclass(frozen=True, slots=True)
class Decided:
    """A call that was made again."""

    line: int
    """in the file, from 1"""
    entry: dict[str, Any]
    recorded: bytes
    result: Any

    def encoded(self) -> bytes:
        """The line it makes now."""
        return _line(self.entry["decider"], self.entry["call"], self.entry["with"], self.result)


def decide_again(
    lines: Iterable[bytes], kinds: Mapping[str, type[Any]], change: Callable[[Any], Any] | None = None
) -> Iterator[Decided]:
    """Make every call of a log again. `change` is applied to each argument: other settings, other decisions.

    Raises ValueError as `replay` does.
    """
    deciders: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        entry = _entry(line, number)
        if number == 1:
            if (entry.get("format"), entry.get("version")) != (FORMAT, VERSION):
                raise ValueError(f"line 1: must be {header().decode()}, got {line.decode(errors='replace').strip()}")
            continue
        if "session" in entry or "voice" in entry or "last_sound_ms" in entry:
            continue
        name = str(entry.get("decider"))
        if name not in kinds:
            raise ValueError(f"line {number}: decider must be one of {', '.join(kinds)}, got {name!r}")
        if "made_with" in entry:
            made_with = _arguments(kinds[name].__init__, entry.get("made_with"), number)
            deciders[name] = kinds[name](*_changed(made_with, change))
            continue
        if name not in deciders:
            raise ValueError(f"line {number}: {name} was never made")
        method = getattr(deciders[name], str(entry.get("call")), None)
        if not inspect.ismethod(method):
            raise ValueError(f"line {number}: {name} has no method {entry.get('call')!r}")
        result = method(*_changed(_arguments(method, entry.get("with"), number), change))
        yield Decided(number, entry, line.rstrip(b"\r\n"), result)


def _changed(arguments: list[Any], change: Callable[[Any], Any] | None) -> list[Any]:
    return arguments if change is None else [change(argument) for argument in arguments]


def _entry(line: bytes, number: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}: must be a JSON object: {error}") from error


def _arguments(function: Callable[..., Any], values: Any, number: int) -> list[Any]:
    """`values` as the types the function is annotated with."""
    parameters = _parameters(getattr(function, "__func__", function))[1:]
    given = len(cast("list[Any]", values)) if isinstance(values, list) else "no list of"
    if given != len(parameters):
        names = ", ".join(name for name, _ in parameters)
        raise ValueError(f"line {number}: {function.__qualname__} takes {names}, got {given} values")
    try:
        return [msgspec.convert(value, hint, strict=False) for value, (_, hint) in zip(values, parameters, strict=True)]
    except msgspec.ValidationError as error:
        raise ValueError(f"line {number}: {function.__qualname__}: {error}") from error


@lru_cache(maxsize=64)
def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, Any], ...]:
    """Name and type of each parameter, `self` included."""
    hints = typing.get_type_hints(function)
    return tuple((name, hints.get(name, Any)) for name in inspect.signature(function).parameters)
