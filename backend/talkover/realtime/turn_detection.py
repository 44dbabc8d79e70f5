"""How the server is told to find the user's turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from talkover.realtime.fields import Field, JsonObject

TurnDetectionType = Literal["server_vad", "semantic_vad"]
Eagerness = Literal["low", "medium", "high", "auto"]


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """The fields of both types live side by side: switching between them loses nothing."""

    type: TurnDetectionType = "server_vad"
    threshold: float = 0.5
    """server_vad: speech probability, 0 to 1"""
    prefix_padding_ms: int = 300
    """server_vad"""
    silence_duration_ms: int = 500
    """server_vad"""
    idle_timeout_ms: int | None = None
    """server_vad: 5000 to 30000; None: never"""
    eagerness: Eagerness = "auto"
    """semantic_vad; `auto` means medium"""
    create_response: bool = True
    interrupt_response: bool = True

    def wire(self) -> JsonObject:
        """Always names both answers: clients cancel by themselves when they do not read `interrupt_response`."""
        answers = {"create_response": self.create_response, "interrupt_response": self.interrupt_response}
        if self.type == "semantic_vad":
            return {"type": self.type, "eagerness": self.eagerness, **answers}
        return {
            "type": self.type,
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
            "idle_timeout_ms": self.idle_timeout_ms,
            **answers,
        }


def read_turn_detection(field: Field, current: TurnDetection | None) -> TurnDetection | None:
    """`current` with what is given; null as a whole is off, null of one field its default. Raises ProtocolError."""
    if field.is_null:
        return None
    kind = field.get("type") if current is not None else field.require("type")
    changes: dict[str, Any] = {} if kind is None else {"type": kind.one_of(_TYPES)}
    for name, read in _FIELDS.items():
        found = field.find(name)
        if found is not None:
            changes[name] = getattr(_DEFAULT, name) if found.is_null else read(found)
    return replace(current or _DEFAULT, **changes)


_DEFAULT = TurnDetection()
_TYPES: tuple[TurnDetectionType, ...] = ("server_vad", "semantic_vad")
_FIELDS: dict[str, Callable[[Field], Any]] = {
    "threshold": lambda field: field.number(0, 1),
    "prefix_padding_ms": lambda field: field.integer(0, 10_000),
    "silence_duration_ms": lambda field: field.integer(0, 60_000),
    "idle_timeout_ms": lambda field: field.integer(5_000, 30_000),
    "eagerness": lambda field: field.one_of(("low", "medium", "high", "auto")),
    "create_response": Field.boolean,
    "interrupt_response": Field.boolean,
}
