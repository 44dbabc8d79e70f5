"""Client events from the wire, and server events onto it. Nothing here touches a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from talkover.realtime.errors import (
    ProtocolError,
    invalid_event,
    invalid_json,
    unknown_event_type,
)
from talkover.realtime.fields import Field, JsonObject
from talkover.realtime.ids import NextId, new_id
from talkover.realtime.items import Item, parse_item
from talkover.realtime.settings import ResponseOptions

MAX_SESSION_MS = 86_400_000
"""the longest session that can be configured, and so the largest position in its audio"""
MAX_SEPARATORS = 200_000
"""of one frame: long events are long strings; 20 MB of brackets would keep the decoder busy for seconds"""


@dataclass(frozen=True, slots=True)
class SessionUpdate:
    """`session.update`; the patch is checked where it is merged (`SessionSettings.updated`)."""

    event_id: str | None
    session: JsonObject


@dataclass(frozen=True, slots=True)
class AudioAppend:
    """`input_audio_buffer.append`."""

    event_id: str | None
    audio: bytes
    """in the session's input format, cut anywhere"""


@dataclass(frozen=True, slots=True)
class AudioCommit:
    """`input_audio_buffer.commit`."""

    event_id: str | None


@dataclass(frozen=True, slots=True)
class AudioClear:
    """`input_audio_buffer.clear`."""

    event_id: str | None


@dataclass(frozen=True, slots=True)
class ItemCreate:
    """`conversation.item.create`."""

    event_id: str | None
    item: Item
    previous_item_id: str | None
    """insert after this item; `root`: as the first; None: at the end"""


@dataclass(frozen=True, slots=True)
class ItemRetrieve:
    """`conversation.item.retrieve`."""

    event_id: str | None
    item_id: str


@dataclass(frozen=True, slots=True)
class ItemDelete:
    """`conversation.item.delete`."""

    event_id: str | None
    item_id: str


@dataclass(frozen=True, slots=True)
class ItemTruncate:
    """`conversation.item.truncate`."""

    event_id: str | None
    item_id: str
    content_index: int
    """0: our messages have one part"""
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class ResponseCreate:
    """`response.create`."""

    event_id: str | None
    options: ResponseOptions


@dataclass(frozen=True, slots=True)
class ResponseCancel:
    """`response.cancel`."""

    event_id: str | None
    response_id: str | None
    """None: the active response of the default conversation"""


@dataclass(frozen=True, slots=True)
class PlaybackUpdated:
    """`s2s.playback.updated`: how much of an item was heard."""

    event_id: str | None
    item_id: str
    audio_played_ms: float
    ended: bool


ClientEvent = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
    | PlaybackUpdated
)

Parser = Callable[[Field, str | None, NextId], ClientEvent]


def parse_client_event(frame: str | bytes, next_id: NextId = new_id) -> ClientEvent:
    """The event in one frame; of a key given twice the last value counts. `next_id` names what the client has not.

    Raises ProtocolError and nothing else, with the client's `event_id` when it sent one.
    """
    if not isinstance(frame, str):
        raise invalid_event("Events must be sent as text frames, got a binary frame")
    if len(frame) > MAX_SEPARATORS and sum(map(frame.count, ",[{")) > MAX_SEPARATORS:
        raise invalid_event(f"An event must have fewer than {MAX_SEPARATORS} keys and values")
    try:
        raw: Any = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:  # the latter: a lone surrogate in the text
        raise invalid_json(str(error)) from error
    except RecursionError as error:
        raise invalid_json("it is nested too deeply") from error
    if not isinstance(raw, dict):
        raise invalid_event("An event must be a JSON object")
    event = Field(raw, "")
    given_id = event.get("event_id")
    event_id = None if given_id is None else given_id.string(max_chars=512)
    try:
        return _parser(event)(event, event_id, next_id)
    except ProtocolError as error:
        raise error.caused_by(event_id) from None


def encode_event(event: JsonObject) -> str:
    """One text frame."""
    return msgspec.json.encode(event).decode()


def _parser(event: Field) -> Parser:
    name = event.object().get("type")
    if not isinstance(name, str):
        raise invalid_event("An event must have a string `type`", "type")
    if name == "output_audio_buffer.clear":
        message = "output_audio_buffer.clear belongs to WebRTC; over a WebSocket send response.cancel"
        raise ProtocolError("invalid_value", message, "type")
    parser = _PARSERS.get(name)
    if parser is None:
        raise unknown_event_type(name, _PARSERS)
    return parser


def _session_update(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    return SessionUpdate(event_id, event.require("session").object())


def _audio_append(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    return AudioAppend(event_id, event.require("audio").base64())


def _audio_commit(_event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    return AudioCommit(event_id)


def _audio_clear(_event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    return AudioClear(event_id)


def _item_create(event: Field, event_id: str | None, next_id: NextId) -> ClientEvent:
    previous = event.get("previous_item_id")
    return ItemCreate(
        event_id, parse_item(event.require("item"), next_id), None if previous is None else previous.identifier()
    )


def _item_retrieve(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    return ItemRetrieve(event_id, event.require("item_id").identifier())


def _item_delete(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    return ItemDelete(event_id, event.require("item_id").identifier())


def _item_truncate(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    return ItemTruncate(
        event_id,
        event.require("item_id").identifier(),
        event.require("content_index").integer(0, 0),
        event.require("audio_end_ms").integer(0, MAX_SESSION_MS),
    )


def _response_create(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    response = event.get("response")
    return ResponseCreate(event_id, ResponseOptions.parse(None if response is None else response.object()))


def _response_cancel(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    response_id = event.get("response_id")
    return ResponseCancel(event_id, None if response_id is None else response_id.identifier())


def _playback_updated(event: Field, event_id: str | None, _next_id: NextId) -> ClientEvent:
    ended = event.get("ended")
    return PlaybackUpdated(
        event_id,
        event.require("item_id").identifier(),
        event.require("audio_played_ms").number(0, MAX_SESSION_MS),
        False if ended is None else ended.boolean(),
    )


_PARSERS: dict[str, Parser] = {
    "session.update": _session_update,
    "input_audio_buffer.append": _audio_append,
    "input_audio_buffer.commit": _audio_commit,
    "input_audio_buffer.clear": _audio_clear,
    "conversation.item.create": _item_create,
    "conversation.item.retrieve": _item_retrieve,
    "conversation.item.delete": _item_delete,
    "conversation.item.truncate": _item_truncate,
    "response.create": _response_create,
    "response.cancel": _response_cancel,
    "s2s.playback.updated": _playback_updated,
}
