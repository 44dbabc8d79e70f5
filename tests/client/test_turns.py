"""Turns put together from events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

from talkover.client.connection import Received
from talkover.client.loudspeaker import Loudspeaker
from talkover.client.turns import Turns


def received(*events: dict[str, Any]) -> Iterator[Received]:
    for index, event in zip(count(), events, strict=False):
        yield Received(index, 10.0 + index, event)


ANSWER = (
    {"type": "response.created", "response": {"id": "r"}},
    {"type": "response.output_item.added", "response_id": "r", "item": {"id": "i"}},
    {"type": "response.output_audio_transcript.delta", "response_id": "r", "item_id": "i", "delta": "It is "},
    {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "bytes": 4800},
    {"type": "response.output_audio_transcript.delta", "response_id": "r", "item_id": "i", "delta": "noon."},
    {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "bytes": 4800},
)


def test_a_spoken_turn_has_its_place_in_the_audio_and_its_words():
    turns = Turns(
        received(
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": 500, "item_id": "u"},
            {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2500, "item_id": "u"},
            {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "transcript": "hello"},
        )
    )
    turn = turns.user["u"]
    assert (turn.started_ms, turn.ended_ms, turn.text, turn.at_s) == (500, 2500, "hello", 10.0)


def test_a_typed_turn_has_words_and_no_place():
    item = {"id": "u", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    turn = Turns(received({"type": "conversation.item.added", "item": item})).user["u"]
    assert (turn.text, turn.started_ms) == ("hello", None)


def test_an_answer_collects_text_and_sound():
    answer = Turns(received(*ANSWER)).answers["r"]
    assert (answer.text, answer.audio_ms, answer.item_ids, answer.status) == ("It is noon.", 200, ["i"], "in_progress")


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        (None, None),
        ({"type": "cancelled", "reason": "turn_detected"}, "turn_detected"),
        ({"type": "failed", "error": {"message": "no model"}}, "no model"),
    ],
)
def test_an_answer_says_how_it_ended(details: dict[str, Any] | None, reason: str | None):
    done = {"type": "response.done", "response": {"id": "r", "status": "ended", "status_details": details}}
    answer = Turns(received(*ANSWER, done)).answers["r"]
    assert (answer.status, answer.reason) == ("ended", reason)


def test_an_answer_sounds_when_its_items_do():
    speaker = Loudspeaker()
    speaker.play("other", np.ones(2400, np.float32), 10.0)
    speaker.play("i", np.ones(2400, np.float32), 10.0)
    answer = Turns(received(*ANSWER)).answers["r"]
    assert answer.first_audible_s(speaker.stretches) == pytest.approx(10.1)
    assert answer.last_audible_s(speaker.stretches) == pytest.approx(10.2)


def stages(marks: dict[str, float]) -> dict[str, float]:
    metrics = {"type": "s2s.turn.metrics", "response_id": "r", "marks_ms": marks}
    return Turns(received(*ANSWER, metrics)).answers["r"].stages_ms()


def test_stages_add_up():
    took = stages(
        {"speech_end": 0, "turn_end": 500, "transcript_final": 560, "llm_first_token": 700, "tts_first_audio": 720}
    )
    assert took == {"endpointing": 500, "ASR": 60, "LLM": 140, "TTS": 20}


def test_a_transcript_ready_before_the_end_of_the_turn_adds_nothing():
    took = stages(
        {"speech_end": 0, "turn_end": 500, "transcript_final": 250, "llm_first_token": 510, "tts_first_audio": 515}
    )
    assert took == {"endpointing": 500, "ASR": 0, "LLM": 10, "TTS": 5}


def test_a_typed_turn_has_no_stages():
    assert stages({"requested": 0, "llm_first_token": 10, "tts_first_audio": 20}) == {}
