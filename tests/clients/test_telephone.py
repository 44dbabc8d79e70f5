"""A telephone bridge: G.711 mu-law both ways, 20 ms a frame, played out by a wall clock that runs late."""

from __future__ import annotations

import time
from functools import partial

import pytest

from live import ServerProcess
from recordings import check_heard, is_audible, silence, speech, words
from talkover.audio import WireDecoder, encode, samples_to_pcm16
from talkover.messages import AudioFormat
from wire import WireClient, check_order

pytestmark = pytest.mark.slow

RATE_HZ = 8000
BYTES_PER_MS = 8
LATE_MS = 80
"""what is buffered on the line counts as played for a bridge that only knows its clock"""


def call(server: ServerProcess) -> WireClient:
    client = WireClient(server.ws_url)
    assert client.next()["type"] == "session.created"
    mulaw = {"type": "audio/pcmu"}
    session = client.update(
        audio={"input": {"format": mulaw, "transcription": {"model": "whisper-1"}}, "output": {"format": mulaw}}
    )
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == mulaw
    return client


def say(client: WireClient, name: str) -> None:
    client.say_live(speech(name, RATE_HZ), RATE_HZ, mulaw)


def listen(client: WireClient, duration_s: float) -> None:
    """The line is silent on this side."""
    client.say_live(silence(duration_s, RATE_HZ), RATE_HZ, mulaw)


mulaw = partial(encode, encoding="pcmu")


def test_a_question_is_answered_in_mulaw(embedded: ServerProcess):
    with call(embedded) as client:
        say(client, "time_rms")
        listen(client, 1.0)
        heard = client.nth("conversation.item.input_audio_transcription.completed")
        assert {"what", "time"} <= set(words(heard["transcript"]))
        done = client.until("response.done", 30)["response"]
        assert done["status"] == "completed"
        assert words(client.transcript(done["id"]))[:2] == ["it", "is"]
        assert all(event["content_index"] == 0 for event in client.of("response.output_audio.delta"))
        payload = client.audio()
        assert len(payload) / BYTES_PER_MS > 1000
        assert is_audible(samples_to_pcm16(WireDecoder(AudioFormat("pcmu", RATE_HZ)).feed(payload)))
        check_order(client.events)


def test_caller_talks_over_a_long_answer(embedded: ServerProcess):
    with call(embedded) as client:
        say(client, "story_rms")
        listen(client, 1.0)
        delta = client.nth("response.output_audio.delta")
        began_s = client.arrived_s[client.events.index(delta)]
        listen(client, began_s + 2.5 - time.monotonic())
        say(client, "time_rms")
        started = client.nth("input_audio_buffer.speech_started", 2)
        started_s = client.arrived_s[client.events.index(started)]
        client.send(
            "conversation.item.truncate",
            item_id=delta["item_id"],
            content_index=delta["content_index"],
            audio_end_ms=round((started_s - began_s) * 1000) + LATE_MS,
        )
        listen(client, 1.0)

        cancelled = client.nth("response.done")["response"]
        assert (cancelled["status"], cancelled["status_details"]["reason"]) == ("cancelled", "turn_detected")
        last_old = max(i for i, event in enumerate(client.events) if event.get("response_id") == cancelled["id"])
        assert client.arrived_s[last_old] - started_s < 0.2
        audio_after = [
            event
            for event in client.events[client.events.index(started) :]
            if event["type"] == "response.output_audio.delta" and event["response_id"] == cancelled["id"]
        ]
        assert not audio_after

        client.send("conversation.item.retrieve", item_id=delta["item_id"])
        heard = client.until("conversation.item.retrieved")["item"]["content"][0]["transcript"]
        truncated = client.of("conversation.item.truncated")[0]
        said = client.transcript(cancelled["id"])
        check_heard(embedded.http_url, said, heard, truncated["audio_end_ms"], "default")
        answered = client.nth("response.done", 2, 15)["response"]
        assert answered["status"] == "completed"
        assert client.audio(answered["id"])
        check_order(client.events)
