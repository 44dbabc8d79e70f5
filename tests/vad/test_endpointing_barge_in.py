"""Speaking over the agent: what ducks it, what stops it, and what is taken back."""

from __future__ import annotations

import numpy as np
import pytest

from endpointing_talk import HUM, SPEECH_DBFS, Talk, kinds, only
from talkover.vad.endpointing import Endpointer, TurnOptions
from talkover.vad.expectation import Expectation
from talkover.vad.interruption import Dialogue
from talkover.vad.turn_events import (
    InterruptionConfirmed,
    OnsetDropped,
    SpeechOnset,
    SpeechRetracted,
    SpeechStarted,
    TurnEvent,
)


def over_the_agent(**options: object) -> Talk:
    """A caller who has spoken before, and an agent that speaks."""
    talk = Talk(**options)
    talk.speech(2)
    talk.silence(4)
    talk.agent_audible = True
    return talk


def heard(talk: Talk, text: str, confidence: float | None = None) -> list[TurnEvent]:
    """The final transcript, and the frame after it."""
    talk.endpointer.hear(text, final=True, confidence=confidence)
    return talk.silence(0.032)


def test_barge_in_ducks_within_100_ms_and_gives_way_after_the_needed_voice():
    talk = Talk(barge_in_ms=224)
    talk.agent_audible = True
    talk.silence(0.96)
    events = [event for _ in range(20) for event in talk.speech(0.032)]
    assert only(events, SpeechOnset).at_ms - 960 <= 100
    assert only(events, SpeechStarted) == SpeechStarted(start_ms=960, at_ms=960 + 224, is_certain=False, reason="voice")


def test_a_sound_without_consonants_gets_longer_to_end_by_itself():
    talk = over_the_agent()
    talk.pitch = HUM
    begin_ms = talk.endpointer.now_ms
    assert only(talk.speech(0.96), SpeechStarted).at_ms == begin_ms + 448


@pytest.mark.parametrize(
    ("text", "reason"), [("stop", "command"), ("what about tomorrow", "words"), ("停一下", "command")]
)
def test_words_confirm_an_interruption(text: str, reason: str):
    talk = over_the_agent()
    started = only(talk.speech(0.48), SpeechStarted)
    assert not started.is_certain
    assert kinds(talk.silence(0.16)) == ["LikelyEnd"]
    assert heard(talk, text)[0] == InterruptionConfirmed(talk.endpointer.now_ms, reason)
    assert talk.endpointer.in_speech


@pytest.mark.parametrize(
    ("text", "reason"), [("uh-huh", "backchannel"), ("嗯，对", "backchannel"), ("", "no_words"), ("the", "no_words")]
)
def test_backchannels_and_coughs_are_taken_back(text: str, reason: str):
    talk = over_the_agent()
    assert "SpeechStarted" in kinds(talk.speech(0.48))
    talk.silence(0.192)
    assert heard(talk, text) == [SpeechRetracted(talk.endpointer.now_ms, reason)]
    assert not talk.endpointer.in_speech


def test_a_short_backchannel_does_not_stop_the_agent_at_all():
    talk = over_the_agent()
    events = talk.speech(0.192) + talk.silence(0.192)
    events += heard(talk, "mm-hmm")
    assert kinds(events) == ["SpeechOnset", "LikelyEnd", "OnsetDropped"]


def test_a_short_command_stops_it_by_its_word_alone():
    talk = over_the_agent()
    talk.speech(0.192)
    talk.silence(0.16)
    assert kinds(heard(talk, "Stop.")) == ["SpeechStarted"]


def test_words_known_while_speaking_stop_the_agent_at_once():
    talk = over_the_agent(barge_in_ms=640)
    talk.speech(0.128)
    talk.endpointer.hear("wait")
    assert only(talk.speech(0.032), SpeechStarted).reason == "command"


def test_guessed_words_are_no_interruption():
    talk = over_the_agent()
    talk.speech(0.48)
    talk.silence(0.192)
    assert kinds(heard(talk, "turnip festival", confidence=0.1)) == ["SpeechRetracted"]


def test_long_voice_is_an_interruption_whatever_is_understood():
    talk = over_the_agent()
    assert kinds(talk.speech(1.5)) == ["SpeechOnset", "SpeechStarted", "InterruptionConfirmed"]


