"""The listening behaviour on the wire: `session.s2s.manners`, for clients of the extension."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from talkover.realtime.behaviour import Manners
from talkover.realtime.fields import Field, JsonObject


def manners_wire(manners: Manners) -> JsonObject:
    return asdict(manners)


def read_manners(field: Field, current: Manners | None) -> Manners:
    """`current` with what is given; null of one field is its default. Raises ProtocolError."""
    field.object()
    changes: dict[str, Any] = {}
    for name, read in _FIELDS.items():
        if (found := field.find(name)) is not None:
            changes[name] = getattr(_DEFAULT, name) if found.is_null else read(found)
    return replace(current or _DEFAULT, **changes)


_DEFAULT = Manners()
_FIELDS: dict[str, Callable[[Field], Any]] = {
    "filler_after_ms": lambda field: field.integer(200, 10_000),
    "reprompt_after_ms": lambda field: field.integer(2_000, 120_000),
    "max_reprompts": lambda field: field.integer(0, 10),
    "hangs_up": Field.boolean,
    "backchannels": Field.boolean,
}
