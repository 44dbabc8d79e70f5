"""Renaming for clients of the beta protocol."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from talkover.realtime.beta import to_beta
from talkover.realtime.items import Item
from talkover.realtime.settings import ResponseOptions, SessionSettings

ASSISTANT = Item.parse(
    {
        "id": "item_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_audio", "transcript": "Hi"}, {"type": "output_text", "text": "Hi"}],
    }
)
USER = Item.parse({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]})


def beta(event: dict[str, Any]) -> dict[str, Any]:
    """Renamed, with the given event left as it was."""
    before = copy.deepcopy(event)
    renamed = to_beta(event)
    assert event == before
    assert renamed is not None
    return renamed


@pytest.mark.parametrize(
    ("name", "beta_name"),
    [
        ("response.output_audio.delta", "response.audio.delta"),
        ("response.output_audio.done", "response.audio.done"),
        ("response.output_audio_transcript.delta", "response.audio_transcript.delta"),
        ("response.output_audio_transcript.done", "response.audio_transcript.done"),
        ("response.output_text.delta", "response.text.delta"),
        ("response.output_text.done", "response.text.done"),
        ("response.output_item.added", "response.output_item.added"),
        ("response.content_part.added", "response.content_part.added"),
        ("input_audio_buffer.speech_started", "input_audio_buffer.speech_started"),
        ("error", "error"),
    ],
)
def test_event_names(name: str, beta_name: str):
    assert beta({"type": name, "event_id": "e", "delta": "x"}) == {"type": beta_name, "event_id": "e", "delta": "x"}


def test_item_added_becomes_created_with_beta_content():
    event = {"type": "conversation.item.added", "previous_item_id": None, "item": ASSISTANT.wire()}
    renamed = beta(event)
    assert (renamed["type"], renamed["previous_item_id"]) == ("conversation.item.created", None)
    assert renamed["item"]["content"] == [{"type": "audio", "transcript": "Hi"}, {"type": "text", "text": "Hi"}]
    assert renamed["item"]["id"] == "item_1"


def test_item_done_is_dropped():
    assert to_beta({"type": "conversation.item.done", "item": USER.wire()}) is None


def test_user_content_and_calls_stay():
    call = Item("item_2", "function_call", call_id="call_1", name="f", arguments="{}")
    for item in (USER, call):
        assert beta({"type": "response.output_item.done", "item": item.wire()})["item"] == item.wire()


def test_session_in_beta_shape():
    session = SessionSettings(instructions="Be kind.", max_output_tokens=100).wire("sess_1", "m", 1)
    assert beta({"type": "session.created", "session": session})["session"] == {
        "object": "realtime.session",
        "id": "sess_1",
        "model": "m",
        "modalities": ["text", "audio"],
        "instructions": "Be kind.",
        "voice": "default",
        "speed": 1.0,
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": None,
        "input_audio_noise_reduction": None,
        "turn_detection": session["audio"]["input"]["turn_detection"],
        "tools": [],
        "tool_choice": "auto",
        "max_response_output_tokens": 100,
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 1,
        "include": None,
    }


def test_beta_session_is_accepted_as_an_update():
    patch = {"output_modalities": ["text"], "audio": {"input": {"format": "g711_alaw"}, "output": {"speed": 0.5}}}
    settings = SessionSettings().updated(patch, str)
    renamed = beta({"type": "session.updated", "session": settings.wire("sess_1", "m", 1)})["session"]
    assert SessionSettings().updated(renamed, str) == settings


def test_response_in_beta_shape():
    plan = ResponseOptions.parse({"output_audio_format": "g711_ulaw"}).resolve(SessionSettings(), str)
    head = {"object": "realtime.response", "id": "resp_1", "status": "completed", "status_details": None}
    response = {**head, "output": [ASSISTANT.wire()], "conversation_id": "conv_1", "usage": {}, **plan.wire()}
    renamed = beta({"type": "response.done", "response": response})["response"]
    assert renamed == {
        **head,
        "output": [beta({"type": "response.output_item.done", "item": ASSISTANT.wire()})["item"]],
        "conversation_id": "conv_1",
        "usage": {},
        "metadata": None,
        "max_output_tokens": "inf",
        "modalities": ["text", "audio"],
        "voice": "default",
        "output_audio_format": "g711_ulaw",
    }
