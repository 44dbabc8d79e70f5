"""The session object and what one response overrides of it: frozen settings, merged and checked as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from talkover.audio import AudioFormat
from talkover.memory.store import MAX_CALLER_CHARACTERS
from talkover.messages import FunctionTool, Modality, Prompt, ResponseRequest, VoiceSettings
from talkover.realtime.behaviour import Manners
from talkover.realtime.errors import ProtocolError, invalid_type, invalid_value, listed, shown
from talkover.realtime.fields import Field, JsonObject
from talkover.realtime.ids import numbered_ids
from talkover.realtime.items import MAX_STATE_BYTES, Item, ItemReference, parse_input
from talkover.realtime.manners import manners_wire, read_manners
from talkover.realtime.parameters import (
    TOOL_CHOICES,
    ResolveVoice,
    first_found,
    format_wire,
    read_format,
    read_modality,
    read_speed,
    read_token_limit,
    read_tool_choice,
    read_tools,
    read_voice_name,
    token_limit_wire,
    tool_choice_wire,
    tool_wire,
    voice_id,
)
from talkover.realtime.turn_detection import TurnDetection, read_turn_detection

S2S_VERSION = 1
S2S_EVENTS = (
    "input_transcript",
    "sources",
    "metrics",
    "words",
    "playback",
    "pause",
    "decisions",
    "state",
    "tools",
    "call",
    "resume",
    "recording",
)
"""groups of events of the extension that a client can ask for"""
BARGE_IN_MS = (64, 2000)
"""what `s2s.barge_in_ms` may be"""

_METADATA_PAIRS = 16
_METADATA_KEY_CHARS = 64
_METADATA_VALUE_CHARS = 512

EchoCancellation = Literal["client", "server"]
_ECHO_CANCELLATION: tuple[EchoCancellation, ...] = ("client", "server")


@dataclass(frozen=True, slots=True)
class S2s:
    """The extension, for a client that opted in."""

    version: int
    events: tuple[str, ...]
    """known groups only, see `S2S_EVENTS`"""
    caller: str | None = None
    """who calls, as the client knows them: for what they agreed to have remembered"""
    echo_cancellation: EchoCancellation | None = None
    """who takes the agent's echo out of the microphone; None: the server, where it can"""
    barge_in_ms: int | None = None
    """voice that makes the agent yield, 64 to 2000; None: as the server is configured"""
    manners: Manners | None = None
    """None: as the server is configured"""
    recording: bool | None = None
    """false: nothing is recorded meanwhile; None: as the server is configured"""

    def wire(self) -> JsonObject:
        """What the client opted in to; what it has not set is left out."""
        wire: JsonObject = {"version": self.version, "events": list(self.events)}
        if self.caller is not None:
            wire["caller"] = self.caller
        if self.echo_cancellation is not None:
            wire["echo_cancellation"] = self.echo_cancellation
        if self.barge_in_ms is not None:
            wire["barge_in_ms"] = self.barge_in_ms
        if self.manners is not None:
            wire["manners"] = manners_wire(self.manners)
        if self.recording is not None:
            wire["recording"] = self.recording
        return wire


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The effective session; an update makes a new one."""

    output_modality: Modality = "audio"
    instructions: str = ""
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: str = "auto"
    """auto, none, required, or the name of one tool"""
    max_output_tokens: int | None = None
    """1 to 4096; None: no limit"""
    input_format: AudioFormat = AudioFormat()
    output_format: AudioFormat = AudioFormat()
    transcription: JsonObject | None = None
    """`model`, `language` and `prompt`, all three; None: no transcription events"""
    noise_reduction: JsonObject | None = None
    turn_detection: TurnDetection | None = TurnDetection()
    voice: str = "default"
    """as the client named it"""
    speed: float = 1.0
    """0.25 to 1.5"""
    server_tools: tuple[FunctionTool, ...] = ()
    """run by the server; clients do not get to see them, and a tool of theirs takes the place of one so named"""
    tracing: Any = None
    truncation: Any = "auto"
    prompt: Any = None
    include: Any = None
    reasoning: Any = None
    parallel_tool_calls: bool | None = None
    s2s: S2s | None = None

    @property
    def answers_turns(self) -> bool:
        """Whether the end of a turn brings a response by itself."""
        return self.turn_detection is not None and self.turn_detection.create_response

    @property
    def language(self) -> str | None:
        """What the client says is spoken."""
        return None if self.transcription is None else self.transcription["language"]

    def updated(self, patch: JsonObject, resolve_voice: ResolveVoice) -> SessionSettings:
        """With the keys of a `session.update` merged in: the others keep their value, null clears or means the default.

        Raises ProtocolError; nothing has changed then.
        """
        session = Field(patch, "session")
        kind = session.get("type")
        if kind is not None:
            kind.one_of(("realtime",))
        changes: dict[str, Any] = {}
        for name, read, paths in _SETTINGS:
            found = first_found(session, *paths)
            if found is not None:
                changes[name] = read(found, getattr(self, name))
                if name == "voice" and not found.is_null:
                    voice_id(changes[name], resolve_voice, found.param)
        merged = replace(self, **changes)
        size = len(msgspec.json.encode(merged.wire("", "", 0)))
        if size > MAX_STATE_BYTES:
            message = f"session must encode to at most {MAX_STATE_BYTES} bytes, got {size}"
            raise ProtocolError("invalid_value", message, "session")
        return merged

    def wire(self, session_id: str, model: str, expires_at: int) -> JsonObject:
        """The full session object, to be encoded and not changed; `expires_at` in seconds since the epoch."""
        wire: JsonObject = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": [self.output_modality],
            "instructions": self.instructions,
            "tools": [tool_wire(tool) for tool in self.tools],
            "tool_choice": tool_choice_wire(self.tool_choice),
            "max_output_tokens": token_limit_wire(self.max_output_tokens),
            "tracing": self.tracing,
            "truncation": self.truncation,
            "prompt": self.prompt,
            "expires_at": expires_at,
            "include": self.include,
            "audio": {
                "input": {
                    "format": format_wire(self.input_format),
                    "transcription": self.transcription,
                    "noise_reduction": self.noise_reduction,
                    "turn_detection": None if self.turn_detection is None else self.turn_detection.wire(),
                },
                "output": {"format": format_wire(self.output_format), "voice": self.voice, "speed": self.speed},
            },
        }
        if self.reasoning is not None:
            wire["reasoning"] = self.reasoning
        if self.parallel_tool_calls is not None:
            wire["parallel_tool_calls"] = self.parallel_tool_calls
        if self.s2s is not None:
            wire["s2s"] = self.s2s.wire()
        return wire


# --------------------------------------------------------------------------------------------- reading an update


def _instructions(field: Field, _current: Any) -> str:
    return "" if field.is_null else field.string()


def _token_limit(field: Field, _current: Any) -> int | None:
    limit = "inf" if field.is_null else read_token_limit(field)
    return None if limit == "inf" else limit


def _format(field: Field, current: AudioFormat) -> AudioFormat:
    return AudioFormat() if field.is_null else read_format(field, current)


def _voice(field: Field, current: str) -> str:
    return current if field.is_null else read_voice_name(field)


def _transcription(field: Field, current: JsonObject | None) -> JsonObject | None:
    if field.is_null:
        return None
    field.object()
    merged = dict.fromkeys(("model", "language", "prompt")) | (current or {})
    for key in merged:
        found = field.find(key)
        if found is not None:
            merged[key] = None if found.is_null else found.string()
    if merged["model"] is None:
        field.require("model")
    return merged


def _noise_reduction(field: Field, _current: Any) -> JsonObject | None:
    return None if field.is_null else {"type": field.require("type").one_of(("near_field", "far_field"))}


def _tracing(field: Field, _current: Any) -> Any:
    return _name_or_object(field, ("auto",), None)


def _truncation(field: Field, _current: Any) -> Any:
    return _name_or_object(field, ("auto", "disabled"), "auto")


def _name_or_object(field: Field, names: tuple[str, ...], default: Any) -> Any:
    if field.is_null:
        return default
    if isinstance(field.value, str):
        return field.one_of(names)
    if not isinstance(field.value, dict):
        raise invalid_type(field.param, f"{listed(names)} or an object", field.value)
    return field.free_form()


def _stored_object(field: Field, _current: Any) -> Any:
    return None if field.is_null else field.free_form_object()


def _include(field: Field, _current: Any) -> list[str] | None:
    return None if field.is_null else [name.string() for name in field.array()]


def _s2s(field: Field, current: S2s | None) -> S2s | None:
    if field.is_null:
        return None
    version = field.get("version") if current is not None else field.require("version")
    if version is not None:
        version.integer(S2S_VERSION, S2S_VERSION)
    merged = current or S2s(S2S_VERSION, ())
    if (events := field.get("events")) is not None:
        asked = {name.string() for name in events.array()}
        merged = replace(merged, events=tuple(name for name in S2S_EVENTS if name in asked))
    if (caller := field.find("caller")) is not None:
        merged = replace(merged, caller=None if caller.is_null else _caller(caller))
    if (echo := field.find("echo_cancellation")) is not None:
        merged = replace(merged, echo_cancellation=None if echo.is_null else echo.one_of(_ECHO_CANCELLATION))
    if (barge_in := field.find("barge_in_ms")) is not None:
        merged = replace(merged, barge_in_ms=None if barge_in.is_null else barge_in.integer(*BARGE_IN_MS))
    if (manners := field.find("manners")) is not None:
        merged = replace(merged, manners=None if manners.is_null else read_manners(manners, merged.manners))
    if (recording := field.find("recording")) is not None:
        merged = replace(merged, recording=None if recording.is_null else recording.boolean())
    return merged


def _caller(field: Field) -> str:
    caller = field.string()
    if not 0 < len(caller) <= MAX_CALLER_CHARACTERS:
        raise invalid_value(field.param, f"1 to {MAX_CALLER_CHARACTERS} characters", caller)
    return caller


def _or_default(read: Callable[[Field], Any], default: Any) -> Callable[[Field, Any], Any]:
    return lambda field, _current: default if field.is_null else read(field)


# name of the setting, how a value is merged into it, and where it may stand: today's key, then the beta protocol's
_SETTINGS: tuple[tuple[str, Callable[[Field, Any], Any], tuple[str, ...]], ...] = (
    ("output_modality", _or_default(read_modality, "audio"), ("output_modalities", "modalities")),
    ("instructions", _instructions, ("instructions",)),
    ("tools", _or_default(read_tools, ()), ("tools",)),
    ("tool_choice", _or_default(read_tool_choice, "auto"), ("tool_choice",)),
    ("max_output_tokens", _token_limit, ("max_output_tokens", "max_response_output_tokens")),
    ("input_format", _format, ("audio.input.format", "input_audio_format")),
    ("output_format", _format, ("audio.output.format", "output_audio_format")),
    ("transcription", _transcription, ("audio.input.transcription", "input_audio_transcription")),
    ("noise_reduction", _noise_reduction, ("audio.input.noise_reduction", "input_audio_noise_reduction")),
    ("turn_detection", read_turn_detection, ("audio.input.turn_detection", "turn_detection")),
    ("voice", _voice, ("audio.output.voice", "voice")),
    ("speed", _or_default(read_speed, 1.0), ("audio.output.speed", "speed")),
    ("tracing", _tracing, ("tracing",)),
    ("truncation", _truncation, ("truncation",)),
    ("prompt", _stored_object, ("prompt",)),
    ("include", _include, ("include",)),
    ("reasoning", _stored_object, ("reasoning",)),
    ("parallel_tool_calls", _or_default(Field.boolean, None), ("parallel_tool_calls",)),
    ("s2s", _s2s, ("s2s",)),
)


# --------------------------------------------------------------------------------------------------- one response


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """How one response is made: the session's settings with the overrides of `response.create`."""

    instructions: str
    modality: Modality
    output_format: AudioFormat
    voice: str
    """id of a configured voice"""
    voice_name: str
    """the same as the client named it"""
    speed: float
    tools: tuple[FunctionTool, ...]
    tool_choice: str
    max_output_tokens: int | None
    metadata: dict[str, str] | None
    out_of_band: bool
    """not part of the conversation"""
    input: tuple[Item | ItemReference, ...] | None
    """replaces the conversation as context; None: the conversation"""
    server_tools: frozenset[str] = frozenset()
    """names of those among `tools` that the server runs"""

    def request(self, generation: int, response_id: str, prompt: Prompt) -> ResponseRequest:
        """The work for the pipeline."""
        voice = VoiceSettings(self.voice, self.speed)
        return ResponseRequest(generation, response_id, prompt, self.modality, voice, self.output_format)

    def wire(self) -> JsonObject:
        """The keys of the response object that are settled before it starts."""
        return {
            "output_modalities": [self.modality],
            "max_output_tokens": token_limit_wire(self.max_output_tokens),
            "audio": {"output": {"format": format_wire(self.output_format), "voice": self.voice_name}},
            "metadata": self.metadata,
        }


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """What `response.create` asks for; None leaves the session's value."""

    instructions: str | None = None
    output_modality: Modality | None = None
    output_format: AudioFormat | None = None
    voice: str | None = None
    """as the client named it, not looked up yet"""
    speed: float | None = None
    tools: tuple[FunctionTool, ...] | None = None
    tool_choice: str | None = None
    max_output_tokens: int | Literal["inf"] | None = None
    metadata: dict[str, str] | None = None
    conversation: Literal["auto", "none"] = "auto"
    input: tuple[Item | ItemReference, ...] | None = None

    @classmethod
    def parse(cls, raw: JsonObject | None, param: str = "response") -> ResponseOptions:
        """The `response` of a `response.create`. Raises ProtocolError."""
        response = Field(raw, param)
        if not response.is_null:
            response.object()
        given: dict[str, Any] = {}
        for name, read, paths in _OPTIONS:
            found = first_found(response, *paths)
            if found is not None and not found.is_null:
                given[name] = read(found)
        return cls(**given)

    def resolve(self, settings: SessionSettings, resolve_voice: ResolveVoice) -> ResponsePlan:
        """Raises ProtocolError for an unknown voice and for the choice of a tool that is not there."""
        voice_name = settings.voice if self.voice is None else self.voice
        tools = settings.tools if self.tools is None else self.tools
        own = () if self.tools is not None or self.conversation == "none" else settings.server_tools
        own = tuple(tool for tool in own if tool.name not in {theirs.name for theirs in tools})
        tools = (*tools, *own)
        limit = settings.max_output_tokens if self.max_output_tokens is None else self.max_output_tokens
        return ResponsePlan(
            instructions=settings.instructions if self.instructions is None else self.instructions,
            modality=self.output_modality or settings.output_modality,
            output_format=self.output_format or settings.output_format,
            voice=self._voice_id(settings.voice, resolve_voice),
            voice_name=voice_name,
            speed=settings.speed if self.speed is None else self.speed,
            tools=tools,
            tool_choice=self._tool_choice(settings.tool_choice, {tool.name for tool in tools}),
            max_output_tokens=None if limit == "inf" else limit,
            metadata=self.metadata,
            out_of_band=self.conversation == "none",
            input=self.input,
            server_tools=frozenset(tool.name for tool in own),
        )

    def _voice_id(self, default: str, resolve_voice: ResolveVoice) -> str:
        """A session's voice that was removed meanwhile falls back to the default one."""
        if self.voice is None and resolve_voice(default) is None:
            default = "default"
        return voice_id(self.voice or default, resolve_voice, "response.audio.output.voice")

    def _tool_choice(self, default: str, tool_names: set[str]) -> str:
        """A session's choice of a tool that this response does not have falls back to `auto`."""
        if self.tool_choice is None:
            return default if default in TOOL_CHOICES or default in tool_names else "auto"
        if self.tool_choice in TOOL_CHOICES or self.tool_choice in tool_names:
            return self.tool_choice
        allowed = "one of the tools of the response" if tool_names else "auto: the response has no tools"
        raise invalid_value("response.tool_choice.name", allowed, self.tool_choice)


