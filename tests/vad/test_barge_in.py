"""The decision to yield, on features alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from talkover.vad.barge_in import BargeInFeatures, Loudness, decide_barge_in, is_loud_enough

SPEAKING = BargeInFeatures(
    voiced_ms=160,
    window_ms=160,
    silence_ms=0,
    needed_ms=160,
    level_dbfs=-25,
    noise_floor_dbfs=-65,
    user_level_dbfs=-24,
)


def test_enough_loud_voice_is_an_interruption():
    assert decide_barge_in(SPEAKING) == "yield"


def test_too_little_voice_waits_for_more():
    assert decide_barge_in(replace(SPEAKING, voiced_ms=128)) == "wait"


@pytest.mark.parametrize("text", ["yeah", "uh-huh", "ok, right.", "嗯嗯", "好的"])
def test_a_backchannel_waits_until_it_is_too_long_for_one(text: str):
    assert decide_barge_in(replace(SPEAKING, text=text, voiced_ms=320)) == "wait"
    assert decide_barge_in(replace(SPEAKING, text=text, voiced_ms=320, silence_ms=192)) == "go_on"
    assert decide_barge_in(replace(SPEAKING, text=text, voiced_ms=1024, window_ms=1100)) == "yield"


def test_other_words_are_an_interruption():
    assert decide_barge_in(replace(SPEAKING, text="yeah but stop")) == "yield"


def test_silence_and_indecision_let_the_agent_go_on():
    assert decide_barge_in(replace(SPEAKING, voiced_ms=96, silence_ms=192)) == "go_on"
    assert decide_barge_in(replace(SPEAKING, voiced_ms=96, window_ms=1500)) == "go_on"


@pytest.mark.parametrize(
    ("level_dbfs", "noise_floor_dbfs", "user_level_dbfs", "loud"),
    [
        (-25, -70, None, True),
        (-61, -80, None, False),
        (-40, -42, None, False),
        (-56, -80, -25, False),
        (-54, -80, -25, True),
    ],
)
def test_loud_enough_over_noise_and_beside_the_user(
    level_dbfs: float, noise_floor_dbfs: float, user_level_dbfs: float | None, loud: bool
):
    assert is_loud_enough(level_dbfs, noise_floor_dbfs, user_level_dbfs) is loud


def test_the_noise_floor_follows_the_room_and_survives_nonsense():
    loudness = Loudness()
    for _ in range(300):
        loudness.hear_noise(-50)
    assert loudness.noise_floor_dbfs == pytest.approx(-50, abs=1)
    for _ in range(10):  # a third of a second of clatter hardly moves it
        loudness.hear_noise(-30)
    assert loudness.noise_floor_dbfs < -45
    for level in (math.nan, math.inf, -math.inf):
        loudness.hear_noise(level)
        loudness.hear_user(level)
    assert -80 <= loudness.noise_floor_dbfs <= -30
    assert loudness.user_level_dbfs is not None
    assert -80 <= loudness.user_level_dbfs <= 0
