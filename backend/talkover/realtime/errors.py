"""The `error` event: one exception type, and a constructor per row of the protocol's table of errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SHOWN_CHARS = 80
"""how much of a client's value a message repeats"""


class ProtocolError(Exception):
    """A client event that is refused without any effect; the connection goes on."""

    def __init__(self, code: str, message: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        """dotted path of the offending key"""
        self.event_id = event_id
        """the client's id of the refused event"""

    def caused_by(self, event_id: str | None) -> ProtocolError:
        """The same error, naming the client event that caused it."""
        return ProtocolError(self.code, self.message, self.param, event_id)

    def event(self) -> dict[str, Any]:
        """The server event, without its own `event_id`; all five keys of `error` are always there."""
        return {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "event_id": self.event_id,
            },
        }


def server_error(code: str, message: str) -> dict[str, Any]:
    """An `error` event for what is no fault of the client."""
    error = {"type": "server_error", "code": code, "message": message, "param": None, "event_id": None}
    return {"type": "error", "error": error}


def shown(value: Any) -> str:
    """A client's value for a message: scalars shortened, containers named by kind and size only."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        return f'"{shortened(value)}"'
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number beyond 64 bits"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    return f"an array of {len(value)} values"


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def listed(allowed: Iterable[str]) -> str:
    """`a, b or c`, for messages that say what is allowed."""
    names = list(allowed)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def invalid_json(reason: str) -> ProtocolError:
    return ProtocolError("invalid_json", f"The frame must be one JSON object: {shortened(reason)}")


def invalid_event(message: str, param: str | None = None) -> ProtocolError:
    return ProtocolError("invalid_event", message, param)


def unknown_event_type(name: str, supported: Iterable[str]) -> ProtocolError:
    return ProtocolError("invalid_value", f"type must be one of {', '.join(supported)}; got {shown(name)}", "type")


def missing_required_parameter(param: str) -> ProtocolError:
    return ProtocolError("missing_required_parameter", f"{param} is required", param)


def invalid_type(param: str, expected: str, value: Any) -> ProtocolError:
    return ProtocolError("invalid_type", f"{param} must be {expected}, got {shown(value)}", param)


def invalid_value(param: str, allowed: str, value: Any) -> ProtocolError:
    return ProtocolError("invalid_value", f"{param} must be {allowed}, got {shown(value)}", param)
