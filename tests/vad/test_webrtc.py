from __future__ import annotations

import numpy as np
import pytest
import webrtcvad

from talkover.audio import VAD_FRAME_SAMPLES
from talkover.config import Settings
from talkover.registry import create_engine
from talkover.vad.webrtc import WebRtcStream


def vowel(n: int) -> np.ndarray:
    """A buzz of 120 Hz with falling harmonics: voiced to a detector that looks at band energies."""
    t = np.arange(n) / 16_000
    return sum(0.2 / k * np.sin(2 * np.pi * 120 * k * t) for k in range(1, 20)).astype(np.float32)


def probabilities(stream: WebRtcStream, samples: np.ndarray) -> list[float]:
    frames = samples[: samples.size - samples.size % VAD_FRAME_SAMPLES].reshape(-1, VAD_FRAME_SAMPLES)
    return [stream.speech_probability(frame) for frame in frames]


def test_voice_and_silence():
    stream = create_engine("vad", "webrtc", Settings.model_validate({"vad": {"engine": "webrtc"}})).stream()
    assert max(probabilities(stream, np.zeros(16_000, np.float32))) == 0
    assert np.mean(probabilities(stream, vowel(16_000))) > 0.8


def test_pieces_continue_over_frame_borders():
    """Sixteen pieces of 10 ms lie in five frames; each counts in the frame it ends in."""
    rng = np.random.default_rng(0)
    syllables = np.concatenate([vowel(1600), (rng.standard_normal(6400) * 1e-3).astype(np.float32)] * 4)
    detector = webrtcvad.Vad(3)
    pcm = (syllables * 32767).astype("<i2").tobytes()
    voiced = [detector.is_speech(pcm[i : i + 320], 16_000) for i in range(0, len(pcm) - 319, 320)]
    ends = np.arange(1, len(voiced) + 1) * 160
    expected = [
        np.mean([v for v, end in zip(voiced, ends, strict=True) if start < end <= start + VAD_FRAME_SAMPLES])
        for start in range(0, syllables.size - VAD_FRAME_SAMPLES + 1, VAD_FRAME_SAMPLES)
    ]
    assert 0 < np.mean(expected) < 1
    stream = WebRtcStream(3)
    assert probabilities(stream, syllables) == pytest.approx(expected)
    probabilities(stream, syllables[: VAD_FRAME_SAMPLES * 2])
    stream.reset()
    assert probabilities(stream, syllables) == pytest.approx(expected)


def test_overdriven_input_is_clipped_not_wrapped():
    loud = WebRtcStream().speech_probability(np.full(VAD_FRAME_SAMPLES, 7.0, np.float32))
    assert loud == WebRtcStream().speech_probability(np.full(VAD_FRAME_SAMPLES, 1.0, np.float32))
