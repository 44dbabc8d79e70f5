"""The echo canceller on a synthetic room."""

from __future__ import annotations

import numpy as np
import pytest

from talkover.audio import INPUT_RATE_HZ, level_dbfs
from talkover.messages import Samples
from talkover.vad.echo import WebRtcEchoCanceller, webrtc_echo_cancellers

pytest.importorskip("livekit.rtc", reason="the echo canceller is the extra talkover[echo]")

SECONDS = 8
RNG = np.random.default_rng(1)


def babble(seconds: float) -> Samples:
    """Noise in syllables: a voice as far as the filter is concerned."""
    n_samples = round(seconds * INPUT_RATE_HZ)
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * np.arange(n_samples) / INPUT_RATE_HZ)
    return (np.convolve(RNG.normal(0, 0.1, n_samples), [0.5, 0.3, 0.2], "same") * syllables).astype(np.float32)


def echo_of(far: Samples, delay_ms: float, level_db: float) -> Samples:
    room = RNG.normal(0, 1, 1600) * np.exp(-np.arange(1600) / 200) * 0.2
    room[0] = 1
    delayed = np.concatenate([np.zeros(round(delay_ms * 16)), np.convolve(far, room)])[: far.size]
    return (delayed * 10 ** (level_db / 20)).astype(np.float32)


def cleaned(near: Samples, far: Samples) -> Samples:
    canceller = webrtc_echo_cancellers()()
    pieces = [canceller.feed(near[i : i + 777], far[i : i + 777]) for i in range(0, near.size, 777)]
    return np.concatenate([*pieces, canceller.flush()])


@pytest.mark.parametrize("delay_ms", [20, 120, 250])
def test_the_agents_voice_is_taken_out(delay_ms: float):
    far = babble(SECONDS)
    near = echo_of(far, delay_ms, -6)
    result = cleaned(near, far)
    assert result.size == near.size
    last = slice(-2 * INPUT_RATE_HZ, -800)
    assert level_dbfs(result[last]) < level_dbfs(near[last]) - 25


def test_the_users_voice_stays():
    far, user = babble(SECONDS), babble(SECONDS)
    user[: 6 * INPUT_RATE_HZ] = 0
    result = cleaned(echo_of(far, 60, -6) + user, far)
    last = slice(-INPUT_RATE_HZ, -800)
    assert level_dbfs(result[last]) > level_dbfs(user[last]) - 6


def test_without_an_agent_the_user_stays_as_loud():
    user = babble(2)
    last = slice(INPUT_RATE_HZ, -800)
    assert level_dbfs(cleaned(user, np.zeros_like(user))[last]) == pytest.approx(level_dbfs(user[last]), abs=1)


def test_what_is_held_back_is_less_than_a_block():
    canceller = webrtc_echo_cancellers()()
    assert isinstance(canceller, WebRtcEchoCanceller)
    assert canceller.feed(np.zeros(170, np.float32), np.zeros(170, np.float32)).size == 160
    assert canceller.flush().size == 10
