"""Turns from probabilities, told in seconds of speech and silence."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endpointing_talk import ROOM_DBFS, SPEECH_DBFS, Talk, kinds, only
from talkover.vad.endpointing import FRAME_MS, Endpointer, TurnOptions
from talkover.vad.expectation import Expectation
from talkover.vad.interruption import Dialogue
from talkover.vad.turn_events import (
    InterruptionConfirmed,
    LikelyEnd,
    OnsetDropped,
    SpeechEnded,
    SpeechOnset,
    SpeechResumed,
    SpeechRetracted,
    SpeechStarted,
)

# ------------------------------------------------------------------------------------------------------------- one turn


def test_silence_is_no_event():
    assert Talk().silence(10) == []


def test_a_turn_from_onset_to_end():
    talk = Talk()
    events = talk.silence(0.96) + talk.speech(0.96) + talk.silence(0.96)
    assert kinds(events) == ["SpeechOnset", "SpeechStarted", "LikelyEnd", "SpeechEnded"]
    assert only(events, SpeechOnset).at_ms == 960 + 64
    assert only(events, SpeechStarted) == SpeechStarted(start_ms=960, at_ms=960 + 96)
    assert only(events, LikelyEnd) == LikelyEnd(end_ms=1920 + 128, revision=0)
    ended = only(events, SpeechEnded)
    assert (ended.end_ms, ended.voiced_end_ms, ended.revision, ended.reason) == (1920 + 512, 1920, 0, "silence")


@pytest.mark.parametrize(("silence_ms", "ended_ms"), [(200, 224), (320, 320), (500, 512), (1000, 1024)])
def test_server_vad_ends_at_the_first_frame_that_completes_the_silence(silence_ms: int, ended_ms: float):
    talk = Talk(silence_duration_ms=silence_ms)
    events = talk.speech(0.96) + talk.silence(2)
    ended = only(events, SpeechEnded)
    assert ended.end_ms - ended.voiced_end_ms == ended_ms
    assert only(events, LikelyEnd).end_ms < ended.end_ms


def test_in_speech_between_start_and_end():
    talk = Talk()
    talk.speech(0.064)
    assert not talk.endpointer.in_speech
    talk.speech(0.032)
    assert talk.endpointer.in_speech
    talk.silence(0.48)
    assert talk.endpointer.in_speech
    talk.silence(0.032)
    assert not talk.endpointer.in_speech


def test_a_pause_makes_a_new_revision():
    talk = Talk()
    events = talk.speech(0.64) + talk.silence(0.32) + talk.speech(0.64) + talk.silence(0.96)
    assert kinds(events) == [
        *("SpeechOnset", "SpeechStarted", "LikelyEnd", "SpeechResumed", "LikelyEnd", "SpeechEnded"),
    ]
    assert [event.revision for event in events if isinstance(event, LikelyEnd)] == [0, 1]
    assert only(events, SpeechResumed) == SpeechResumed(at_ms=640 + 320 + 32, revision=1)
    assert only(events, SpeechEnded).revision == 1


def test_a_short_pause_is_no_event():
    talk = Talk()
    events = talk.speech(0.64) + talk.silence(0.096) + talk.speech(0.64)
    assert kinds(events) == ["SpeechOnset", "SpeechStarted"]


def test_hysteresis_keeps_a_voice_that_fades():
    talk = Talk(threshold=0.5)
    talk.speech(0.32)
    assert talk.speech(3, probability=0.46) == []
    assert kinds(talk.speech(0.96, probability=0.44)) == ["LikelyEnd", "SpeechEnded"]
    assert talk.speech(3, probability=0.48) == []


def test_a_click_is_nothing_and_a_cough_is_dropped():
    talk = Talk()
    assert talk.speech(0.032) + talk.silence(0.5) == []
    assert kinds(talk.speech(0.064) + talk.silence(0.5)) == ["SpeechOnset", "OnsetDropped"]
    assert not talk.endpointer.in_speech


def test_an_endless_utterance_is_cut_and_goes_on_as_a_new_one():
    talk = Talk(max_utterance_ms=3200)
    events = talk.speech(6)
    assert kinds(events) == [
        *("SpeechOnset", "SpeechStarted", "LikelyEnd", "SpeechEnded", "SpeechOnset", "SpeechStarted"),
    ]
    ended = only(events, SpeechEnded)
    assert (ended.end_ms, ended.reason) == (3200, "too_long")
    assert [event.start_ms for event in events if isinstance(event, SpeechStarted)] == [0, 3200]


def test_no_speech_needed_starts_at_the_first_voiced_frame():
    talk = Talk(min_speech_ms=0)
    assert kinds(talk.speech(0.032)) == ["SpeechOnset", "SpeechStarted"]


def test_nan_counts_as_silence():
    talk = Talk()
    talk.speech(0.64)
    assert kinds(talk.speech(0.96, probability=math.nan, level_dbfs=math.nan)) == ["LikelyEnd", "SpeechEnded"]


# ------------------------------------------------------------------------------------------------------ the client acts


def test_commit_ends_the_utterance_without_an_event():
    talk = Talk()
    talk.speech(0.64)
    talk.endpointer.finish_utterance()
    assert not talk.endpointer.in_speech
    assert talk.silence(2) == []


def test_speech_after_a_commit_is_a_new_utterance():
    talk = Talk()
    talk.speech(0.64)
    talk.endpointer.finish_utterance()
    assert only(talk.speech(0.32), SpeechStarted).start_ms == 640


def test_options_apply_to_the_next_utterance():
    talk = Talk(silence_duration_ms=500)
    talk.speech(0.64)
    talk.endpointer.configure(TurnOptions(silence_duration_ms=1000))
    assert "SpeechEnded" in kinds(talk.silence(0.6))
    talk.speech(0.64)
    assert "SpeechEnded" not in kinds(talk.silence(0.6))


def test_reset_forgets_the_voice_and_its_level():
    talk = Talk(min_speech_ms=0)
    talk.speech(0.64)
    talk.endpointer.reset()
    assert talk.speech(0.32, probability=0.4) == []
    talk.agent_audible = True
    assert "SpeechStarted" in kinds(talk.speech(0.32, level_dbfs=SPEECH_DBFS - 31))


def test_skipped_audio_moves_the_clock():
    talk = Talk()
    talk.speech(0.64)
    talk.endpointer.skip_to(10_005)
    assert not talk.endpointer.in_speech
    assert only(talk.speech(0.32), SpeechStarted).start_ms == 10_005


# --------------------------------------------------------------------------------------------------------- semantic_vad


def silence_until_end_ms(text: str | None, dialogue: Dialogue | None = None, **options: object) -> float:
    talk = Talk(mode="semantic_vad", **options)
    if dialogue is not None:
        talk.endpointer.in_dialogue(dialogue)
    talk.speech(0.96)
    talk.silence(0.192)
    if text is not None:
        talk.endpointer.hear(text, final=True)
    ended = only(talk.silence(12), SpeechEnded)
    return ended.end_ms - ended.voiced_end_ms


@pytest.mark.parametrize(
    "text", ["what is the time", "can you tell me what time it is", "yes", "今天天气怎么样", "好的"]
)
def test_a_finished_question_ends_soon(text: str):
    assert 288 <= silence_until_end_ms(text) <= 352


@pytest.mark.parametrize(
    "text", ["my number is", "i want to", "um", "tell me about the", "turn it on and", "我想", "因为"]
)
def test_hesitation_is_waited_for(text: str):
    assert 1900 <= silence_until_end_ms(text) <= 4032


@pytest.mark.parametrize(
    ("eagerness", "plain_ms", "limit_ms"), [("low", 1200, 4000), ("auto", 736, 2000), ("high", 480, 1200)]
)
def test_plain_silence_without_text_and_a_limit_with_it(eagerness: str, plain_ms: int, limit_ms: int):
    assert plain_ms <= silence_until_end_ms(None, eagerness=eagerness) < plain_ms + FRAME_MS
    assert plain_ms <= silence_until_end_ms("  ", eagerness=eagerness) < plain_ms + FRAME_MS
    assert limit_ms * 0.6 <= silence_until_end_ms("i would like to", eagerness=eagerness) < limit_ms + FRAME_MS


def test_text_from_before_the_last_words_never_shortens_the_wait():
    talk = Talk(mode="semantic_vad")
    talk.speech(0.96)
    talk.silence(0.16)
    talk.endpointer.hear("what is the time", final=True)
    talk.speech(0.32)
    ended = only(talk.silence(4), SpeechEnded)
    assert ended.end_ms - ended.voiced_end_ms == 736


def test_a_partial_transcript_never_shortens_the_wait_but_prolongs_it():
    for text, waited_ms in (("what is the time", 736), ("what is the", 2000)):
        talk = Talk(mode="semantic_vad")
        talk.speech(0.96)
        talk.silence(0.16)
        talk.endpointer.hear(text)
        ended = only(talk.silence(6), SpeechEnded)
        assert ended.end_ms - ended.voiced_end_ms >= waited_ms


def test_yes_to_a_yes_no_question_is_enough():
    asked = Dialogue("Do you want milk?", Expectation("yes_no"), is_closing=True)
    assert silence_until_end_ms("Yes.", asked) == 224
    assert silence_until_end_ms("Yes.") >= 288
    assert silence_until_end_ms("Yes but", asked) > 1000


def test_a_number_is_waited_for_as_long_as_the_question_demands():
    asked = Dialogue("What is your telephone number?", Expectation("number", 7), is_closing=True)
    assert silence_until_end_ms("five five five", asked) > 1500
    assert silence_until_end_ms("five five five one two one two three four five", asked) <= 480


def test_a_caller_who_pauses_long_is_given_longer():
    quick, slow = Talk(mode="semantic_vad"), Talk(mode="semantic_vad")
    for talk, pause in ((quick, 0.2), (slow, 0.7)):
        for _ in range(4):
            talk.speech(0.64)
            talk.silence(pause)
        talk.speech(0.64)
    ends = [only(talk.silence(4), SpeechEnded) for talk in (quick, slow)]
    waits_ms = [ended.end_ms - ended.voiced_end_ms for ended in ends]
    assert waits_ms[0] < 736 < waits_ms[1] <= 736 * 1.6 + FRAME_MS


def test_an_utterance_with_many_pauses_is_finalised_early_three_times_only():
    talk = Talk(mode="semantic_vad")
    early = [kinds(talk.speech(0.32) + talk.silence(0.16)).count("LikelyEnd") for _ in range(5)]
    assert early == [1, 1, 1, 0, 0]


def test_late_text_can_still_prolong():
    talk = Talk(mode="semantic_vad")
    talk.speech(0.96)
    talk.silence(0.7)
    talk.endpointer.hear("and then i", final=True)
    assert talk.silence(0.7) == []
    assert kinds(talk.speech(0.32)) == ["SpeechResumed"]


def test_text_of_an_earlier_utterance_is_forgotten():
    talk = Talk(mode="semantic_vad")
    talk.speech(0.96)
    talk.endpointer.hear("my number is")
    talk.silence(5)
    talk.endpointer.hear("my number is", final=True)
    talk.speech(0.96)
    ended = only(talk.silence(5), SpeechEnded)
    assert ended.end_ms - ended.voiced_end_ms == 736


# ----------------------------------------------------------------------------------------------------------- properties


frames = st.lists(
    st.tuples(
        st.one_of(st.sampled_from((0.0, 0.02, 0.4, 0.9, 1.0)), st.floats(allow_nan=True, allow_infinity=True)),
        st.one_of(st.sampled_from((-70.0, -25.0)), st.floats(allow_nan=True, allow_infinity=True)),
        st.booleans(),
        st.integers(1, 30),
        st.sampled_from(("", "um", "what time is it", "嗯", "\x00?")),
        st.sampled_from(("feed", "feed", "feed", "finish", "reset", "configure")),
    ),
    max_size=40,
)
options_strategy = st.builds(
    TurnOptions,
    mode=st.sampled_from(("server_vad", "semantic_vad")),
    threshold=st.floats(0, 1),
    silence_duration_ms=st.integers(0, 3000),
    eagerness=st.sampled_from(("low", "medium", "high", "auto")),
    min_speech_ms=st.integers(0, 2000),
    barge_in_ms=st.integers(0, 2000),
    max_utterance_ms=st.integers(32, 5000),
)

JUDGED = {OnsetDropped, SpeechStarted, InterruptionConfirmed, SpeechRetracted}
FOLLOWS = {
    None: {SpeechOnset},
    SpeechOnset: {OnsetDropped, SpeechStarted, LikelyEnd},
    OnsetDropped: {SpeechOnset},
    SpeechStarted: {LikelyEnd, SpeechResumed, SpeechEnded, InterruptionConfirmed, SpeechRetracted},
    InterruptionConfirmed: {LikelyEnd, SpeechResumed, SpeechEnded},
    SpeechRetracted: {SpeechOnset},
    LikelyEnd: {SpeechResumed, SpeechEnded} | JUDGED,
    SpeechResumed: {LikelyEnd} | JUDGED,
    SpeechEnded: {SpeechOnset},
}


@settings(max_examples=200, deadline=None)
@given(script=frames, options=options_strategy, other=options_strategy)
def test_events_are_well_ordered_whatever_comes(script: list[tuple], options: TurnOptions, other: TurnOptions):
    endpointer = Endpointer(options)
    last: type | None = None
    revision, previous_end_ms, started, certain = 0, 0.0, False, False
    for probability, level, audible, count, text, action in script:
        if action in ("finish", "reset"):
            endpointer.finish_utterance() if action == "finish" else endpointer.reset()
            last, previous_end_ms, started = None, endpointer.now_ms, False
        elif action == "configure":
            endpointer.configure(other)
        endpointer.hear(text, final=count % 2 == 0)
        for _ in range(count):
            for event in endpointer.feed(probability, level, audible):
                assert type(event) in FOLLOWS[last], (last, event)
                last = type(event)
                match event:
                    case SpeechOnset(at_ms, start_ms):
                        assert previous_end_ms <= start_ms < at_ms == endpointer.now_ms
                        revision, started = 0, False
                    case SpeechStarted(start_ms, at_ms):
                        assert not started
                        assert previous_end_ms <= start_ms < at_ms == endpointer.now_ms
                        started, certain = True, event.is_certain
                    case InterruptionConfirmed() | SpeechRetracted():
                        assert started
                        assert not certain
                        started, certain = isinstance(event, InterruptionConfirmed), True
                    case OnsetDropped():
                        assert not started
                    case SpeechResumed():
                        assert event.revision == revision + 1
                        revision = event.revision
                    case LikelyEnd():
                        assert event.revision == revision
                        assert event.end_ms == endpointer.now_ms
                    case SpeechEnded():
                        assert started
                        assert certain
                        started = False
                        assert event.revision == revision
                        assert event.voiced_end_ms <= event.end_ms == endpointer.now_ms
                        previous_end_ms = event.end_ms
            assert endpointer.in_speech == started


@given(script=frames, options=options_strategy)
def test_the_same_frames_give_the_same_turns(script: list[tuple], options: TurnOptions):
    runs = []
    for _ in range(2):
        endpointer = Endpointer(options)
        runs.append([endpointer.feed(p, level, audible) for p, level, audible, *_ in script])
    assert runs[0] == runs[1]


@given(lengths=st.lists(st.tuples(st.integers(4, 40), st.integers(17, 60)), min_size=1, max_size=6))
def test_every_stretch_of_speech_becomes_one_turn(lengths: list[tuple[int, int]]):
    endpointer = Endpointer(TurnOptions())
    events = [
        event
        for voiced, silent in lengths
        for probability in itertools.chain([0.9] * voiced, [0.1] * silent)
        for event in endpointer.feed(probability, SPEECH_DBFS if probability > 0.5 else ROOM_DBFS, False)
    ]
    starts = [event.start_ms for event in events if isinstance(event, SpeechStarted)]
    ends = [event.voiced_end_ms for event in events if isinstance(event, SpeechEnded)]
    assert [(end - start) / FRAME_MS for start, end in zip(starts, ends, strict=True)] == [
        voiced for voiced, _ in lengths
    ]
