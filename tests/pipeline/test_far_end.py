"""What sounded when, and when the microphone heard it."""

from __future__ import annotations

import numpy as np
import pytest

from talkover.pipeline.far_end import CaptureClock, FarEnd

RATE_HZ = 16_000


def ramp(n_samples: int, first: int = 1) -> np.ndarray:
    return np.arange(first, first + n_samples, dtype=np.float32)


def test_a_window_holds_what_sounded_then():
    far = FarEnd()
    far.add(ramp(1600), 10.0, 10.0)
    far.add(ramp(1600, 5000), 10.1, 10.0)
    window = far.window(10.15, 1600)
    assert window[:800].tolist() == ramp(800, 801).tolist()
    assert window[800:].tolist() == ramp(800, 5000).tolist()
    assert far.window(9.9, 160).tolist() == [0] * 160
    assert far.window(10.25, 1600)[-800:].tolist() == [0] * 800
    assert far.referenced_s == pytest.approx(0.15)


def test_what_was_thrown_away_does_not_sound():
    far = FarEnd()
    far.add(ramp(1600), 10.0, 10.0)
    far.add(ramp(1600), 10.1, 10.0)
    far.stop(10.05)
    assert np.count_nonzero(far.window(10.2, 3200)) == 800


def test_the_past_is_forgotten():
    far = FarEnd()
    for index in range(1000):
        far.add(ramp(160), index * 0.01, index * 0.01)
    assert len(far._parts) <= 203
    assert np.count_nonzero(far.window(10.0, 16_000)) == 16_000


def test_jitter_of_arrival_is_not_taken_for_time():
    clock = CaptureClock()
    rng = np.random.default_rng(0)
    heard = []
    for index in range(1, 200):
        heard.append(clock.heard_until_s(320, 50 + index * 0.02 + 0.03 + abs(rng.normal(0, 0.02))))
    steps = np.diff(heard)[20:]
    assert steps.max() < 0.021
    assert heard[-1] == pytest.approx(50 + 199 * 0.02 + 0.03, abs=0.005)


def test_a_network_that_became_slower_is_followed():
    clock = CaptureClock()
    for index in range(1, 100):
        clock.heard_until_s(320, index * 0.02)
    for index in range(100, 3000):
        late = clock.heard_until_s(320, index * 0.02 + 0.1)
    assert late == pytest.approx(2999 * 0.02 + 0.1, abs=0.01)
