from __future__ import annotations

import numpy as np

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
    """Five frames hold sixteen pieces: the last frame's share counts four."""
    stream = WebRtcStream()
    shares = probabilities(stream, vowel(5 * VAD_FRAME_SAMPLES))
    assert all(min(abs(share * 3 - round(share * 3)), abs(share * 4 - round(share * 4))) < 1e-9 for share in shares)
    again = WebRtcStream()
    probabilities(again, vowel(3 * VAD_FRAME_SAMPLES + 100))
    again.reset()
    assert probabilities(again, vowel(5 * VAD_FRAME_SAMPLES)) == shares


def test_overdriven_input_is_clipped_not_wrapped():
    loud = WebRtcStream().speech_probability(np.full(VAD_FRAME_SAMPLES, 7.0, np.float32))
    assert loud == WebRtcStream().speech_probability(np.full(VAD_FRAME_SAMPLES, 1.0, np.float32))
