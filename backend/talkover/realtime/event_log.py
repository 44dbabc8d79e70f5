"""The event log of a session: all that entered its core, as lines of JSON, and what came out, to compare with.

The core has no clock, randomness or I/O, so these lines are enough to run the session again to the bit
(`realtime/replay.py`), without audio, models or network:

    {"format": "talkover-events", "version": 1, "session": "sess_...", "audio": false, "options": {...}}
    {"at": 1234.5, "in": {"append": 960}}                       what the core was told, at a monotonic time
    {"decider": "Endpointer", "call": "feed", ...}         lines of the decision log: what the audio was measured as
    {"out": [{"Send": {...}}, ...]}                             the actions; no such line when there were none
    {"ended": "closed", "whole": true}                          or why the recording stopped before

Audio is replaced by its length, unless it is to be kept: what decisions rest on are the measures. Prompts among the
actions are shortened to a digest. Transcripts and instructions are in the log.
"""

from __future__ import annotations

import binascii
import hashlib
import typing
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any, cast, get_args

import msgspec
import numpy as np

from talkover.config import ConfigError
from talkover.memory.store import MemoryStore
from talkover.messages import (
    Prompt,
    WireAudio,
)
from talkover.realtime.actions import Action, Respond, RunTool, Send, Summarize
from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import AudioAppend, ItemCreate, parse_client_event
from talkover.realtime.fields import JsonObject
from talkover.realtime.parameters import ResolveVoice
from talkover.realtime.session import Attached, Broke, Detached, Frame, Happened, LaneFull, Opened, Report
from talkover.realtime.session_options import SessionOptions
from talkover.tools.tool import Tool, Toolbox, ToolContext, ToolResult
from talkover.vad.decision_log import plain
from talkover.vad.echo import BLOCK_SAMPLES

FORMAT = "talkover-events"
VERSION = 1

MAX_SILENCE_BYTES = 32 << 20
"""that stand for one length: more than the frames of a server that is set up as it comes"""

_REPORTS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Report)}

_OPTIONS = (
    "model",
    "expires_at",
    "lifetime_s",
    "settings",
    "vad_options",
    "pre_roll_ms",
    "asr_timeout_s",
    "response_timeout_s",
    "info",
    "tool_limits",
    "history_tokens",
    "memory_tools",
    "greeting",
    "recording",
    "turn_model",
    "knows_voices",
    "manners",
    "id_seed",
    "begins_with",
    "kept",
)
"""written as they are; the others are callables and stores, of which the core's use is written"""


# ---------------------------------------------------------------------------------------------------------- writing


def header(session_id: str, options: SessionOptions, with_audio: bool) -> bytes:
    """The first line."""
    tools = [
        {
            name: getattr(tool, name)
            for name in ("name", "description", "parameters", "read_only", "confirm", "timeout_s")
        }
        for tool in options.toolbox.tools
    ]
    written: JsonObject = {name: plain(getattr(options, name)) for name in _OPTIONS}
    written |= {
        "tools": tools,
        "has_memory": options.memory is not None,
        "cancels_echo": options.echo_canceller is not None,
    }
    return msgspec.json.encode(
        {"format": FORMAT, "version": VERSION, "session": session_id, "audio": with_audio, "options": written}
    )


def entered(what: Happened, now_s: float, with_audio: bool = False) -> bytes:
    """The line of one step's input."""
    return msgspec.json.encode({"at": now_s, "in": _entered(what, with_audio)})


def came_out(actions: Sequence[Action]) -> bytes:
    """The line of one step's actions."""
    return msgspec.json.encode({"out": [shown(action) for action in actions]}, enc_hook=_hook)


def ended(reason: str, is_whole: bool = True) -> bytes:
    """The last line. `is_whole`: nothing of the last step is missing."""
    return msgspec.json.encode({"ended": reason, "whole": is_whole})


