"""The decision about a sound over the agent, on features alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.vad.expectation import ANYTHING, Expectation
from talkover.vad.interruption import (
    Decision,
    Dialogue,
    InterruptionFeatures,
    judge,
    needed_ms,
    says_what_the_agent_said,
)
from talkover.vad.loudness import Loudness, distance
from talkover.vad.word_lists import meaning_of

SPEAKING = InterruptionFeatures(
    voiced_ms=224,
    window_ms=224,
    silence_ms=0,
    needed_ms=224,
    level_dbfs=-25,
    noise_floor_dbfs=-65,
    user_level_dbfs=-24,
)
OVER = replace(SPEAKING, silence_ms=192, window_ms=416)
UNDERSTOOD = replace(OVER, text_is_final=True, confidence=0.9)


def decided(features: InterruptionFeatures, **changes: object) -> Decision:
    return judge(replace(features, **changes))[0]  # type: ignore[arg-type]


def test_voice_alone_makes_the_agent_give_way_but_is_not_certain():
    assert judge(SPEAKING) == ("yield", "voice")
    assert judge(replace(SPEAKING, voiced_ms=192)) == ("wait", "undecided")
    assert judge(replace(SPEAKING, has_yielded=True)) == ("wait", "undecided")
    assert judge(replace(SPEAKING, has_yielded=True, voiced_ms=1216)) == ("stop", "long_voice")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("stop", ("stop", "command")),
        ("no I meant Boston", ("stop", "command")),
        ("the weather tomorrow", ("stop", "words")),
        ("等一下", ("stop", "command")),
        ("今天天气怎么样", ("stop", "words")),
        ("mm-hmm", ("go_on", "backchannel")),
        ("yeah I see", ("go_on", "backchannel")),
        ("嗯嗯", ("go_on", "backchannel")),
        ("", ("go_on", "no_words")),
        ("um", ("go_on", "no_words")),
    ],
)
def test_the_final_words_decide(text: str, verdict: tuple[str, str]):
    long_enough_ms = max(UNDERSTOOD.voiced_ms, 50.0 * len(text))
    assert judge(replace(UNDERSTOOD, text=text, voiced_ms=long_enough_ms)) == verdict


def test_partial_words_settle_nothing_but_commands_and_backchannels():
    assert decided(SPEAKING, text="what about") == "yield"
    assert decided(SPEAKING, text="yeah") == "wait"
    assert decided(SPEAKING, text="stop") == "stop"
    assert decided(OVER, text="yeah", has_yielded=True) == "go_on"
    assert decided(OVER, text="what about", has_yielded=True) == "wait"


def test_the_shorter_the_sound_the_surer_the_recogniser_must_be():
    assert decided(UNDERSTOOD, text="turnip", confidence=0.6, voiced_ms=600) == "go_on"
    assert decided(UNDERSTOOD, text="turnip", confidence=0.8, voiced_ms=600) == "stop"
    assert decided(UNDERSTOOD, text="turnip", confidence=0.6, voiced_ms=800) == "stop"
    assert decided(UNDERSTOOD, text="turnip", confidence=0.3, voiced_ms=700) == "go_on"
    assert decided(UNDERSTOOD, text="turnip", confidence=None, voiced_ms=600) == "stop"


def test_in_less_than_half_a_second_only_words_that_make_sense_alone_count():
    for text, verdict in (("turnip", "go_on"), ("Why?", "stop"), ("what", "stop"), ("什么", "stop"), ("苹果", "go_on")):
        assert decided(UNDERSTOOD, text=text, confidence=0.9, voiced_ms=400) == verdict


def test_a_short_word_for_a_long_sound_is_a_laugh():
    assert decided(UNDERSTOOD, text="Are?", confidence=0.9, voiced_ms=900) == "go_on"
    assert decided(UNDERSTOOD, text="Are you there?", confidence=0.9, voiced_ms=900) == "stop"


def test_a_sound_that_says_nothing_so_far_lets_the_agent_go_on_before_its_final_words():
    assert decided(OVER, text="the", has_yielded=True) == "go_on"
    assert decided(OVER, text="", has_yielded=True) == "wait"


def test_the_words_are_waited_for_longer_once_the_agent_has_stopped():
    assert decided(OVER, silence_ms=704) == "wait"
    assert decided(OVER, silence_ms=800) == "go_on"
    assert decided(OVER, voiced_ms=128) == "go_on"
    assert decided(OVER, silence_ms=1900, has_yielded=True) == "wait"
    assert decided(OVER, silence_ms=2000, has_yielded=True) == "stop"


def test_a_backchannel_may_last_longer_than_a_cough():
    assert decided(SPEAKING, text="yeah yeah", voiced_ms=1000) == "wait"
    assert decided(SPEAKING, text="yeah yeah", voiced_ms=1400) == "stop"


def test_side_talk_is_let_pass_unless_it_is_a_command():
    aside = replace(UNDERSTOOD, level_dbfs=-36)
    assert decided(aside, text="did you feed the cat") == "go_on"
    assert decided(aside, text="stop") == "stop"
    assert decided(SPEAKING, level_dbfs=-36, text="stop") == "wait"  # a partial of a far voice is a guess


def test_what_is_too_quiet_is_nobody():
    assert judge(replace(SPEAKING, level_dbfs=-50, text="stop")) == ("wait", "undecided")
    assert judge(replace(OVER, level_dbfs=-50)) == ("go_on", "silence")


def test_an_answer_over_the_end_of_the_question_counts():
    asked = Dialogue("Do you want milk?", Expectation("yes_no"), is_closing=True)
    assert judge(replace(UNDERSTOOD, text="Yeah.", dialogue=asked)) == ("stop", "answer")
    assert decided(UNDERSTOOD, text="Yeah.", dialogue=replace(asked, is_closing=False)) == "go_on"
    assert decided(UNDERSTOOD, text="Yeah.", dialogue=replace(asked, expected=ANYTHING)) == "go_on"


def test_the_agents_echo_is_known_by_its_words():
    said = Dialogue("Talkover answers from the documents in your folder.")
    assert judge(replace(UNDERSTOOD, text="from the documents", dialogue=said)) == ("go_on", "echo")
    assert decided(UNDERSTOOD, text="which documents", dialogue=said) == "stop"


def test_voice_alone_stops_nothing_while_the_echo_is_not_cancelled_yet():
    echoing = Dialogue(is_echoing=True)
    assert judge(replace(SPEAKING, dialogue=echoing, voiced_ms=960)) == ("wait", "echo")
    assert decided(SPEAKING, dialogue=echoing, text="stop") == "wait"
    assert decided(UNDERSTOOD, dialogue=echoing, text="stop") == "stop"
    assert decided(UNDERSTOOD, dialogue=echoing, text="stop", confidence=0.5) == "go_on"


@pytest.mark.parametrize(
    ("text", "said", "is_echo"),
    [
        ("in your folder", "documents in your folder", True),
        ("your folder", "documents in your folder", False),
        ("in your holder", "documents in your folder", True),
        ("folder", "documents in your folder", False),
        ("your in", "documents in your folder", False),
        ("天气很好", "今天天气很好", True),
        ("", "anything", False),
        ("anything at all", "", False),
    ],
)
def test_echo_words(text: str, said: str, is_echo: bool):
    assert says_what_the_agent_said(text, said) is is_echo


def test_how_much_voice_is_needed():
    soft = replace(SPEAKING, brightness=0.0)
    assert needed_ms(SPEAKING) == 224
    assert needed_ms(soft) == 448
    assert needed_ms(replace(soft, since_own_turn_ms=600)) == 160
    assert needed_ms(replace(soft, since_own_turn_ms=6000)) == 448


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("uh huh", "backchannel"),
        ("got it", "backchannel"),
        ("Wow, really?", "backchannel"),
        ("hold on a second", "command"),
        ("Hey Talkover", "content"),
        ("不对", "command"),
        ("a the", "nothing"),
        ("?!", "nothing"),
        ("my cat", "content"),
        ("明天呢", "content"),
    ],
)
def test_meanings(text: str, meaning: str):
    assert meaning_of(text) == meaning


@given(
    st.builds(
        InterruptionFeatures,
        *(st.floats(0, 5000) for _ in range(4)),
        level_dbfs=st.floats(),
        noise_floor_dbfs=st.floats(-80, -30),
        user_level_dbfs=st.none() | st.floats(-80, 0),
        echo_dbfs=st.none() | st.floats(-80, 0),
        text=st.sampled_from(("", "stop", "yeah", "what is that", "嗯", "\x00")),
        text_is_final=st.booleans(),
        confidence=st.none() | st.floats(0, 1),
        since_own_turn_ms=st.none() | st.floats(0, 1e6),
        has_yielded=st.booleans(),
    )
)
def test_every_sound_is_decided_on_in_time(features: InterruptionFeatures):
    decision, _ = judge(features)
    if features.has_yielded:
        assert decision != "yield"
    if features.silence_ms >= 2000:
        assert decision in ("stop", "go_on")


# ---------------------------------------------------------------------------------------------------------- loudness


@pytest.mark.parametrize(
    ("level_dbfs", "noise_floor_dbfs", "user_level_dbfs", "echo_dbfs", "where"),
    [
        (-25, -70, None, None, "near"),
        (-61, -80, None, None, "too_quiet"),
        (-40, -42, None, None, "too_quiet"),
        (-50, -80, -25, None, "too_quiet"),
        (-40, -80, -25, None, "aside"),
        (-31, -80, -25, None, "near"),
        (-31, -80, -25, -33, "too_quiet"),
        (math.nan, -80, None, None, "too_quiet"),
    ],
)
def test_distance(
    level_dbfs: float, noise_floor_dbfs: float, user_level_dbfs: float | None, echo_dbfs: float | None, where: str
):
    assert distance(level_dbfs, noise_floor_dbfs, user_level_dbfs, echo_dbfs) == where


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
        loudness.hear_echo(level)
    assert -80 <= loudness.noise_floor_dbfs <= -30
    assert loudness.user_level_dbfs is not None
    assert -80 <= loudness.user_level_dbfs <= 0


def test_one_quiet_voice_is_somebody_elses_and_three_in_a_row_are_the_user_who_has_moved_away():
    loudness = Loudness()
    loudness.hear_user(-26)
    loudness.hear_user(-40)
    assert distance(-40, -70, loudness.user_level_dbfs) == "aside"
    loudness.hear_user(-40)
    loudness.hear_user(-40)
    assert distance(-40, -70, loudness.user_level_dbfs) == "near"
    loudness.hear_user(-26)
    assert loudness.user_level_dbfs is not None
    assert loudness.user_level_dbfs > -31
