"""The end of the last sound, near where a detector heard a voice end."""

from __future__ import annotations

import numpy as np
import pytest

from talkover.audio import INPUT_RATE_HZ, ms_to_samples
from talkover.messages import Samples
from talkover.vad.voice_end import last_sound_ms


def noise(duration_ms: float, dbfs: float) -> Samples:
    n = ms_to_samples(duration_ms, INPUT_RATE_HZ)
    return (np.random.default_rng(5).standard_normal(n) * 10 ** (dbfs / 20)).astype(np.float32)


def heard(*parts: tuple[float, float]) -> Samples:
    """(duration in ms, level in dBFS) one after the other."""
    return np.concatenate([noise(*part) for part in parts])


@pytest.mark.parametrize("detector_ms", [-60, 0, 32, 120])
@pytest.mark.parametrize("room_dbfs", [-100, -72, -50])
def test_it_is_where_the_sound_ends_however_late_the_detector_was(detector_ms: float, room_dbfs: float) -> None:
    samples = heard((400, room_dbfs), (600, -20), (500, room_dbfs))
    assert last_sound_ms(samples, 1000 + detector_ms) == pytest.approx(1000, abs=10)


def test_breath_after_the_last_word_does_not_count() -> None:
    samples = heard((600, -20), (150, -55), (400, -75))
    assert last_sound_ms(samples, 660) == pytest.approx(600, abs=10)


def test_a_click_does_not_count() -> None:
    samples = heard((600, -20), (80, -75), (30, -20), (400, -75))
    assert last_sound_ms(samples, 640) == pytest.approx(600, abs=10)


def test_a_quiet_end_of_the_word_counts() -> None:
    samples = heard((500, -20), (120, -42), (400, -75))
    assert last_sound_ms(samples, 560) == pytest.approx(620, abs=10)


def test_in_noise_as_loud_as_the_voice_the_detector_is_believed() -> None:
    assert last_sound_ms(heard((1500, -30)), 1000) == 1000


def test_without_sound_near_by_or_nothing_behind_it_the_detector_is_believed() -> None:
    assert last_sound_ms(heard((300, -20), (900, -75)), 900) == 900
    assert last_sound_ms(heard((300, -20)), 300) == 300
    assert last_sound_ms(np.zeros(0, np.float32), 100) == 100
    assert last_sound_ms(np.zeros(16000, np.float32), 500) == 500
