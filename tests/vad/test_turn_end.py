"""How long a pause is waited for: words, voice, the question and the caller's habits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.vad.caller_pauses import CallerPauses
from talkover.vad.dictation import dictated, is_open_list, trailing_digits
from talkover.vad.expectation import ANYTHING, Expectation, ExpectedField, expectation, expected_field
from talkover.vad.prosody import Ending
from talkover.vad.turn_end import (
    PATIENCE,
    VOICE_LIMIT,
    EndFeatures,
    finished_probability,
    silence_needed_ms,
    voice_log_odds,
)

MEDIUM = PATIENCE["medium"]
FALLING = Ending(pitch_st=-5, slope_st_per_s=-20, level_db=-6, steady_ms=64)
RISING = Ending(pitch_st=3, slope_st_per_s=20, level_db=4, steady_ms=64)
HELD = Ending(pitch_st=-4, slope_st_per_s=1, level_db=-4, steady_ms=352)


def waited_ms(text: str, final: bool = True, **changes: object) -> float:
    return silence_needed_ms(EndFeatures(text, final, **changes), MEDIUM)  # type: ignore[arg-type]


def test_words_decide_most():
    assert waited_ms("what time is it") == pytest.approx(MEDIUM.finished_ms)
    assert waited_ms("") == MEDIUM.unknown_ms
    assert waited_ms("tell me about the") == pytest.approx(MEDIUM.unfinished_ms)


def test_words_count_as_far_as_the_recogniser_is_sure_of_them():
    waits_ms = [waited_ms("what time is it", confidence=confidence) for confidence in (0.3, 0.5, 0.6, 0.9)]
    assert waits_ms[0] == MEDIUM.unknown_ms
    assert waits_ms == sorted(waits_ms, reverse=True)
    assert waits_ms[-1] == waited_ms("what time is it")
    assert waited_ms("tell me about the", confidence=0.3) == MEDIUM.unknown_ms


def test_the_voice_shifts_what_the_words_lean_to_and_decides_nothing():
    plain = waited_ms("tell me", confidence=0.7)
    assert waited_ms("tell me", confidence=0.7, ending=FALLING) < plain
    assert waited_ms("tell me", confidence=0.7, ending=RISING) > plain
    assert waited_ms("in the park", ending=FALLING) == waited_ms("in the park", ending=RISING) == MEDIUM.unknown_ms
    assert waited_ms("tell me about the", ending=FALLING) > 1500


def test_a_sound_held_on_to_is_a_hesitation_though_it_falls():
    assert voice_log_odds(HELD) == -VOICE_LIMIT
    assert voice_log_odds(replace(HELD, steady_ms=64)) > 0


def test_words_that_may_not_be_all_only_prolong():
    assert waited_ms("what time is it", final=False) == MEDIUM.unknown_ms
    assert waited_ms("tell me about the", final=False) == waited_ms("tell me about the")


def test_a_short_answer_is_over_at_once():
    asked = Expectation("yes_no")
    assert waited_ms("No.", expected=asked) == 224
    assert waited_ms("No.", expected=asked, final=False) == MEDIUM.unknown_ms
    assert waited_ms("No, I think", expected=asked) > 1000
    assert waited_ms("Yeah, share.", expected=asked) == pytest.approx(MEDIUM.finished_ms)
    assert silence_needed_ms(EndFeatures("Yes.", True, expected=asked), PATIENCE["low"]) == 224


features = st.builds(
    EndFeatures,
    text=st.text(max_size=40) | st.sampled_from(("um", "what is it", "my number is five")),
    text_is_final=st.booleans(),
    ending=st.none()
    | st.builds(Ending, st.floats(-40, 40), st.floats(-500, 500), st.floats(-80, 80), st.floats(0, 2e3)),
    expected=st.sampled_from((ANYTHING, Expectation("number", 7), Expectation("email"), Expectation("spelling"))),
    usual_pause_ms=st.none() | st.floats(160, 2500),
)


@given(features=features, eagerness=st.sampled_from(sorted(PATIENCE)))
def test_the_wait_stays_within_the_limits(features: EndFeatures, eagerness: str):
    patience = PATIENCE[eagerness]  # type: ignore[index]
    assert 0 < finished_probability(features) < 1
    wait_ms = silence_needed_ms(features, patience)
    assert patience.finished_ms * 0.999 <= wait_ms <= patience.unfinished_ms * 1.001


# -------------------------------------------------------------------------------------------- what the agent asked for


@pytest.mark.parametrize(
    ("said", "kind", "digits"),
    [
        ("Do you want milk with that?", "yes_no", None),
        ("I can book it. Shall I?", "yes_no", None),
        ("That was Boston, right?", "yes_no", None),
        ("Do you want milk or cream?", "anything", None),
        ("Could you tell me your phone number?", "number", 7),
        ("What is your zip code?", "number", 5),
        ("How many people are coming?", "number", None),
        ("Please tell me the email address.", "email", None),
        ("How do you spell that?", "spelling", None),
        ("What would you like to know?", "anything", None),
        ("It is half past nine.", "anything", None),
        ("My number is on the page.", "anything", None),
        ("", "anything", None),
        ("你要加牛奶吗？", "yes_no", None),
        ("请告诉我您的电话号码。", "number", 7),
    ],
)
def test_what_a_question_asks_for(said: str, kind: str, digits: int | None):
    assert expectation(said) == Expectation(kind, digits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "schema", "expected"),
    [
        ("guests", {"type": "integer"}, Expectation("number")),
        ("bookingCode", {"type": "string", "pattern": r"^\d{6}$"}, Expectation("number", 6)),
        ("contact", {"type": "string", "format": "email"}, Expectation("email")),
        ("confirmed", {"type": "boolean"}, Expectation("yes_no")),
        ("city", {"type": "string"}, None),
        ("plate", {"type": "string", "pattern": "^[A-Z]{3}$"}, None),
    ],
)
def test_what_a_tool_needs(name: str, schema: dict, expected: Expectation | None):
    found = expected_field(name, schema)
    assert (None if found is None else found.expectation) == expected


def test_a_question_for_what_a_tool_needs():
    field = expected_field("booking_code", {"type": "string", "pattern": r"[0-9]{6}"})
    assert field == ExpectedField(frozenset({"booking", "code"}), Expectation("number", 6))
    assert expectation("What is the booking code?", [field]) == Expectation("number", 6)
    assert expectation("What is the code?", [field]) == Expectation("number", 4)


# ---------------------------------------------------------------------------------------------------------- dictation


@pytest.mark.parametrize(
    ("text", "asked", "low", "high"),
    [
        ("five five five", Expectation("number", 7), 0, 0.2),
        ("five five five one two one two three four five", Expectation("number", 7), 0.85, 1),
        ("my number is five five", ANYTHING, 0, 0.2),
        ("the code is one two three four", ANYTHING, 0.5, 0.5),
        ("one two three four", Expectation("number", 4), 0.85, 1),
        ("nine there is five five five one to three", ANYTHING, 0, 0.2),
        ("it is double", Expectation("number", 7), 0, 0.1),
        ("twenty", Expectation("number"), 0.6, 1),
        ("two", Expectation("number"), 0.6, 1),
        ("john dot smith at", ANYTHING, 0, 0.1),
        ("john dot smith at gmail", ANYTHING, 0, 0.2),
        ("john dot smith at gmail dot com", ANYTHING, 0.85, 1),
        ("my email is", ANYTHING, 0, 0.1),
        ("s m", ANYTHING, 0, 0.2),
    ],
)
def test_dictation(text: str, asked: Expectation, low: float, high: float):
    score = dictated(text.split(), asked)
    assert score is not None
    assert low <= score <= high


@pytest.mark.parametrize("text", ["", "what is two plus two", "look at the dog", "set a timer for ten minutes"])
def test_no_dictation(text: str):
    assert dictated(text.split()) is None


def test_digits_are_counted_as_they_are_meant():
    assert trailing_digits(["my", "number", "is", "double", "five", "oh", "42"]) == 5
    assert trailing_digits(["five", "apples"]) == 0


def test_lists_end_with_and():
    assert is_open_list(["i", "need", "bread", "butter"]) is False
    assert is_open_list(["i", "need", "bread", "butter", "cheese"])
    assert not is_open_list(["i", "need", "bread", "butter", "and", "cheese"])


# ---------------------------------------------------------------------------------------------------------- the caller


def test_the_usual_pause_is_longer_than_most():
    pauses = CallerPauses()
    assert pauses.usual_ms is None
    for pause_ms in (300, 400, 50, 9000):
        pauses.went_on_after(pause_ms)
    assert pauses.usual_ms == 400
    for pause_ms in range(500, 900, 10):
        pauses.went_on_after(pause_ms)
    assert 850 <= (pauses.usual_ms or 0) <= 890


def test_a_hasty_caller_is_answered_a_little_sooner_and_a_slow_one_later():
    assert waited_ms("", usual_pause_ms=200) == pytest.approx(MEDIUM.unknown_ms * 0.85)
    assert waited_ms("", usual_pause_ms=700) == pytest.approx(840)
    assert waited_ms("", usual_pause_ms=2500) == pytest.approx(MEDIUM.unknown_ms * 1.3)
    assert waited_ms("what time is it", usual_pause_ms=2500) < 600