def shown(action: Action) -> JsonObject:
    """An action as one key and JSON's own types, audio by its length."""
    match action:
        case Send(event):
            return {"Send": _without_sound(event)}
        case Respond(lane, request):
            bare = {field.name: getattr(request, field.name) for field in fields(request)}
            return {"Respond": {"lane": lane, "request": bare | {"prompt": _digest(request.prompt)}}}
        case Summarize(prompt):
            return {"Summarize": _digest(prompt)}
        case RunTool():
            bare = {field.name: getattr(action, field.name) for field in fields(action)}
            return {"RunTool": bare | {"tool": action.tool.name}}
        case _:
            return {type(action).__name__: msgspec.to_builtins(action, enc_hook=_hook)}


def _entered(what: Happened, with_audio: bool) -> Any:
    match what:
        case None:
            return None
        case Opened():
            return {"opened": True}
        case LaneFull(response_id):
            return {"lane_full": response_id}
        case Detached():
            return {"detached": True}
        case Attached():
            return {"attached": True}
        case Broke(error):
            return {"broke": error}
        case bytes():
            return {"binary": len(what)}
        case str():
            frame = what.encode(errors="replace").decode()
            return {"frame": frame} if with_audio else _frame(frame)
        case WireAudio() if not with_audio:
            return {"WireAudio": plain(replace(what, payload=b"")), "n_bytes": len(what.payload)}
        case WireAudio():
            encoded = binascii.b2a_base64(what.payload, newline=False).decode()
            return {"WireAudio": plain(replace(what, payload=b"")), "payload": encoded}
        case _:
            return {type(what).__name__: plain(what)}


def _frame(frame: str) -> JsonObject:
    """A client's event, valid audio replaced by its length."""
    if '"audio"' not in frame:
        return {"frame": frame}
    try:
        event = parse_client_event(frame)
    except ProtocolError:
        return {"frame": frame}
    if isinstance(event, AudioAppend):
        named = {} if event.event_id is None else {"event_id": event.event_id}
        return {"append": len(event.audio), **named}
    if isinstance(event, ItemCreate):
        return {"silent_frame": _audio_to_lengths(msgspec.json.decode(frame))}
    return {"frame": frame}


def _audio_to_lengths(raw: Any) -> Any:
    """The same JSON, base64 of content parts as the number of bytes it stands for."""
    if isinstance(raw, dict):
        event = cast(JsonObject, raw)
        return {
            key: len(binascii.a2b_base64(value))
            if key == "audio" and isinstance(value, str)
            else _audio_to_lengths(value)
            for key, value in event.items()
        }
    if isinstance(raw, list):
        return [_audio_to_lengths(value) for value in cast("list[Any]", raw)]
    return raw


def _without_sound(event: JsonObject) -> JsonObject:
    if event["type"] == "response.output_audio.delta":
        return {**event, "delta": len(event["delta"])}
    return _audio_to_lengths(event) if event["type"] == "conversation.item.retrieved" else event


def _digest(prompt: Prompt) -> JsonObject:
    """Prompts repeat the conversation: enough of one to see that it is the same."""
    encoded = msgspec.json.encode(prompt)
    return {"messages": len(prompt.messages), "digest": hashlib.blake2b(encoded, digest_size=8).hexdigest()}


def _hook(value: object) -> Any:
    """Samples by their number."""
    if isinstance(value, np.ndarray):
        return {"samples": value.size}
    raise NotImplementedError(f"an event log cannot hold a {type(value).__name__}")


# ---------------------------------------------------------------------------------------------------------- reading


