"""Pitch of tones and noises, and how a contour ends."""

from __future__ import annotations

import numpy as np
import pytest

from talkover.messages import Samples
from talkover.vad.prosody import Contour, Pitch, PitchTracker

RATE_HZ, FRAME = 16_000, 512


def voice(f0_hz: np.ndarray) -> Samples:
    """(n,) a buzz with six harmonics whose fundamental is `f0_hz` at every sample."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    return sum(np.sin(k * phase) / k for k in range(1, 7)).astype(np.float32) * np.float32(0.1)


def pitches(samples: Samples) -> list[Pitch]:
    tracker = PitchTracker()
    return [tracker.feed(samples[i : i + FRAME]) for i in range(0, samples.size - FRAME + 1, FRAME)]


@pytest.mark.parametrize("f0_hz", [75, 110, 180, 261, 390])
def test_the_pitch_of_a_voice(f0_hz: float):
    found = pitches(voice(np.full(RATE_HZ, f0_hz)))[2:]
    assert [pitch.f0_hz for pitch in found] == pytest.approx([f0_hz] * len(found), rel=0.02)
    assert min(pitch.periodicity for pitch in found) > 0.8


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    assert sum(pitch.f0_hz > 0 for pitch in pitches(noise)) <= 1
    assert set(pitches(np.zeros(RATE_HZ, np.float32))) == {Pitch()}


def test_a_hiss_is_bright_and_a_hum_is_not():
    hiss = np.diff(np.random.default_rng(0).normal(0, 0.1, RATE_HZ + 1)).astype(np.float32)
    assert min(pitch.brightness for pitch in pitches(hiss)) > 0.4
    assert max(pitch.brightness for pitch in pitches(voice(np.full(RATE_HZ, 120.0)))[2:]) < 0.01


def test_nan_is_survived():
    assert PitchTracker().feed(np.full(FRAME, np.nan, np.float32)) == Pitch()


def contour(f0_hz: list[float], level_dbfs: list[float]) -> Contour:
    made = Contour()
    for f0, level in zip(f0_hz, level_dbfs, strict=True):
        made.feed(Pitch(f0, 0.9, 0.0), level)
    return made


def test_a_fall_at_the_end():
    fall = contour([200.0] * 16 + [200 * 0.97**i for i in range(1, 9)], [-20.0] * 16 + [-26.0] * 8).ending()
    assert fall is not None
    assert -4 < fall.pitch_st < -1
    assert fall.slope_st_per_s < -10
    assert fall.level_db == pytest.approx(-6)


def test_a_sound_held_on_to():
    held = contour([200.0] * 12 + [150.0] * 12, [-20.0] * 24).ending()
    assert held is not None
    assert held.steady_ms == 12 * 32
    assert abs(held.slope_st_per_s) < 1


def test_reverberation_is_no_part_of_the_ending():
    dry = contour([200.0] * 20, [-20.0] * 20).ending()
    wet = contour([200.0] * 20 + [90.0] * 3, [-20.0] * 20 + [-40.0] * 3).ending()
    assert dry == wet


@pytest.mark.parametrize("n_voiced", [0, 5, 15])
def test_too_little_voice_tells_nothing(n_voiced: int):
    assert contour([200.0] * n_voiced, [-20.0] * n_voiced).ending() is None
    assert contour([0.0] * 30, [-20.0] * 30).ending() is None
