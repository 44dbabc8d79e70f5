"""Typed reading of decoded JSON whose errors name the key by its dotted path, the value, and what is allowed."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from talkover.realtime.errors import (
    ProtocolError,
    invalid_type,
    invalid_value,
    listed,
    missing_required_parameter,
    shortened,
)

JsonObject = dict[str, Any]
Name = TypeVar("Name", bound=str)

MAX_DEPTH = 64
"""nesting of values that are kept unread: the decoder takes some 900 levels, which could not be encoded again"""


@dataclass(frozen=True, slots=True)
class Field:
    """A decoded JSON value and where it stood. Every reader raises ProtocolError when the value is not what it says."""

    value: Any
    param: str
    """dotted path, as the client wrote it"""

    @property
    def is_null(self) -> bool:
        return self.value is None

    def find(self, *keys: str) -> Field | None:
        """What is below `keys`, perhaps null; None when a key is absent or an object on the way is null."""
        node: Field = self
        for key in keys:
            if node.is_null:
                return None
            members = node.object()
            if key not in members:
                return None
            node = Field(members[key], f"{node.param}.{key}" if node.param else key)
        return node

    def get(self, *keys: str) -> Field | None:
        """Like `find`, with null taken as absent."""
        field = self.find(*keys)
        return None if field is None or field.is_null else field

    def require(self, key: str) -> Field:
        field = self.get(key)
        if field is None:
            raise missing_required_parameter(f"{self.param}.{key}" if self.param else key)
        return field

    def object(self) -> JsonObject:
        if not isinstance(self.value, dict):
            raise invalid_type(self.param, "an object", self.value)
        return self.value

    def array(self) -> list[Field]:
        if not isinstance(self.value, list):
            raise invalid_type(self.param, "an array", self.value)
        return [Field(value, f"{self.param}[{index}]") for index, value in enumerate(self.value)]

    def string(self, max_chars: int | None = None, min_chars: int = 0) -> str:
        if not isinstance(self.value, str):
            raise invalid_type(self.param, "a string", self.value)
        if len(self.value) < min_chars or (max_chars is not None and len(self.value) > max_chars):
            limits = f"a string of {min_chars} to {max_chars} characters"
            raise ProtocolError("invalid_value", f"{self.param} must be {limits}, got {len(self.value)}", self.param)
        return self.value

    def identifier(self) -> str:
        """An id or a name: 1 to 128 characters."""
        return self.string(128, 1)

    def one_of(self, allowed: Sequence[Name]) -> Name:
        text = self.string()
        for name in allowed:
            if name == text:
                return name
        raise invalid_value(self.param, listed(allowed), text)

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            raise invalid_type(self.param, "true or false", self.value)
        return self.value

    def integer(self, low: int, high: int) -> int:
        """A whole number in [low, high]; 5.0 is one, true is none."""
        value = self.value
        if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            raise invalid_type(self.param, "an integer", value)
        if not low <= value <= high:
            raise invalid_value(self.param, str(low) if low == high else f"{low} to {high}", value)
        return int(value)

    def number(self, low: float, high: float) -> float:
        """A finite number in [low, high]; true is none."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise invalid_type(self.param, "a number", value)
        if not low <= value <= high:  # NaN is in no range
            raise invalid_value(self.param, f"{low:g} to {high:g}", value)
        return float(value)

    def base64(self) -> bytes:
        text = self.string()
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except ValueError as error:
            message = f"{self.param} must be padded standard base64, got {shortened(text)!r}: {error}"
            raise ProtocolError("invalid_value", message, self.param) from error

    def free_form(self) -> Any:
        """Any value that is stored and echoed unread, at most `MAX_DEPTH` levels deep."""
        level: list[Any] = [self.value]
        for _ in range(MAX_DEPTH):
            level = [child for node in level for child in _children(node)]
            if not level:
                return self.value
        raise ProtocolError("invalid_value", f"{self.param} must be nested at most {MAX_DEPTH} levels deep", self.param)

    def free_form_object(self) -> JsonObject:
        self.object()
        return self.free_form()


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []
