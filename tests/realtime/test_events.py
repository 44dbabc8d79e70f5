"""Frames from clients: every rule of parsing, and that nothing but ProtocolError ever comes of a bad one."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeErrorEvent

from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import (
    AudioAppend,
    AudioClear,
    AudioCommit,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    PlaybackUpdated,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
    encode_event,
    parse_client_event,
)
from talkover.realtime.ids import new_id
from talkover.realtime.settings import ResponseOptions, SessionSettings

USER_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}

VALID: list[dict[str, Any]] = [
    {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": "Be kind.",
            "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}],
            "tool_choice": {"type": "function", "name": "f"},
            "max_output_tokens": 100,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "whisper-1", "language": "en", "prompt": "p"},
                    "noise_reduction": {"type": "near_field"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.4, "idle_timeout_ms": 6000},
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "default", "speed": 1.2},
            },
            "tracing": {"workflow_name": "w"},
            "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
            "prompt": {"id": "pmpt_1"},
            "include": ["item.input_audio_transcription.logprobs"],
            "reasoning": {"effort": "low"},
            "parallel_tool_calls": True,
            "s2s": {"version": 1, "events": ["metrics"]},
        },
    },
    {"type": "session.update", "session": {"voice": "default", "modalities": ["text"], "turn_detection": None}},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "previous_item_id": "root", "item": {"id": "item_1", **USER_ITEM}},
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]},
    },
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 1200},
    {
        "type": "response.create",
        "response": {
            "instructions": "Say hi.",
            "output_modalities": ["text"],
            "audio": {"output": {"voice": {"id": "default"}, "format": "pcm16"}},
            "tools": [],
            "tool_choice": "none",
            "max_output_tokens": "inf",
            "metadata": {"client_event_id": "1"},
            "conversation": "none",
            "input": [USER_ITEM, {"type": "item_reference", "id": "item_1"}],
        },
    },
    {"type": "response.cancel", "response_id": "resp_1"},
    {"type": "s2s.playback.updated", "item_id": "item_1", "audio_played_ms": 250.5, "ended": False},
]


def refusal(frame: str | bytes | dict[str, Any]) -> ProtocolError:
    text = json.dumps(frame) if isinstance(frame, dict) else frame
    with pytest.raises(ProtocolError) as caught:
        parse_client_event(text)
    return caught.value


def parsed(event: dict[str, Any]) -> Any:
    return parse_client_event(json.dumps(event))


# ----------------------------------------------------------------------------------------------------- envelope


@pytest.mark.parametrize(
    "frame", ["", "{", "{} {}", '{"a": NaN}', '{"a": 1e999}', '"\\ud800"', "\ud800", "[" * 100_000]
)
def test_not_json_is_invalid_json(frame: str):
    error = refusal(frame)
    assert (error.code, error.param, error.event_id) == ("invalid_json", None, None)


@pytest.mark.parametrize("frame", ["[]", "null", "5", '"session.update"'])
def test_not_an_object_is_invalid_event(frame: str):
    error = refusal(frame)
    assert (error.code, error.param) == ("invalid_event", None)


def test_binary_frame_is_invalid_event():
    assert refusal(b'{"type": "input_audio_buffer.commit"}').code == "invalid_event"


@pytest.mark.parametrize("event", [{}, {"type": 5}, {"type": None}, {"type": ["response.create"]}])
def test_missing_string_type_is_invalid_event(event: dict[str, Any]):
    error = refusal({**event, "event_id": "e1"})
    assert (error.code, error.param, error.event_id) == ("invalid_event", "type", "e1")


def test_unknown_type_lists_the_supported_ones():
    error = refusal({"type": "response.created", "event_id": "e1"})
    assert (error.code, error.param, error.event_id) == ("invalid_value", "type", "e1")
    assert "session.update" in error.message
    assert '"response.created"' in error.message


def test_event_of_another_transport_is_invalid_value():
    error = refusal({"type": "output_audio_buffer.clear"})
    assert (error.code, error.param) == ("invalid_value", "type")
    assert "WebRTC" in error.message


def test_event_id_is_kept():
    assert parsed({"type": "input_audio_buffer.commit", "event_id": ""}) == AudioCommit("")
    assert parsed({"type": "input_audio_buffer.commit", "event_id": None}) == AudioCommit(None)


@pytest.mark.parametrize(
    ("event_id", "code"), [(5, "invalid_type"), ({}, "invalid_type"), ("x" * 513, "invalid_value")]
)
def test_unusable_event_id_is_refused_without_echo(event_id: Any, code: str):
    error = refusal({"type": "input_audio_buffer.commit", "event_id": event_id})
    assert (error.code, error.param, error.event_id) == (code, "event_id", None)


def test_event_id_is_in_errors_from_deep_inside():
    content = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": 5}]
    item = {"type": "message", "role": "user", "content": content}
    error = refusal({"type": "response.create", "event_id": "e1", "response": {"input": [USER_ITEM, item]}})
    assert (error.code, error.event_id) == ("invalid_type", "e1")
    assert error.param == "response.input[1].content[1].text"


def test_unknown_keys_are_ignored():
    nested: Any = 0
    for _ in range(200):
        nested = [nested]
    assert parsed({"type": "input_audio_buffer.clear", "extra": nested}) == AudioClear(None)


def test_last_of_duplicate_keys_counts():
    frame = '{"type": "response.cancel", "response_id": "a", "response_id": "b"}'
    assert parse_client_event(frame) == ResponseCancel(None, "b")


def test_error_event_has_all_five_keys_and_validates_as_the_stock_type():
    event = refusal({"type": "conversation.item.retrieve"}).event()
    assert event["error"] == {
        "type": "invalid_request_error",
        "code": "missing_required_parameter",
        "message": "item_id is required",
        "param": "item_id",
        "event_id": None,
    }
    RealtimeErrorEvent.model_validate_json(encode_event({**event, "event_id": new_id("event_")}), strict=True)


def test_messages_shorten_the_value():
    error = refusal({"type": "response.create", "response": {"conversation": "x" * 1_000_000}})
    assert error.message.startswith('response.conversation must be auto or none, got "xxx')
    assert len(error.message) < 200


# ------------------------------------------------------------------------------------------------------- events


def test_session_update_carries_the_raw_patch():
    assert parsed({"type": "session.update", "session": {"voice": 5}}) == SessionUpdate(None, {"voice": 5})


@pytest.mark.parametrize(("session", "code"), [(None, "missing_required_parameter"), ("x", "invalid_type")])
def test_session_update_needs_an_object(session: Any, code: str):
    error = refusal({"type": "session.update", "session": session})
    assert (error.code, error.param) == (code, "session")


def test_append_is_decoded():
    audio = bytes(range(256))
    event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}
    assert parsed(event) == AudioAppend(None, audio)
    assert parsed({"type": "input_audio_buffer.append", "audio": ""}) == AudioAppend(None, b"")


@pytest.mark.parametrize("audio", ["A", "AAA", "AA==AA==", "AA A", "AAAA\n", "=", "AA-_", "ÄÖÜA", "\x00"])
def test_bad_base64_is_invalid_value(audio: str):
    error = refusal({"type": "input_audio_buffer.append", "audio": audio, "event_id": "e"})
    assert (error.code, error.param, error.event_id) == ("invalid_value", "audio", "e")


def test_twenty_megabytes_of_audio_are_fast():
    frame = '{"type":"input_audio_buffer.append","audio":"' + "A" * 20_000_000 + '"}'
    start = time.process_time()
    event = parse_client_event(frame)
    assert time.process_time() - start < 1.0
    assert isinstance(event, AudioAppend)
    assert len(event.audio) == 15_000_000


@pytest.mark.parametrize("value", ["[],", "{},", "1,", '"a":1,'])
def test_twenty_megabytes_of_small_values_are_refused_undecoded(value: str):
    frame = '{"type": "session.update", "session": {"prompt": {"a": [' + value * (20_000_000 // len(value))
    start = time.process_time()
    assert refusal(frame).code == "invalid_event"
    assert time.process_time() - start < 1.0


def test_long_text_is_no_reason_to_refuse():
    text = "First, second, [third], " * 8000
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    assert parsed({"type": "conversation.item.create", "item": item}).item.text == text


@pytest.mark.parametrize("previous", ["root", "item_1", None])
def test_item_create_says_where(previous: str | None):
    event = parsed({"type": "conversation.item.create", "item": USER_ITEM, "previous_item_id": previous})
    assert isinstance(event, ItemCreate)
    assert event.previous_item_id == previous
    assert event.item.text == "Hello"


def test_item_events_name_their_item():
    assert parsed({"type": "conversation.item.retrieve", "item_id": "a"}) == ItemRetrieve(None, "a")
    assert parsed({"type": "conversation.item.delete", "item_id": "a"}) == ItemDelete(None, "a")


def test_truncate_takes_whole_milliseconds():
    truncate = {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 1500.0}
    assert parsed(truncate) == ItemTruncate(None, "a", 0, 1500)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("audio_end_ms", -1, "invalid_value"),
        ("audio_end_ms", 1.5, "invalid_type"),
        ("audio_end_ms", True, "invalid_type"),
        ("audio_end_ms", 10**30, "invalid_value"),
        ("audio_end_ms", None, "missing_required_parameter"),
        ("content_index", 1, "invalid_value"),
        ("content_index", "0", "invalid_type"),
        ("item_id", "", "invalid_value"),
        ("item_id", 5, "invalid_type"),
    ],
)
def test_truncate_refuses(key: str, value: Any, code: str):
    truncate = {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 1500}
    error = refusal({**truncate, key: value})
    assert (error.code, error.param) == (code, key)


def test_response_create_needs_nothing():
    assert parsed({"type": "response.create"}) == ResponseCreate(None, ResponseOptions())
    assert parsed({"type": "response.create", "response": None}) == ResponseCreate(None, ResponseOptions())


def test_cancel_may_name_a_response():
    assert parsed({"type": "response.cancel"}) == ResponseCancel(None, None)
    assert parsed({"type": "response.cancel", "response_id": "resp_1"}) == ResponseCancel(None, "resp_1")


def test_playback_report():
    report = {"type": "s2s.playback.updated", "item_id": "a", "audio_played_ms": 12.5}
    assert parsed(report) == PlaybackUpdated(None, "a", 12.5, False)
    assert parsed({**report, "ended": True}) == PlaybackUpdated(None, "a", 12.5, True)
    assert refusal({**report, "audio_played_ms": -1}).param == "audio_played_ms"
    assert refusal({**report, "ended": 1}).code == "invalid_type"


def test_ids_fit_the_clients_and_do_not_repeat():
    ids = {new_id("call_") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(name) == 25 and name.removeprefix("call_").isalnum() for name in ids)


@pytest.mark.parametrize("event", VALID, ids=lambda event: event["type"])
def test_valid_events_are_accepted(event: dict[str, Any]):
    use(json.dumps(event))


# ------------------------------------------------------------------------------------------------ anything at all


def use(frame: str | bytes) -> None:
    """Parses an event and what is parsed later on; everything accepted can be sent back."""
    event = parse_client_event(frame)
    match event:
        case SessionUpdate(session=patch):
            encode_event(SessionSettings().updated(patch, str).wire("sess_", "m", 0))
        case ResponseCreate(options=options):
            encode_event(options.resolve(SessionSettings(), str).wire())
        case ItemCreate(item=item):
            encode_event(item.wire(with_audio=True))
        case _:
            pass


def survives(frame: str | bytes) -> None:
    answer = ""
    try:
        use(frame)
    except ProtocolError as error:
        answer = encode_event(error.event())
    assert len(answer) < 5000


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 2**64, 10**200, -(10**20), 1.0, 0.5])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "auto", "text", "audio", "none", "inf", "function", "pcm16", "item_reference", "é" * 200])
)
KEYS = st.sampled_from(["type", "id", "name", "session", "item", "audio", "model", "rate"]) | st.text(max_size=4)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


def paths(node: Any) -> list[tuple[str | int, ...]]:
    if isinstance(node, dict):
        return [(key, *rest) for key, child in node.items() for rest in [(), *paths(child)]]
    if isinstance(node, list):
        return [(index, *rest) for index, child in enumerate(node) for rest in [(), *paths(child)]]
    return []


@given(st.text(max_size=40) | st.binary(max_size=40) | JSON.map(json.dumps))
@settings(max_examples=150, deadline=None)
def test_any_frame_is_answered_with_a_protocol_error_at_worst(frame: str | bytes):
    survives(frame)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_mutation_of_a_valid_event_is_answered_with_a_protocol_error_at_worst(data: st.DataObject):
    event = json.loads(json.dumps(data.draw(st.sampled_from(VALID))))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(paths(event)))
        node = event
        for key in way:
            node = node[key]
        if isinstance(node, dict) and data.draw(st.booleans()):
            del node[last]
        else:
            node[last] = data.draw(JSON)
        if not event:
            break
    frame = json.dumps(event)
    cut = data.draw(st.integers(0, len(frame)) | st.none())
    survives(frame if cut is None else frame[:cut])


def test_deeply_nested_values_that_would_be_echoed_are_refused():
    for key in ("tracing", "prompt", "reasoning", "truncation"):
        patch = f'{{"type": "session.update", "session": {{"{key}": {{"a": {"[" * 500}{"]" * 500}}}}}}}'
        event = parse_client_event(patch)
        assert isinstance(event, SessionUpdate)
        with pytest.raises(ProtocolError, match="nested at most"):
            SessionSettings().updated(event.session, str)
