"""The values that a session and a single response share: how each is read, and how it is written back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from talkover.audio import AudioFormat, Encoding
from talkover.messages import FunctionTool, Modality
from talkover.realtime.errors import ProtocolError, invalid_type, invalid_value, listed
from talkover.realtime.fields import Field, JsonObject

ResolveVoice = Callable[[str], str | None]
"""the id of the configured voice that a client's name stands for; None: unknown"""

MAX_OUTPUT_TOKENS = 4096
PCM_RATES_HZ = (24_000, 8_000, 16_000, 48_000)
"""24 kHz is the protocol's own; the others are ours and never announced"""
TOOL_CHOICES = ("auto", "none", "required")

_ENCODINGS: dict[str, Encoding] = {"audio/pcm": "pcm", "audio/pcmu": "pcmu", "audio/pcma": "pcma"}
_FORMAT_TYPES = {encoding: name for name, encoding in _ENCODINGS.items()}
_BETA_FORMATS: dict[str, Encoding] = {"pcm16": "pcm", "g711_ulaw": "pcmu", "g711_alaw": "pcma"}
_G711_RATE_HZ = 8_000
_DEFAULT_FORMAT = AudioFormat()


def first_found(root: Field, *paths: str) -> Field | None:
    """The first of several dotted paths at which something stands, perhaps null."""
    found = (root.find(*path.split(".")) for path in paths)
    return next((field for field in found if field is not None), None)


def read_format(field: Field, current: AudioFormat = _DEFAULT_FORMAT) -> AudioFormat:
    """A format object or one of the beta names; `current` fills in a missing type, 24000 a missing rate."""
    if isinstance(field.value, str):
        names = _ENCODINGS | _BETA_FORMATS
        return _audio_format(names[field.one_of(tuple(names))], None)
    kind = field.get("type")
    encoding = current.encoding if kind is None else _ENCODINGS[kind.one_of(tuple(_ENCODINGS))]
    return _audio_format(encoding, field.get("rate"))


def _audio_format(encoding: Encoding, rate: Field | None) -> AudioFormat:
    if encoding != "pcm":
        return AudioFormat(encoding, _G711_RATE_HZ)
    if rate is None:
        return _DEFAULT_FORMAT
    rate_hz = rate.integer(0, 1_000_000)
    if rate_hz not in PCM_RATES_HZ:
        raise invalid_value(rate.param, listed(map(str, PCM_RATES_HZ)), rate_hz)
    return AudioFormat("pcm", rate_hz)


def format_wire(audio_format: AudioFormat) -> JsonObject:
    wire: JsonObject = {"type": _FORMAT_TYPES[audio_format.encoding]}
    if audio_format.encoding == "pcm":
        wire["rate"] = audio_format.rate_hz
    return wire


def read_modality(field: Field) -> Modality:
    """`["audio"]` or `["text"]`; the beta's both together mean audio, which has a transcript."""
    allowed: tuple[Modality, ...] = ("audio", "text")
    given = {name.one_of(allowed) for name in field.array()}
    if not given:
        raise ProtocolError("invalid_value", f'{field.param} must be ["audio"] or ["text"], got []', field.param)
    return "audio" if "audio" in given else "text"


def read_voice_name(field: Field) -> str:
    """A name, or an object with an `id`."""
    return field.require("id").identifier() if isinstance(field.value, dict) else field.identifier()


def voice_id(name: str, resolve_voice: ResolveVoice, param: str) -> str:
    resolved = resolve_voice(name)
    if resolved is None:
        raise invalid_value(param, "the name of a configured voice", name)
    return resolved


def read_speed(field: Field) -> float:
    return field.number(0.25, 1.5)


def read_tools(field: Field) -> tuple[FunctionTool, ...]:
    return tuple(_read_tool(tool) for tool in field.array())


def _read_tool(tool: Field) -> FunctionTool:
    kind = tool.get("type")
    if kind is not None:
        kind.one_of(("function",))
    name = tool.require("name").identifier()
    description = tool.get("description")
    parameters = tool.get("parameters")
    return FunctionTool(
        name,
        "" if description is None else description.string(),
        {} if parameters is None else parameters.free_form_object(),
    )


def tool_wire(tool: FunctionTool) -> JsonObject:
    wire: JsonObject = {"type": "function", "name": tool.name}
    if tool.description:
        wire["description"] = tool.description
    if tool.parameters:
        wire["parameters"] = tool.parameters
    return wire


def read_tool_choice(field: Field) -> str:
    """auto, none, required, or the name of one tool."""
    if not isinstance(field.value, dict):
        return field.one_of(TOOL_CHOICES)
    field.require("type").one_of(("function",))
    return field.require("name").identifier()


def tool_choice_wire(tool_choice: str) -> str | JsonObject:
    return tool_choice if tool_choice in TOOL_CHOICES else {"type": "function", "name": tool_choice}


def read_token_limit(field: Field) -> int | Literal["inf"]:
    limit = field.value
    if limit == "inf":
        return "inf"
    if isinstance(limit, bool) or not isinstance(limit, (int, str)):
        raise invalid_type(field.param, 'an integer or "inf"', limit)
    if isinstance(limit, str) or not 1 <= limit <= MAX_OUTPUT_TOKENS:
        raise invalid_value(field.param, f'1 to {MAX_OUTPUT_TOKENS} or "inf"', limit)
    return limit


def token_limit_wire(limit: int | None) -> int | Literal["inf"]:
    return "inf" if limit is None else limit