def test_a_slow_recogniser_loses_no_interruption():
    talk = over_the_agent()
    talk.speech(0.48)
    talk.agent_audible = False
    assert kinds(talk.silence(4)) == ["LikelyEnd", "InterruptionConfirmed", "SpeechEnded"]


def test_the_agents_own_words_are_its_echo_and_raise_the_bar():
    talk = Talk()
    talk.agent_audible = True
    talk.endpointer.in_dialogue(Dialogue("The knowledge folder holds your own documents."))
    talk.speech(0.48, level_dbfs=-40)
    talk.silence(0.16)
    assert heard(talk, "folder holds your own")[0] == SpeechRetracted(talk.endpointer.now_ms, "echo")
    assert talk.speech(2, level_dbfs=-40) == []
    assert "SpeechStarted" in kinds(talk.speech(0.48, level_dbfs=-30))


def test_side_talk_ducks_but_does_not_stop():
    talk = over_the_agent()
    events = talk.speech(3, level_dbfs=SPEECH_DBFS - 12)
    talk.endpointer.hear("did you feed the cat")
    events += talk.silence(0.32)
    events += heard(talk, "did you feed the cat", confidence=0.9) + talk.silence(1)
    assert set(kinds(events)) <= {"SpeechOnset", "OnsetDropped", "LikelyEnd"}


def test_going_on_right_after_ones_own_turn_needs_less_voice():
    talk = Talk()
    talk.speech(0.96)
    talk.silence(0.512)
    talk.agent_audible = True
    talk.silence(0.32)
    assert only(talk.speech(0.32), SpeechStarted).at_ms == 960 + 512 + 320 + 160


def test_yes_over_the_end_of_a_yes_no_question_is_an_answer():
    talk = over_the_agent()
    talk.endpointer.in_dialogue(Dialogue("Do you want milk?", Expectation("yes_no"), is_closing=True))
    talk.speech(0.192)
    talk.silence(0.16)
    assert only(heard(talk, "yeah"), SpeechStarted).reason == "answer"


def test_numpy_numbers_are_as_good_as_floats():
    endpointer = Endpointer(TurnOptions())
    events = [e for _ in range(15) for e in endpointer.feed(np.float32(0.9), np.float64(-25), True)]  # type: ignore[arg-type]
    assert kinds(events) == ["SpeechOnset", "SpeechStarted"]


def test_a_click_over_the_agent_is_dropped():
    talk = Talk()
    talk.agent_audible = True
    events = talk.speech(0.128) + talk.silence(0.5)
    assert kinds(events) == ["SpeechOnset", "LikelyEnd", "OnsetDropped"]
    assert only(events, OnsetDropped) == OnsetDropped(128 + 192, "silence")


def test_repeated_clicks_do_not_add_up_for_ever():
    talk = Talk(barge_in_ms=640)
    talk.agent_audible = True
    events = [e for _ in range(100) for e in talk.speech(0.064) + talk.silence(0.16)]
    assert "SpeechStarted" not in kinds(events)
    assert kinds(events).count("OnsetDropped") >= 5


def test_a_voice_from_the_next_room_does_not_even_duck():
    talk = Talk()
    talk.speech(3)
    talk.silence(1)
    talk.agent_audible = True
    assert talk.speech(5, level_dbfs=SPEECH_DBFS - 35) == []
    assert "SpeechStarted" in kinds(talk.speech(0.32, level_dbfs=SPEECH_DBFS - 6))


def test_a_quiet_voice_is_heard_while_the_agent_is_silent():
    talk = Talk()
    assert "SpeechStarted" in kinds(talk.speech(0.32, level_dbfs=-62))


def test_a_voice_within_the_noise_does_not_interrupt():
    talk = Talk()
    talk.speech(10, probability=0.02, level_dbfs=-35)
    talk.agent_audible = True
    assert talk.speech(1, level_dbfs=-34) == []
    assert "SpeechStarted" in kinds(talk.speech(0.32, level_dbfs=-25))


def test_the_agent_falling_silent_lets_the_same_sound_start():
    talk = Talk(barge_in_ms=960)
    talk.agent_audible = True
    assert kinds(talk.speech(0.32)) == ["SpeechOnset"]
    talk.agent_audible = False
    assert kinds(talk.speech(0.032)) == ["SpeechStarted"]
