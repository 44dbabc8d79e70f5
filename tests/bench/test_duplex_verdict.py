"""Verdicts of the duplex benchmark, from what was played and told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkover.bench.duplex.observation import Observation, Played, Reply, TurnSeen
from talkover.bench.duplex.takes import AgentState, Family, Take
from talkover.bench.duplex.verdict import judge, words_lost_and_repeated
from talkover.client.recordings import Span

PASSAGE = "The old harbour was built by fishermen who came from the islands"
WORDS = tuple(
    {"start": PASSAGE.index(word), "end": PASSAGE.index(word) + len(word), "start_ms": n * 400, "end_ms": n * 400 + 400}
    for n, word in enumerate(PASSAGE.split())
)


def take(family: Family, *sounds: tuple[float, float], state: AgentState = "silent", expects: str = "") -> Take:
    spans = tuple(Span(*sound) for sound in sounds)
    return Take("one", family, "", np.zeros(24 * 3000, np.float32), spans, "", state, expects=expects)


def played(item: str, start_ms: float, end_ms: float) -> Played:
    return Played(item, start_ms, end_ms, (Span(start_ms + 20, end_ms - 20),))


def reply(name: str, created_ms: float, status: str = "in_progress", text: str = "", **more: object) -> Reply:
    made = Reply(name, created_ms, (name,), text, status, "turn_detected" if status == "cancelled" else None)
    return replace(made, **more)


def seen(
    one: Take,
    replies: tuple[Reply, ...] = (),
    sound: tuple[Played, ...] = (),
    flushes: tuple[float, ...] = (),
    turns: tuple[TurnSeen, ...] = (),
    ended_ms: float = 6000,
) -> Observation:
    return Observation(one, replies, sound, flushes, turns, (), ended_ms=ended_ms)


def turn(started_ms: float, ended_ms: float | None, text: str | None = "") -> TurnSeen:
    return TurnSeen("user", started_ms, ended_ms, started_ms + 100, text)


# ------------------------------------------------------------------------------------------------------- answering


def test_the_answer_is_timed_from_the_last_sound_to_the_first_audible_sample():
    one = take("answering", (100, 1500))
    verdict = judge(seen(one, (reply("a", 1900),), (played("a", 2000, 3000),)))
    assert verdict.response_ms == 520
    assert (verdict.passed, verdict.answered, verdict.spoke_over_user) == (True, True, False)


def test_no_answer_in_time_is_none():
    one = take("answering", (100, 1500))
    assert judge(seen(one)).answered is False
    late = judge(seen(one, (reply("a", 8000),), (played("a", 8000, 9000),), ended_ms=9000))
    assert (late.answered, late.response_ms, late.why) == (False, None, "no answer")


def test_speaking_while_the_user_has_the_floor_is_an_interruption_by_the_agent():
    one = take("monologue", (100, 1500), (2100, 4000))
    verdict = judge(seen(one, (reply("a", 1900),), (played("a", 1950, 2300), played("a", 4500, 5000))))
    assert verdict.spoke_over_user is True
    assert verdict.pauses[0].taken_over is True
    assert verdict.passed is False


def test_a_turn_ended_in_a_pause_counts_though_nothing_was_audible():
    one = take("pause", (100, 1500), (2500, 4000))
    cut = judge(seen(one, (reply("a", 4300),), (played("a", 4400, 5000),), turns=(turn(50, 2300), turn(2450, 4300))))
    (pause,) = cut.pauses
    assert (pause.pause_ms, pause.ended, pause.taken_over) == (1000, True, False)
    assert cut.response_ms == 420
    assert cut.passed is False
    whole = judge(seen(one, (reply("a", 4300),), (played("a", 4400, 5000),), turns=(turn(50, 4300),)))
    assert whole.passed is True


def test_of_two_utterances_the_first_may_be_answered_in_between():
    one = take("two_utterances", (100, 1500), (3000, 4000))
    replies = (reply("a", 2000, "cancelled"), reply("b", 4300))
    sound = (played("a", 2100, 3150), played("b", 4500, 5500))
    verdict = judge(seen(one, replies, sound, flushes=(3150,)))
    assert (verdict.passed, verdict.response_ms, verdict.stale_ms) == (True, 520, 0)


# -------------------------------------------------------------------------------------------------- interruptions


def interruption(**more: str) -> Take:
    return take("interruption", (100, 900), state="speaking", **more)


def test_a_yield_is_timed_from_the_onset_to_the_last_audible_sample():
    verdict = judge(seen(interruption(), (reply("a", -3000, "cancelled"),), (played("a", -2800, 360),), flushes=(360,)))
    assert (verdict.yielded, verdict.yield_ms, verdict.passed) == (True, 240, True)


def test_a_yield_after_two_seconds_is_none_in_the_window():
    verdict = judge(
        seen(interruption(), (reply("a", -3000, "cancelled"),), (played("a", -2800, 2500),), flushes=(2500,))
    )
    assert (verdict.yielded, verdict.yielded_ever, verdict.yield_ms) == (False, True, None)
    assert verdict.why == "did not yield within 2 s"


def test_an_agent_that_speaks_on_has_not_yielded():
    verdict = judge(seen(interruption(), (reply("a", -3000),), (played("a", -2800, 6000),)))
    assert (verdict.yielded, verdict.yielded_ever) == (False, False)


def test_an_end_by_itself_is_no_yield():
    verdict = judge(seen(interruption(), (reply("a", -3000, "completed"),), (played("a", -2800, 700),)))
    assert verdict.yielded is False


def test_old_audio_after_the_flush_is_stale():
    replies = (reply("a", -3000, "cancelled"), reply("b", 1800))
    sound = (played("a", -2800, 400), played("a", 700, 900), played("b", 2000, 3000))
    verdict = judge(seen(interruption(), replies, sound, flushes=(400,)))
    assert verdict.stale_ms == 160
    assert "160 ms of old audio" in verdict.why


def test_the_new_answer_must_be_to_what_was_asked():
    replies = (reply("a", -3000, "cancelled"), reply("b", 1500, text="It is four o'clock."))
    sound = (played("a", -2800, 400), played("b", 1700, 3000))
    assert judge(seen(interruption(expects="o'clock"), replies, sound, (400,))).right_answer is True
    wrong = judge(seen(interruption(expects="Mandarin"), replies, sound, (400,)))
    assert wrong.right_answer is False
    assert "It is four" in wrong.why


@pytest.mark.parametrize(("believed", "off"), [("The old harbour was built", 1), ("The old harbour was built by", 0)])
def test_the_ledger_is_compared_with_the_words_that_sounded(believed: str, off: int):
    old = reply("a", -3000, "cancelled", text=PASSAGE, words=WORDS, heard_chars=len(believed))
    # 2400 ms were played: six words of 400 ms
    verdict = judge(seen(interruption(), (old,), (played("a", -2000, 400),), flushes=(400,)))
    assert verdict.ledger_words_off == off


def test_what_a_silent_agent_does_cannot_be_judged_as_an_interruption():
    assert judge(seen(interruption())).why == "the agent was not speaking"


# ----------------------------------------------------------------------------------------------------- backchannels


def backchannel() -> Take:
    return take("backchannel", (100, 500), state="speaking")


def test_going_on_without_a_hole_is_right():
    verdict = judge(seen(backchannel(), (reply("a", -3000),), (played("a", -2800, 6000),)))
    assert (verdict.undisturbed, verdict.undisturbed_ever, verdict.hole_ms) == (True, True, 0)


def test_being_stopped_is_wrong():
    verdict = judge(
        seen(backchannel(), (reply("a", -3000, "cancelled"),), (played("a", -2800, 350),), (350,), (turn(60, 900),))
    )
    assert (verdict.undisturbed, verdict.turns_created) == (False, 1)
    assert verdict.why == "stopped after 250 ms"


def test_a_late_stop_counts_only_without_the_window():
    verdict = judge(seen(backchannel(), (reply("a", -3000, "cancelled"),), (played("a", -2800, 3000),), (3000,)))
    assert (verdict.undisturbed, verdict.undisturbed_ever) == (True, False)


@pytest.mark.parametrize(("hole_ms", "right"), [(400, True), (700, False)])
def test_a_hole_may_last_half_a_second(hole_ms: float, right: bool):
    sound = (played("a", -2800, 400), played("a", 400 + hole_ms, 6000))
    verdict = judge(seen(backchannel(), (reply("a", -3000),), sound))
    assert (verdict.undisturbed, verdict.hole_ms) == (right, hole_ms)


@pytest.mark.parametrize(
    ("resumed", "right", "lost", "repeated"),
    [
        ("by fishermen who came", True, 0, 0),
        ("built by fishermen who", False, 0, 1),
        ("who came from the islands", False, 2, 0),
    ],
)
def test_a_wrong_stop_is_mended_by_going_on_at_the_word(resumed: str, right: bool, lost: int, repeated: int):
    old = reply("a", -3000, "cancelled", text=PASSAGE, words=WORDS)
    # five words were heard
    sound = (played("a", -1600, 400), played("b", 800, 6000))
    verdict = judge(seen(backchannel(), (old, reply("b", 700, text=resumed)), sound, flushes=(400,)))
    assert (verdict.undisturbed, verdict.lost_words, verdict.repeated_words) == (right, lost, repeated)


def test_words_that_had_not_been_sent_when_it_stopped_are_known_from_the_passage():
    old = reply("a", -3000, "cancelled", text=" ".join(PASSAGE.split()[:6]), words=WORDS[:6])
    sound = (played("a", -1600, 400), played("b", 800, 6000))
    observed = seen(backchannel(), (old, reply("b", 700, text="by fishermen who came")), sound, flushes=(400,))
    verdict = judge(replace(observed, passage=PASSAGE))
    assert (verdict.undisturbed, verdict.lost_words, verdict.repeated_words) == (True, 0, 0)


def test_words_are_counted_in_the_text_and_not_in_the_marks_of_the_voice():
    # a voice may mark two words as one ("The old")
    merged = ({**WORDS[0], "end": WORDS[1]["end"], "end_ms": WORDS[1]["end_ms"]}, *WORDS[2:])
    old = reply("a", -3000, "cancelled", text=PASSAGE, words=merged)
    sound = (played("a", -1600, 400), played("b", 800, 6000))
    verdict = judge(seen(backchannel(), (old, reply("b", 700, text="by fishermen who")), sound, flushes=(400,)))
    assert (verdict.lost_words, verdict.repeated_words) == (0, 0)


def test_a_turn_that_was_taken_back_is_none():
    going_on = (reply("a", -3000),), (played("a", -2800, 6000),)
    assert judge(seen(backchannel(), *going_on, turns=(turn(60, 900, None),))).turns_created == 0
    assert judge(seen(backchannel(), *going_on, turns=(turn(60, 900, "uh huh"),))).turns_created == 1


def test_another_answer_is_no_resumption():
    old = reply("a", -3000, "cancelled", text=PASSAGE, words=WORDS)
    sound = (played("a", -1600, 400), played("b", 800, 6000))
    verdict = judge(seen(backchannel(), (old, reply("b", 700, text="Yes, what is it?")), sound, flushes=(400,)))
    assert verdict.undisturbed is False
    assert words_lost_and_repeated(PASSAGE, "Yes, what is it?", 30) == (0, 0)


# -------------------------------------------------------------------------------------------------- noise and echo


def test_noise_is_not_answered_when_nobody_speaks():
    one = take("noise", (0, 600))
    assert judge(seen(one)).passed is True
    late = judge(seen(one, (reply("a", 2800),), (played("a", 2900, 4000),)))
    assert (late.undisturbed, late.undisturbed_ever, late.passed) == (True, False, False)


def test_echo_that_stops_the_agent_is_a_self_interruption():
    one = take("echo", state="speaking")
    verdict = judge(
        seen(
            one,
            (reply("a", -500, "cancelled"),),
            (played("a", -400, 3600),),
            flushes=(-900, 3600),
            turns=(turn(3000, 4000),),
        )
    )
    assert (verdict.self_interruptions, verdict.agent_speech_s) == (1, 3.6)
    assert judge(seen(one, (reply("a", -500),), (played("a", -400, 6000),))).passed is True
