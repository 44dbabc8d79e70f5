"""When the agent speaks though it has no answer: each rule with facts and times, no session around it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from talkover.realtime.behaviour import (
    BACKCHANNEL_EVERY_S,
    MAX_FILLERS,
    Behaviour,
    Drop,
    Facts,
    HangUp,
    Manners,
    Prepare,
    Say,
    SayPrepared,
    Speaking,
    Waiting,
)
from talkover.realtime.phrases import PHRASES, phrases

LATE = Facts(waiting=Waiting("resp_1", since_s=10.0))
MADE = replace(LATE, is_ready=True)


def filling() -> Behaviour:
    return Behaviour(Manners(filler_after_ms=700))


def fill(behaviour: Behaviour, facts: Facts, now_s: float) -> str:
    """The filler said after it was prepared."""
    assert isinstance(behaviour.decide(facts, now_s)[0], Prepare)
    (said,) = behaviour.decide(replace(facts, is_ready=True), now_s)
    assert isinstance(said, SayPrepared)
    return said.text


# ------------------------------------------------------------------------------------------------------------ fillers


def test_a_filler_is_prepared_ahead_and_said_when_it_is_due():
    behaviour = filling()
    assert behaviour.decide(LATE, 10.29) == []
    assert behaviour.due_s(LATE) == pytest.approx(10.3)
    assert behaviour.decide(LATE, 10.3) == [Prepare("filler", "Let me see.")]
    assert behaviour.due_s(LATE) == math.inf
    assert behaviour.decide(MADE, 10.69) == []
    assert behaviour.due_s(MADE) == pytest.approx(10.7)
    assert behaviour.decide(MADE, 10.7) == [SayPrepared("filler", "Let me see.")]


def test_a_filler_that_is_made_late_is_said_at_once():
    behaviour = filling()
    behaviour.decide(LATE, 10.3)
    assert behaviour.decide(LATE, 11.0) == []
    assert behaviour.decide(MADE, 11.1) == [SayPrepared("filler", "Let me see.")]


def test_an_answer_that_comes_first_makes_the_filler_needless():
    behaviour = filling()
    behaviour.decide(LATE, 10.3)
    assert behaviour.decide(Facts(is_ready=True), 10.6) == [Drop()]
    assert behaviour.decide(Facts(is_ready=True), 10.7) == []


def test_no_filler_comes_twice_in_a_row_and_all_are_used():
    behaviour = filling()
    said: list[str] = []
    for turn in range(8):
        facts = Facts(waiting=Waiting(f"resp_{turn}", since_s=10.0 * turn))
        said.append(fill(behaviour, facts, 10.0 * turn + 0.7))
    assert set(said) == set(phrases("filler", "en"))
    assert all(before != after for before, after in pairwise(said))


def test_a_dropped_filler_is_not_counted_as_said():
    behaviour = filling()
    behaviour.decide(LATE, 10.3)
    behaviour.decide(Facts(), 10.6)
    assert fill(behaviour, replace(LATE, waiting=Waiting("resp_2", 20.0)), 20.7) == "Let me see."


def test_an_answer_that_stays_away_gets_a_second_filler_and_no_third():
    behaviour = filling()
    fill(behaviour, LATE, 10.7)
    silent = replace(LATE, sounds_until_s=11.5)
    assert behaviour.decide(silent, 15.0) == []
    assert behaviour.due_s(silent) == pytest.approx(15.1)
    assert fill(behaviour, silent, 15.5) == "One moment."
    assert MAX_FILLERS == 2
    assert behaviour.decide(replace(LATE, sounds_until_s=16.0), 60.0) == []
    assert behaviour.due_s(replace(LATE, sounds_until_s=16.0)) == math.inf


def test_a_filler_speaks_the_language_of_the_user():
    assert fill(filling(), replace(LATE, language="zh"), 10.7) == "我看看。"
    assert fill(filling(), replace(LATE, language="nl"), 10.7) == "Let me see."


def test_a_failing_engine_is_not_asked_again_for_the_same_answer():
    behaviour = filling()
    behaviour.decide(LATE, 10.3)
    behaviour.forget_prepared(10.4)
    assert behaviour.decide(LATE, 12.0) == []
    assert behaviour.due_s(LATE) == math.inf
    assert fill(behaviour, replace(LATE, waiting=Waiting("resp_2", 20.0)), 20.7)


def test_a_lane_in_use_is_waited_for_without_asking_for_time():
    behaviour = filling()
    busy = replace(LATE, can_prepare=False)
    assert behaviour.decide(busy, 11.0) == []
    assert behaviour.due_s(busy) == math.inf


def test_nothing_is_said_that_was_not_asked_for():
    behaviour = Behaviour(Manners())
    talkative = Speaking(60_000, pause=1, finished=0.1)
    for facts in (MADE, Facts(speaking=talkative, is_ready=True), Facts(quiet_from_s=0.0)):
        assert behaviour.decide(facts, 1000.0) == []
        assert behaviour.due_s(facts) == math.inf


# --------------------------------------------------------------------------------------------------------- re-prompts


QUIET = Facts(quiet_from_s=10.0)


def test_a_silent_user_is_asked_twice_and_then_left_alone():
    behaviour = Behaviour(Manners(reprompt_after_ms=5000))
    assert behaviour.decide(QUIET, 14.9) == []
    assert behaviour.due_s(QUIET) == 15.0
    assert behaviour.decide(QUIET, 15.0) == [Say("reprompt", "Are you still there?")]
    assert behaviour.decide(Facts(), 15.1) == []
    assert behaviour.decide(replace(QUIET, quiet_from_s=17.0), 22.0) == [
        Say("reprompt", "Can you hear me? Take your time.")
    ]
    assert behaviour.decide(replace(QUIET, quiet_from_s=25.0), 90.0) == []
    assert behaviour.due_s(replace(QUIET, quiet_from_s=25.0)) == math.inf


def test_a_word_of_the_user_allows_more_re_prompts():
    behaviour = Behaviour(Manners(reprompt_after_ms=5000, max_reprompts=1))
    assert behaviour.decide(QUIET, 15.0)
    assert not behaviour.decide(QUIET, 30.0)
    behaviour.user_was_active()
    assert behaviour.decide(QUIET, 30.0)


def test_the_call_ends_with_a_goodbye_where_that_is_wanted():
    behaviour = Behaviour(Manners(reprompt_after_ms=5000, max_reprompts=1, hangs_up=True))
    behaviour.decide(QUIET, 15.0)
    (goodbye,) = behaviour.decide(replace(QUIET, quiet_from_s=17.0), 22.0)
    assert isinstance(goodbye, Say)
    assert goodbye.kind == "goodbye"
    assert behaviour.decide(Facts(), 22.1) == []
    still_sounds = replace(QUIET, quiet_from_s=26.0)
    assert behaviour.decide(still_sounds, 25.9) == []
    assert behaviour.decide(still_sounds, 26.0) == [HangUp()]


def test_a_word_after_the_goodbye_keeps_the_call():
    behaviour = Behaviour(Manners(reprompt_after_ms=5000, max_reprompts=0, hangs_up=True))
    assert behaviour.decide(QUIET, 15.0)
    behaviour.user_was_active()
    assert HangUp() not in behaviour.decide(replace(QUIET, quiet_from_s=17.0), 18.0)


def test_somebody_who_cannot_be_heard_is_not_asked():
    behaviour = Behaviour(Manners(reprompt_after_ms=5000))
    assert behaviour.decide(replace(QUIET, is_listening=False), 60.0) == []


# ------------------------------------------------------------------------------------------------------- backchannels


def telling(speech_ms: float, pause: int | None = None, finished: float = 0.2, is_ready: bool = False) -> Facts:
    return Facts(speaking=Speaking(speech_ms, pause, finished), is_ready=is_ready)


def acknowledging() -> Behaviour:
    """With its first backchannel prepared."""
    behaviour = Behaviour(Manners(backchannels=True))
    assert behaviour.decide(telling(2499), 10.0) == []
    assert behaviour.decide(telling(2500), 10.0) == [Prepare("backchannel", "Mm-hm.")]
    return behaviour


def test_a_backchannel_comes_in_a_pause_of_long_unfinished_speech():
    behaviour = acknowledging()
    assert behaviour.decide(telling(3400, 0, is_ready=True), 11.0) == []
    assert behaviour.decide(telling(5000, None, is_ready=True), 12.6) == []
    assert behaviour.decide(telling(5000, 0, is_ready=False), 12.8) == []
    assert behaviour.decide(telling(5000, 0, is_ready=True), 12.9) == [SayPrepared("backchannel", "Mm-hm.")]


def test_words_that_look_finished_get_no_backchannel_but_an_answer():
    assert acknowledging().decide(telling(5000, 0, finished=0.8, is_ready=True), 12.6) == []


def test_backchannels_are_rare_and_varied():
    behaviour = acknowledging()
    behaviour.decide(telling(5000, 0, is_ready=True), 12.0)
    assert behaviour.decide(telling(6000, 1), 12.0 + BACKCHANNEL_EVERY_S - 0.1) == []
    assert behaviour.decide(telling(12_000, 2), 12.0 + BACKCHANNEL_EVERY_S) == [Prepare("backchannel", "I see.")]


def test_a_backchannel_is_dropped_when_the_turn_is_over():
    behaviour = acknowledging()
    assert behaviour.decide(Facts(is_ready=True), 13.0) == [Drop()]


@pytest.mark.parametrize("language", PHRASES)
def test_every_language_has_something_for_every_occasion(language: str):
    for kind, choice in PHRASES[language].items():
        assert len(choice) >= (1 if kind in ("goodbye", "closing") else 2)
        assert len(set(choice)) == len(choice)
