"""Conversation items: what is accepted, and the null rules of what is sent."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from openai.types.realtime import ConversationItem, ConversationItemAdded
from pydantic import TypeAdapter

from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import encode_event
from talkover.realtime.fields import Field
from talkover.realtime.items import MAX_EVENT_BYTES, ContentPart, Item, ItemReference, parse_input


def message(role: str, *content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content), **fields}


def refusal(raw: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        Item.parse(raw)
    return caught.value


ACCEPTED = {
    "user text": message("user", {"type": "input_text", "text": "Hello"}),
    "user audio": message("user", {"type": "input_audio", "audio": "AAAA"}),
    "user audio replayed": message("user", {"type": "input_audio", "audio": None, "transcript": "Hello"}),
    "user image": message("user", {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}),
    "user empty": message("user"),
    "assistant text": message("assistant", {"type": "output_text", "text": "Hello"}),
    "assistant audio": message("assistant", {"type": "output_audio", "transcript": "Hello"}),
    "system": message("system", {"type": "input_text", "text": "Be kind."}),
    "call": {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
    "call without id": {"type": "function_call", "name": "f", "arguments": "{}"},
    "output": {"type": "function_call_output", "call_id": "call_1", "output": "42"},
}


@pytest.mark.parametrize("raw", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_wire_validates_as_the_stock_type(raw: dict[str, Any]):
    item = Item.parse(raw)
    for wire in (item.wire(), item.wire(with_audio=True)):
        model = TypeAdapter(ConversationItem).validate_json(encode_event(wire), strict=True)
        assert model.type == raw["type"]
        assert model.to_dict(mode="json") == wire
    added = {"type": "conversation.item.added", "event_id": "e", "previous_item_id": None, "item": item.wire()}
    ConversationItemAdded.model_validate_json(encode_event(added), strict=True)


@pytest.mark.parametrize("raw", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_wire_has_no_needless_nulls(raw: dict[str, Any]):
    wire = Item.parse(raw).wire(with_audio=True)
    assert all(value is not None for value in wire.values())
    for part in wire.get("content", ()):
        assert [key for key, value in part.items() if value is None] in ([], ["transcript"])


@pytest.mark.parametrize("name", [name for name in ACCEPTED if name != "user image"])  # images are dropped
def test_what_was_retrieved_can_be_created_again(name: str):
    item = Item.parse(ACCEPTED[name])
    assert Item.parse(item.wire(with_audio=True)) == item


def test_absent_keys_are_left_out():
    call = Item("item_1", "function_call", call_id="call_1", name="f", arguments="")
    assert call.wire() == {
        "id": "item_1",
        "object": "realtime.item",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "f",
        "arguments": "",
    }


def test_missing_transcript_is_null_in_input_audio():
    item = Item.parse(ACCEPTED["user audio"])
    assert item.wire()["content"] == [{"type": "input_audio", "transcript": None}]
    assert item.with_transcript("Hi").wire()["content"] == [{"type": "input_audio", "transcript": "Hi"}]


def test_missing_transcript_is_empty_in_output_audio():
    item = Item.parse(message("assistant", {"type": "output_audio"}))
    assert item.wire()["content"] == [{"type": "output_audio", "transcript": ""}]


def test_audio_is_only_in_retrieved():
    audio = bytes(range(200))
    item = Item("item_1", "message", role="user", content=(ContentPart("input_audio", audio=audio),))
    assert "audio" not in item.wire()["content"][0]
    assert base64.b64decode(item.wire(with_audio=True)["content"][0]["audio"]) == audio


def test_audio_is_left_out_where_the_event_would_be_too_large():
    for n_bytes in (670_000, 673_000, 700_000, 5_000_000):
        item = Item("item_1", "message", role="user", content=(ContentPart("input_audio", audio=bytes(n_bytes)),))
        event = {"type": "conversation.item.retrieved", "event_id": "e" * 26, "item": item.wire(with_audio=True)}
        assert len(encode_event(event)) < MAX_EVENT_BYTES
        assert ("audio" in event["item"]["content"][0]) == (n_bytes < 674_000)


def test_an_id_is_given_or_kept():
    assert Item.parse({**ACCEPTED["user text"], "id": "mine"}).id == "mine"
    ids = {Item.parse(ACCEPTED["user text"]).id for _ in range(10)}
    assert len(ids) == 10
    assert all(item_id.startswith("item_") for item_id in ids)


def test_a_call_without_call_id_gets_one():
    call_id = Item.parse(ACCEPTED["call without id"]).call_id
    assert call_id is not None
    assert call_id.startswith("call_")
    assert len(call_id) <= 32


def test_beta_content_types_in_assistant_items():
    raw = message("assistant", {"type": "text", "text": "a"}, {"type": "audio", "transcript": "b"})
    assert [part.type for part in Item.parse(raw).content] == ["output_text", "output_audio"]


@pytest.mark.parametrize(("given", "stored"), [(None, "completed"), ("incomplete",) * 2, ("in_progress", "completed")])
def test_created_items_are_final(given: str | None, stored: str):
    assert Item.parse({**ACCEPTED["user text"], "status": given}).status == stored


def test_text_joins_what_was_said():
    item = Item.parse(
        message(
            "user",
            {"type": "input_text", "text": "one "},
            {"type": "input_image", "image_url": "data:"},
            {"type": "input_audio", "audio": ""},
            {"type": "input_audio", "transcript": "two"},
        )
    )
    assert item.text == "one two"


def test_reference_stands_for_an_item():
    assert parse_input(Field({"type": "item_reference", "id": "item_1"}, "x")) == ItemReference("item_1")
    parsed = parse_input(Field(ACCEPTED["user text"], "x"))
    assert isinstance(parsed, Item)


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (5, "invalid_type", "item"),
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "mcp_call"}, "invalid_value", "item.type"),
        ({"type": "item_reference", "id": "x"}, "invalid_value", "item.type"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        (message("developer"), "invalid_value", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "user", "content": "Hello"}, "invalid_type", "item.content"),
        ({"type": "message", "role": "user", "content": ["Hello"]}, "invalid_type", "item.content[0]"),
        (message("user", {"text": "x"}), "missing_required_parameter", "item.content[0].type"),
        (message("user", {"type": "text", "text": "x"}), "invalid_value", "item.content[0].type"),
        (message("user", {"type": "output_text", "text": "x"}), "invalid_value", "item.content[0].type"),
        (message("system", {"type": "input_audio", "audio": ""}), "invalid_value", "item.content[0].type"),
        (message("assistant", {"type": "input_text", "text": "x"}), "invalid_value", "item.content[0].type"),
        (message("user", {"type": "input_text"}), "missing_required_parameter", "item.content[0].text"),
        (message("user", {"type": "input_audio"}), "missing_required_parameter", "item.content[0].audio"),
        (message("user", {"type": "input_audio", "audio": "?"}), "invalid_value", "item.content[0].audio"),
        (message("user", {"type": "input_image"}), "missing_required_parameter", "item.content[0].image_url"),
        (message("user", status="done"), "invalid_value", "item.status"),
        (message("user", id=5), "invalid_type", "item.id"),
        (message("user", id=""), "invalid_value", "item.id"),
        (message("user", id="x" * 129), "invalid_value", "item.id"),
        ({"type": "function_call", "arguments": "{}"}, "missing_required_parameter", "item.name"),
        ({"type": "function_call", "name": "f", "arguments": {}}, "invalid_type", "item.arguments"),
        ({"type": "function_call_output", "output": "x"}, "missing_required_parameter", "item.call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        (message("user", {"type": "input_text", "text": "x" * 900_000}), "invalid_value", "item"),
    ],
)
def test_refused(raw: Any, code: str, param: str):
    error = refusal(raw)
    assert (error.code, error.param) == (code, param)


def test_message_lists_what_is_allowed():
    message_text = refusal(message("user", {"type": "video", "text": "x"})).message
    assert message_text == (
        'item.content[0].type must be input_text, input_audio or input_image in a message of role user, got "video"'
    )