def read_happened(written: Any) -> Happened:
    """What `entered` wrote. Raises ValueError for what is none of it."""
    if written is None:
        return None
    if not isinstance(written, dict):
        raise ValueError("what happened must be an object, or null")
    match cast(JsonObject, written):
        case {"opened": True}:
            return Opened()
        case {"lane_full": str(response_id)}:
            return LaneFull(response_id)
        case {"detached": True}:
            return Detached()
        case {"attached": True}:
            return Attached()
        case {"broke": str(error)}:
            return Broke(error)
        case {"binary": int(n_bytes)}:
            return bytes(_length(n_bytes))
        case {"frame": str(frame)}:
            return frame
        case {"append": int(n_bytes), **named}:
            return _text({"type": "input_audio_buffer.append", **named, "audio": _silence(n_bytes)})
        case {"silent_frame": dict(event)}:
            _length(sum(_lengths_in(event)))
            return _text(_lengths_to_audio(event))
        case {"WireAudio": fields_of, "payload": str(encoded)}:
            return replace(_report("WireAudio", fields_of), payload=binascii.a2b_base64(encoded))
        case {"WireAudio": fields_of, "n_bytes": int(n_bytes)}:
            return replace(_report("WireAudio", fields_of), payload=bytes(_length(n_bytes)))
        case other:
            name = next(iter(other), "")
            if name not in _REPORTS:
                raise ValueError(f"what happened must be one of {', '.join(_REPORTS)}, got {name!r}")
            return _report(name, other[name])


def read_options(header_line: JsonObject, resolve_voice: ResolveVoice) -> SessionOptions:
    """Options under which the session decides as it did. Raises ValueError."""
    written: JsonObject = dict(header_line["options"])
    hints = _hints(SessionOptions)
    try:
        given = {
            name: msgspec.convert(written[name], hints[name], strict=False) for name in _OPTIONS if name in written
        }
        tools = [Tool(**tool, run=_not_run) for tool in written["tools"]]
        return SessionOptions(
            **given,
            resolve_voice=resolve_voice,
            toolbox=Toolbox(tools),
            memory=cast(MemoryStore, object())
            if written["has_memory"]
            else None,  # the core asks only whether there is one
            echo_canceller=DeafCanceller if written["cancels_echo"] else None,
        )
    except (ConfigError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"options: {error}") from error


class DeafCanceller:
    """Holds back as much as WebRTC's does, and cancels nothing; implements `EchoCanceller`."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.float32)

    def feed(self, near: np.ndarray[Any, Any], far: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        waiting = np.concatenate([self._held, near])
        whole = waiting.size // BLOCK_SAMPLES * BLOCK_SAMPLES
        self._held = waiting[whole:]
        return waiting[:whole]

    def flush(self) -> np.ndarray[Any, Any]:
        held, self._held = self._held, np.zeros(0, np.float32)
        return held


def _report(name: str, written: JsonObject) -> Any:
    try:
        return msgspec.convert(written, _REPORTS[name], strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from error


def _lengths_to_audio(raw: Any) -> Any:
    if isinstance(raw, dict):
        event = cast(JsonObject, raw)
        return {
            key: _silence(value) if key == "audio" and isinstance(value, int) else _lengths_to_audio(value)
            for key, value in event.items()
        }
    if isinstance(raw, list):
        return [_lengths_to_audio(value) for value in cast("list[Any]", raw)]
    return raw


def _lengths_in(raw: Any) -> Iterator[int]:
    if isinstance(raw, dict):
        event = cast(JsonObject, raw)
        for key, value in event.items():
            yield from (value,) if key == "audio" and isinstance(value, int) else _lengths_in(value)
    elif isinstance(raw, list):
        for value in cast("list[Any]", raw):
            yield from _lengths_in(value)


def _length(n_bytes: int) -> int:
    if not 0 <= n_bytes <= MAX_SILENCE_BYTES:
        raise ValueError(f"audio must be of 0 to {MAX_SILENCE_BYTES} bytes, got {n_bytes}")
    return n_bytes


def _silence(n_bytes: int) -> str:
    return binascii.b2a_base64(bytes(_length(n_bytes)), newline=False).decode()


def _text(event: JsonObject) -> Frame:
    return msgspec.json.encode(event).decode()


def _not_run(_arguments: dict[str, Any], _context: ToolContext) -> ToolResult:
    raise NotImplementedError("a replay runs no tools: their results are in the log")


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)