def _metadata(field: Field) -> dict[str, str]:
    pairs = field.object()
    if len(pairs) > _METADATA_PAIRS:
        message = f"{field.param} must have at most {_METADATA_PAIRS} pairs, got {len(pairs)}"
        raise ProtocolError("invalid_value", message, field.param)
    for key in pairs:
        if len(key) > _METADATA_KEY_CHARS:
            allowed = f"keys of at most {_METADATA_KEY_CHARS} characters"
            raise ProtocolError("invalid_value", f"{field.param} must have {allowed}, got {shown(key)}", field.param)
    return {key: Field(value, f"{field.param}.{key}").string(_METADATA_VALUE_CHARS) for key, value in pairs.items()}


def _conversation(field: Field) -> Literal["auto", "none"]:
    allowed: tuple[Literal["auto", "none"], ...] = ("auto", "none")
    return field.one_of(allowed)


def _input(field: Field) -> tuple[Item | ItemReference, ...]:
    next_id = numbered_ids()
    return tuple(parse_input(item, next_id) for item in field.array())


_OPTIONS: tuple[tuple[str, Callable[[Field], Any], tuple[str, ...]], ...] = (
    ("instructions", Field.string, ("instructions",)),
    ("output_modality", read_modality, ("output_modalities", "modalities")),
    ("output_format", read_format, ("audio.output.format", "output_audio_format")),
    ("voice", read_voice_name, ("audio.output.voice", "voice")),
    ("speed", read_speed, ("audio.output.speed", "speed")),
    ("tools", read_tools, ("tools",)),
    ("tool_choice", read_tool_choice, ("tool_choice",)),
    ("max_output_tokens", read_token_limit, ("max_output_tokens", "max_response_output_tokens")),
    ("metadata", _metadata, ("metadata",)),
    ("conversation", _conversation, ("conversation",)),
    ("input", _input, ("input",)),
)
