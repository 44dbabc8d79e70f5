"""Conversation items: parsed from what clients create, and written as stock clients validate them."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from talkover.realtime.errors import ProtocolError, invalid_value, listed
from talkover.realtime.fields import Field, JsonObject
from talkover.realtime.ids import NextId, new_id

ItemType = Literal["message", "function_call", "function_call_output"]
Role = Literal["user", "assistant", "system"]
Status = Literal["in_progress", "completed", "incomplete"]
ContentType = Literal["input_text", "input_audio", "input_image", "output_text", "output_audio"]

MAX_EVENT_BYTES = 900_000
"""server events stay below, since a stock client receives with a 1 MiB limit"""
MAX_STATE_BYTES = 800_000
"""encoded size of a session or of an item without its audio: what is accepted must fit into an event"""

_CONTENT_OF: dict[Role, tuple[ContentType, ...]] = {
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}
_BETA_CONTENT: dict[str, ContentType] = {"text": "output_text", "audio": "output_audio"}


@dataclass(frozen=True, slots=True)
class ContentPart:
    """One part of a message."""

    type: ContentType
    text: str = ""
    """of `input_text` and `output_text`"""
    transcript: str | None = None
    """of `input_audio` and `output_audio`; None: not known yet"""
    audio: bytes | None = None
    """in the wire format of its time"""

    @property
    def said(self) -> str:
        """Text or transcript, whichever this part has."""
        return self.transcript or "" if self.type.endswith("audio") else self.text

    def wire(self, with_audio: bool = False) -> JsonObject:
        wire: JsonObject = {"type": self.type}
        match self.type:
            case "input_text" | "output_text":
                wire["text"] = self.text
            case "input_audio":
                wire["transcript"] = self.transcript
            case "output_audio":
                wire["transcript"] = self.transcript or ""
            case "input_image":
                pass
        if with_audio and self.audio is not None:
            wire["audio"] = binascii.b2a_base64(self.audio, newline=False).decode("ascii")
        return wire


@dataclass(frozen=True, slots=True)
class ItemReference:
    """An item of the conversation, used as input of a response."""

    id: str


@dataclass(frozen=True, slots=True)
class Item:
    """A message, function call or function output; what changes is replaced."""

    id: str
    type: ItemType
    status: Status = "completed"
    role: Role | None = None
    """messages only"""
    content: tuple[ContentPart, ...] = ()
    """messages only"""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    """function_call only: JSON object as text"""
    output: str | None = None
    """function_call_output only"""

    @classmethod
    def parse(cls, raw: JsonObject, param: str = "item") -> Item:
        """An item a client sent; gives it an id when it has none. Raises ProtocolError."""
        return parse_item(Field(raw, param))

    @property
    def text(self) -> str:
        """All that was said or written in a message, joined."""
        return "".join(part.said for part in self.content)

    def with_status(self, status: Status) -> Item:
        return replace(self, status=status)

    def with_transcript(self, transcript: str, content_index: int = 0) -> Item:
        """With the text of one audio part known or cut."""
        return self._with_part(content_index, replace(self.content[content_index], transcript=transcript))

    def with_content(self, *content: ContentPart) -> Item:
        return replace(self, content=content)

    def with_arguments(self, arguments: str) -> Item:
        return replace(self, arguments=arguments)

    def _with_part(self, index: int, part: ContentPart) -> Item:
        return replace(self, content=(*self.content[:index], part, *self.content[index + 1 :]))

    def wire(self, with_audio: bool = False) -> JsonObject:
        """The object of the protocol, keys that do not apply left out.

        With audio: as base64, unless that would make the event larger than `MAX_EVENT_BYTES`.
        """
        wire: JsonObject = {"id": self.id, "object": "realtime.item", "type": self.type, "status": self.status}
        if self.type == "message":
            wire["role"] = self.role
            wire["content"] = [part.wire() for part in self.content]
            if with_audio and self._audio_fits(wire):
                wire["content"] = [part.wire(with_audio=True) for part in self.content]
        else:
            fields = {"call_id": self.call_id, "name": self.name, "arguments": self.arguments, "output": self.output}
            wire |= {key: value for key, value in fields.items() if value is not None}
        return wire

    def _audio_fits(self, wire: JsonObject) -> bool:
        base64_bytes = sum((len(part.audio) + 2) // 3 * 4 for part in self.content if part.audio is not None)
        envelope_bytes = 1000
        return len(msgspec.json.encode(wire)) + base64_bytes + envelope_bytes <= MAX_EVENT_BYTES


def parse_item(item: Field, next_id: NextId = new_id) -> Item:
    """`next_id` names what the client has not. Raises ProtocolError."""
    kinds: tuple[ItemType, ...] = ("message", "function_call", "function_call_output")
    kind = item.require("type").one_of(kinds)
    given_id = item.get("id")
    item_id = next_id("item_") if given_id is None else given_id.identifier()
    status = _status(item)
    match kind:
        case "message":
            role = item.require("role").one_of(tuple(_CONTENT_OF))
            content = tuple(_parse_part(part, role) for part in item.require("content").array())
            parsed = Item(item_id, kind, status, role, content)
        case "function_call":
            call_id = item.get("call_id")
            parsed = Item(
                item_id,
                kind,
                status,
                call_id=next_id("call_") if call_id is None else call_id.identifier(),
                name=item.require("name").identifier(),
                arguments=item.require("arguments").string(),
            )
        case "function_call_output":
            call_id = item.require("call_id").identifier()
            parsed = Item(item_id, kind, status, call_id=call_id, output=item.require("output").string())
    size = len(msgspec.json.encode(parsed.wire()))
    if size > MAX_STATE_BYTES:
        message = f"{item.param} must encode to at most {MAX_STATE_BYTES} bytes without its audio, got {size}"
        raise ProtocolError("invalid_value", message, item.param)
    return parsed


def parse_input(item: Field, next_id: NextId = new_id) -> Item | ItemReference:
    """An element of a response's `input`. Raises ProtocolError."""
    if item.require("type").string() == "item_reference":
        return ItemReference(item.require("id").identifier())
    return parse_item(item, next_id)


def _status(item: Field) -> Status:
    """What a client creates is final: `in_progress` is stored as `completed`."""
    given = item.get("status")
    statuses: tuple[Status, ...] = ("in_progress", "completed", "incomplete")
    status = "completed" if given is None else given.one_of(statuses)
    return "completed" if status == "in_progress" else status


def _parse_part(part: Field, role: Role) -> ContentPart:
    allowed = _CONTENT_OF[role]
    kind_field = part.require("type")
    name = kind_field.string()
    if role == "assistant":
        name = _BETA_CONTENT.get(name, name)
    kind: ContentType | None = next((known for known in allowed if known == name), None)
    if kind is None:
        raise invalid_value(kind_field.param, f"{listed(allowed)} in a message of role {role}", name)
    match kind:
        case "input_text" | "output_text":
            return ContentPart(kind, text=part.require("text").string())
        case "input_image":
            part.require("image_url").string()  # dropped: no engine looks at images
            return ContentPart(kind)
        case "input_audio" | "output_audio":
            transcript = part.get("transcript")
            # a replayed history has transcripts without the audio
            audio = part.require("audio") if transcript is None and kind == "input_audio" else part.get("audio")
            return ContentPart(
                kind,
                transcript=None if transcript is None else transcript.string(),
                audio=None if audio is None else audio.base64(),
            )
