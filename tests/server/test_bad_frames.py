"""Frames no client should send: a clear error to that client, the session goes on, and so do all others."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from fakes import ScriptedAsr, fake_engines
from recordings import silence, speech, tone
from talkover.audio import WireEncoder
from talkover.messages import AudioFormat
from wire import WireClient

MIB = 1 << 20


@pytest.fixture
def client(serve) -> Iterator[WireClient]:
    with WireClient(serve(fake_engines()).ws_url) as client:
        client.next()
        yield client


def error_of(client: WireClient) -> dict[str, Any]:
    """The one error that everything sent so far has led to."""
    events = client.round_trip()
    assert [event["type"] for event in events] == ["error"]
    return events[0]["error"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ('{"type": "response.create"', "invalid_json"),
        ("[" * 1_000_000, "invalid_event"),
        ('{"type":"response.create","response":' + '{"a":' * 200_000 + "1" + "}" * 200_001, "invalid_event"),
        ("[]", "invalid_event"),
        ("{}", "invalid_event"),
        ('{"type": 7}', "invalid_event"),
        (b"\x00\x01", "invalid_event"),
        (b'{"type": "input_audio_buffer.commit"}', "invalid_event"),
        ('{"type": "session.destroy"}', "invalid_value"),
        ('{"type": "output_audio_buffer.clear"}', "invalid_value"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter"),
        ('{"type": "input_audio_buffer.append", "audio": 5}', "invalid_type"),
        ('{"type": "input_audio_buffer.append", "audio": "not base64!"}', "invalid_value"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_malformed_frame_is_answered_with_one_error(client: WireClient, frame: str | bytes, code: str):
    client.send_raw(frame)
    assert error_of(client)["code"] == code
    client.ask("And now?")
    assert client.until("response.done")["response"]["status"] == "completed"


def test_text_that_is_not_utf8_closes_with_1007(client: WireClient):
    raw: socket.socket = client.connection.socket
    payload = b'{"type": "\xff\xfe"}'
    raw.sendall(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)
    assert client.closed()[0] == 1007


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id", "item_id"),
        (
            {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 5},
            "item_truncate_invalid_item_id",
            "item_id",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "c", "output": "1"},
            },
            "invalid_value",
            "item.call_id",
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else None,
)
def test_event_out_of_order_is_answered_with_its_error(
    client: WireClient, event: dict[str, Any], code: str, param: str | None
):
    client.send_raw(json.dumps(event | {"event_id": "mine"}))
    error = error_of(client)
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")


def test_second_response_is_refused_while_one_is_active(serve):
    with WireClient(serve(fake_engines()).ws_url) as client:
        client.ask("Tell me something that takes a while.")
        client.send("response.create", event_id="second")
        error = client.until("error")["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
        assert client.of("response.created")[0]["response"]["id"] in error["message"]
        assert client.until("response.done")["response"]["status"] == "completed"


@pytest.mark.parametrize(
    "audio",
    [
        {"input": {"format": {"type": "audio/pcm", "rate": 11025}}},
        {"input": {"format": {"type": "audio/opus"}}},
        {"output": {"format": {"type": "audio/pcm", "rate": "fast"}}},
        {"output": {"speed": 9}},
        {"output": {"voice": "nobody"}},
    ],
    ids=str,
)
def test_wrong_rate_format_or_voice_changes_nothing(client: WireClient, audio: dict[str, Any]):
    before = client.update()
    client.send("session.update", session={"type": "realtime", "instructions": "half an update", "audio": audio})
    error = error_of(client)
    assert error["code"] in ("invalid_value", "invalid_type")
    assert error["param"].startswith("session.audio.")
    assert client.update() == before


def test_samples_cut_in_half_are_put_together_again(serve):
    asr = ScriptedAsr("What is Talkover?")
    server = serve(fake_engines(asr=asr))
    with WireClient(server.ws_url) as client:
        audio = base64.b64decode(base64.b64encode((tone(0.6) * 32767).astype("<i2").tobytes()))
        for begin in range(0, len(audio), 333):
            client.append(audio[begin : begin + 333])
        client.append(b"")
        client.say(silence(0.8))
        started = client.until("input_audio_buffer.speech_started")
        stopped = client.until("input_audio_buffer.speech_stopped")
        assert started["audio_start_ms"] < 100
        assert 1000 < stopped["audio_end_ms"] < 1400
        assert client.until("response.done")["response"]["status"] == "completed"


def test_an_append_of_15_mib_is_worked_off_while_others_go_on_talking(serve):
    """Five minutes of audio in one event: 20 MiB of base64."""
    server = serve(fake_engines())
    with WireClient(server.ws_url) as flooding, WireClient(server.ws_url) as other:
        for client in (flooding, other):
            client.next()
        flooding.append(bytes(15 * MIB))
        began_s = time.monotonic()
        other.ask("Am I disturbed?")
        other.until("response.output_audio.delta")
        assert time.monotonic() - began_s < 1.0
        flooding.send("input_audio_buffer.clear")
        flooding.until("input_audio_buffer.cleared", 30)
        flooding.ask("Still there?")
        assert flooding.until("response.done", 30)["response"]["status"] == "completed"


def test_frame_over_the_limit_closes_with_1009_and_disturbs_nobody(serve):
    server = serve(fake_engines())
    with WireClient(server.ws_url) as huge, WireClient(server.ws_url) as other:
        huge.next()
        frame = '{"type":"input_audio_buffer.append","audio":"' + "A" * (24 * MIB + 1) + '"}'
        with contextlib.suppress(ConnectionClosed):
            huge.send_raw(frame)
        assert huge.closed()[0] == 1009
        other.ask("Still there?")
        assert other.until("response.done")["response"]["status"] == "completed"


def test_frame_just_under_the_limit_is_read(client: WireClient):
    client.send_raw('{"type":"input_audio_buffer.append","audio":"' + "A" * (24 * MIB - 100) + '"}')
    client.send("input_audio_buffer.clear")
    client.until("input_audio_buffer.cleared", 30)
    assert not client.of("error")


def test_noise_of_every_kind_leaves_the_session_alive(client: WireClient):
    """Valid events in senseless order, mixed with broken ones."""
    item = {"id": "item_a", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    senseless: list[str | bytes] = [
        json.dumps({"type": "input_audio_buffer.clear"}),
        json.dumps({"type": "session.update", "session": {"turn_detection": None}}),
        json.dumps({"type": "response.cancel"}),
        b"\xff" * 100,
        json.dumps({"type": "conversation.item.create", "item": item}),
        json.dumps({"type": "conversation.item.create", "item": item}),
        json.dumps({"type": "conversation.item.truncate", "item_id": "item_a", "content_index": 0, "audio_end_ms": 1}),
        json.dumps({"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}}),
        json.dumps({"type": "conversation.item.delete", "item_id": "item_a"}),
        json.dumps({"type": "conversation.item.delete", "item_id": "item_a"}),
        json.dumps({"type": "session.update", "session": {"turn_detection": {"type": "semantic_vad"}}}),
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(4801)).decode()}),
        json.dumps({"type": "input_audio_buffer.commit"}),
        json.dumps({"type": "input_audio_buffer.commit"}),
        "null",
    ]
    for _ in range(20):
        for frame in senseless:
            client.send_raw(frame)
    client.round_trip()
    client.send("input_audio_buffer.clear")
    client.until("input_audio_buffer.cleared")
    client.read_for(0.3)
    client.ask("Are you well?")
    client.until("response.created")
    assert client.until("response.done")["response"]["status"] == "completed"


def test_speech_at_every_rate_and_encoding_is_heard_alike(serve):
    """The same utterance over every wire format ends at the same time of its own audio clock."""
    formats: dict[AudioFormat, dict[str, Any]] = {
        AudioFormat("pcm", rate_hz): {"type": "audio/pcm", "rate": rate_hz} for rate_hz in (8000, 16000, 24000, 48000)
    }
    formats |= {AudioFormat("pcmu", 8000): {"type": "audio/pcmu"}, AudioFormat("pcma", 8000): {"type": "audio/pcma"}}
    server = serve(fake_engines())
    ends_ms: list[int] = []
    for audio_format, wire_format in formats.items():
        with WireClient(server.ws_url, check=False) as client:  # stock models know no PCM but that at 24 kHz
            client.update(audio={"input": {"format": wire_format}})
            encoder = WireEncoder(audio_format)
            payload = encoder.feed(speech("what_is_talkover_slt")) + encoder.feed(silence(1.0)) + encoder.flush()
            for begin in range(0, len(payload), 997):
                client.append(payload[begin : begin + 997])
            ends_ms.append(client.until("input_audio_buffer.speech_stopped")["audio_end_ms"])
    assert max(ends_ms) - min(ends_ms) <= 64, ends_ms
