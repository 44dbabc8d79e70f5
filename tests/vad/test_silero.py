"""Silero through its wheel, alone and behind the gate."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkover.audio import VAD_FRAME_SAMPLES
from talkover.config import Settings
from talkover.messages import Samples
from talkover.vad.silero import GATE_CLOSES_AFTER_FRAMES, GatedStream, create

SPEECH = Path(__file__).parent.parent / "data" / "speech"


def frames_of(samples: Samples) -> list[Samples]:
    whole = samples.size - samples.size % VAD_FRAME_SAMPLES
    return list(samples[:whole].reshape(-1, VAD_FRAME_SAMPLES))


@pytest.fixture(scope="module")
def speech() -> Samples:
    """The first shipped sentence, 0.3 s of silence at both ends."""
    name = sorted(SPEECH.glob("*.flac"))[0]
    samples, rate_hz = soundfile.read(name, dtype="float32")
    assert rate_hz == 16_000
    return samples


def settings(gate: str) -> Settings:
    return Settings.model_validate({"vad": {"gate": gate}})


def test_a_frame_costs_no_spinning_threads():
    """CPU time over wall time: the wheel's default of four OpenMP threads spends a multiple."""
    stream = create(settings("none")).stream()
    frame = np.zeros(VAD_FRAME_SAMPLES, np.float32)
    stream.speech_probability(frame)
    threads = set(Path("/proc/self/task").iterdir()) if Path("/proc/self/task").is_dir() else set()
    for _ in range(20):
        stream.speech_probability(frame)
    assert (set(Path("/proc/self/task").iterdir()) if threads else set()) <= threads
    assert "OMP_THREAD_LIMIT" not in os.environ


def test_speech_is_heard_and_silence_is_not(speech: Samples):
    stream = create(settings("none")).stream()
    heard = [stream.speech_probability(frame) for frame in frames_of(speech)]
    assert np.mean(np.asarray(heard[10:-10]) > 0.5) > 0.6
    silence = [stream.speech_probability(np.zeros(VAD_FRAME_SAMPLES, np.float32)) for _ in range(60)]
    assert max(silence[10:]) < 0.1


def test_streams_do_not_disturb_each_other(speech: Samples):
    engine = create(settings("none"))
    frames = frames_of(speech)
    alone = engine.stream()
    expected = [alone.speech_probability(frame) for frame in frames]
    one, other = engine.stream(), engine.stream()
    rng = np.random.default_rng(0)
    heard = []
    for frame in frames:
        heard.append(one.speech_probability(frame))
        other.speech_probability(rng.standard_normal(VAD_FRAME_SAMPLES).astype(np.float32))
    assert heard == expected


@pytest.mark.parametrize("gate", ["none", "webrtc"])
def test_reset_forgets(gate: str, speech: Samples):
    stream = create(settings(gate)).stream()
    frames = frames_of(speech)
    first = [stream.speech_probability(frame) for frame in frames]
    stream.reset()
    assert [stream.speech_probability(frame) for frame in frames] == first


def test_a_frame_of_nan_is_silence_and_does_no_lasting_harm(speech: Samples):
    stream, fresh = create(settings("none")).stream(), create(settings("none")).stream()
    assert stream.speech_probability(np.full(VAD_FRAME_SAMPLES, np.nan, np.float32)) < 0.1
    fresh.speech_probability(np.zeros(VAD_FRAME_SAMPLES, np.float32))
    for frame in frames_of(speech):
        assert stream.speech_probability(frame) == fresh.speech_probability(frame)


def test_the_gate_spares_silence_and_opens_for_speech(speech: Samples):
    gated = create(settings("webrtc")).stream()
    assert isinstance(gated, GatedStream)
    rng = np.random.default_rng(0)
    room = (rng.standard_normal(16_000 * 2) * 2e-4).astype(np.float32)
    for frame in frames_of(room):
        gated.speech_probability(frame)
    assert gated.skipped_frames >= gated.frames - 2 * GATE_CLOSES_AFTER_FRAMES
    plain = create(settings("none")).stream()
    for frame in frames_of(room):
        plain.speech_probability(frame)
    frames = frames_of(speech)
    behind_gate = np.asarray([gated.speech_probability(frame) for frame in frames])
    without_gate = np.asarray([plain.speech_probability(frame) for frame in frames])
    assert np.mean((behind_gate > 0.5) == (without_gate > 0.5)) > 0.97
