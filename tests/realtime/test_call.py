"""The course of a call on virtual time: when the agent greets, hands over and hangs up."""

from __future__ import annotations

import pytest

from talkover.realtime.call import (
    GREETING_WAIT_S,
    HANG_UP_AFTER_S,
    MAX_WORDS_S,
    OPENS_ITSELF_WITHIN_S,
    SPEECH_BEGINS_S,
    Call,
    Greet,
    HandOver,
    HangUp,
)

SILENT = float("-inf")


@pytest.fixture
def call() -> Call:
    call = Call("Welcome.")
    call.opened(10.0)
    return call


def test_the_greeting_waits_for_the_client_to_say_how_to_hear_it(call: Call) -> None:
    assert call.step(True, False, SILENT, 10.0) is None
    call.configured(10.2)
    assert call.deadline_s(True, SILENT) == 10.2 + OPENS_ITSELF_WITHIN_S
    assert call.step(True, False, SILENT, 10.2 + OPENS_ITSELF_WITHIN_S) == Greet("Welcome.")
    assert call.step(True, False, SILENT, 11.0) is None


def test_a_client_that_says_nothing_is_greeted_all_the_same(call: Call) -> None:
    assert call.deadline_s(True, SILENT) == 10.0 + GREETING_WAIT_S
    assert call.step(True, False, SILENT, 10.0 + GREETING_WAIT_S) == Greet("Welcome.")


@pytest.mark.parametrize(("is_free", "has_begun"), [(False, False), (True, True)])
def test_a_conversation_that_begins_another_way_is_not_greeted(call: Call, is_free: bool, has_begun: bool) -> None:
    assert call.step(is_free, has_begun, SILENT, 10.1) is None
    call.configured(10.2)
    assert call.step(True, False, SILENT, 12.0) is None
    assert call.deadline_s(True, SILENT) is None


def test_an_agent_without_a_greeting_waits() -> None:
    call = Call("")
    call.opened(10.0)
    call.configured(10.1)
    assert call.step(True, False, SILENT, 20.0) is None


def farewell(call: Call) -> None:
    """Signalled at 30 s, spoken from then on until 33 s."""
    call.step(True, True, SILENT, 29.0)
    call.signalled("end_call", 30.0)
    assert call.step(False, True, SILENT, 30.1) is None
    assert call.step(True, True, 33.0, 31.0) is None


def test_the_agent_hangs_up_when_the_farewell_was_heard(call: Call) -> None:
    farewell(call)
    assert call.deadline_s(True, 33.0) == 33.0 + HANG_UP_AFTER_S
    assert call.step(True, True, 33.0, 33.0) is None
    assert call.step(True, True, 33.0, 33.0 + HANG_UP_AFTER_S) == HangUp()


def test_a_caller_who_speaks_is_not_hung_up_on(call: Call) -> None:
    farewell(call)
    call.user_spoke()
    assert call.step(True, True, 33.0, 40.0) is None


def test_a_hand_over_is_told_as_soon_as_its_words_were_heard_and_with_its_reason(call: Call) -> None:
    call.signalled("handover: wants a refund ", 30.0)
    call.user_spoke()
    assert call.step(True, True, 33.0, 32.9) is None
    assert call.step(True, True, 33.0, 33.0) == HandOver("wants a refund")


def test_a_signal_happens_also_when_nothing_is_said_or_the_talk_does_not_end(call: Call) -> None:
    call.signalled("handover:", 30.0)
    assert call.step(True, True, 20.0, 30.0 + SPEECH_BEGINS_S) == HandOver("")
    call.signalled("handover:", 60.0)
    assert call.step(False, True, 90.0, 60.0 + SPEECH_BEGINS_S) is None
    assert call.step(False, True, 90.0, 60.0 + MAX_WORDS_S) == HandOver("")


@pytest.mark.parametrize("signal", ["", "reload", "end_calls"])
def test_other_signals_are_not_for_the_call(call: Call, signal: str) -> None:
    call.signalled(signal, 30.0)
    assert call.step(True, True, 33.0, 60.0) is None
