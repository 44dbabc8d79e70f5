"""The ear: pre-roll, pieces, formats and clocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fakes import LevelVad
from talkover.audio import samples_to_pcm16
from talkover.messages import AudioFormat
from talkover.pipeline.receiver import InputOverflow, Receiver, ReceiverEvent, SpeechPiece
from talkover.vad.endpointing import SpeechEnded, SpeechStarted, TurnOptions
from talkover.vad.frame_sound import MeasuredSounds

PCM = AudioFormat()


def tone(duration_ms: float, amplitude: float = 0.5) -> bytes:
    return samples_to_pcm16((amplitude * np.sin(np.arange(round(24 * duration_ms)) * 0.1)).astype(np.float32))


def hear(receiver: Receiver, data: bytes, chunk_bytes: int = 960, audible: bool = False) -> list[ReceiverEvent]:
    events: list[ReceiverEvent] = []
    for begin in range(0, len(data), chunk_bytes):
        receiver.push(data[begin : begin + chunk_bytes], PCM)
        while receiver.is_busy:
            events += receiver.step(audible)
    return events


@pytest.fixture
def receiver() -> Receiver:
    receiver = Receiver(MeasuredSounds(LevelVad()))
    receiver.configure(TurnOptions(), 300)
    return receiver


def test_an_utterance_reaches_the_recognizer_whole_and_with_its_pre_roll(receiver: Receiver):
    events = hear(receiver, tone(1000, 0) + tone(600) + tone(800, 0))
    started = next(event for event in events if isinstance(event, SpeechStarted))
    ended = next(event for event in events if isinstance(event, SpeechEnded))
    pieces = [event for event in events if isinstance(event, SpeechPiece)]
    assert abs(pieces[0].start_ms - (started.start_ms - 300)) <= 32
    assert pieces[-1].end_ms == round(ended.end_ms)
    for piece, following in itertools.pairwise(pieces):
        assert piece.end_ms == following.start_ms
    total_ms = sum(piece.samples.size for piece in pieces) / 16
    assert abs(total_ms - (pieces[-1].end_ms - pieces[0].start_ms)) < 1


@pytest.mark.parametrize("chunk_bytes", [7, 333, 960, 48_000, 10_000_000])
def test_however_audio_is_cut_the_turns_are_the_same(receiver: Receiver, chunk_bytes: int):
    reference = Receiver(MeasuredSounds(LevelVad()))
    reference.configure(TurnOptions(), 300)
    data = tone(500, 0) + tone(500) + tone(700, 0) + tone(400) + tone(700, 0)
    expected = [event for event in hear(reference, data) if not isinstance(event, SpeechPiece)]
    found = [event for event in hear(receiver, data, chunk_bytes) if not isinstance(event, SpeechPiece)]
    assert found == expected


def test_half_a_sample_is_kept_for_the_next_append(receiver: Receiver):
    data = tone(100)
    receiver.configure(None, 0)
    hear(receiver, data[:1001], 1001)
    hear(receiver, data[1001:], len(data))
    audio = receiver.commit()
    assert abs(audio.size - 1600) <= 1


def test_commit_takes_all_that_was_appended_and_starts_anew(receiver: Receiver):
    receiver.configure(None, 0)
    hear(receiver, tone(250))
    assert receiver.buffered_ms == 250
    assert abs(receiver.commit().size - 4000) <= 1
    assert receiver.buffered_ms == 0
    hear(receiver, tone(100))
    assert abs(receiver.commit().size - 1600) <= 1


def test_the_clock_goes_on_over_commits_and_manual_phases(receiver: Receiver):
    hear(receiver, tone(500, 0))
    receiver.configure(None, 0)
    hear(receiver, tone(1010, 0))
    receiver.commit()
    receiver.configure(TurnOptions(), 300)
    events = hear(receiver, tone(300, 0) + tone(500))
    started = next(event for event in events if isinstance(event, SpeechStarted))
    assert abs(started.start_ms - 1810) < 50


def test_the_buffer_without_turn_detection_is_bounded(receiver: Receiver):
    receiver.configure(None, 0)
    events = hear(receiver, bytes(48_000 * 310), 480_000)
    assert sum(isinstance(event, InputOverflow) for event in events) == 1
    assert receiver.commit().size <= 301 * 16_000


def test_silence_leaves_a_bounded_buffer(receiver: Receiver):
    hear(receiver, bytes(48_000 * 60), 480_000)
    assert receiver.commit().size <= 31 * 16_000
