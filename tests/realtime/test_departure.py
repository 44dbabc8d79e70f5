"""How a session ends when the server stops: politely, soon, and in any case."""

from __future__ import annotations

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines
from session_talk import driver, speaking_session, text_turn
from talkover.realtime.departure import (
    CLOSE_AFTER_S,
    LONGEST_S,
    MAX_GOODBYE_S,
    PATIENCE_S,
    CloseLine,
    Departure,
    SayGoodbye,
)
from talkover.realtime.session import ServerStops


def test_nothing_happens_before_the_server_stops():
    departure = Departure()
    assert departure.deadline_s(True, 0.0) is None
    assert departure.step(True, 0.0, 100.0) is None


def test_an_idle_line_is_told_at_once_and_closed_when_that_was_heard():
    departure = Departure()
    departure.begin(10.0)
    assert departure.step(True, 3.0, 10.0) == SayGoodbye()
    assert departure.step(False, 10.0, 12.0) is None
    assert departure.deadline_s(True, 14.0) == 14.0 + CLOSE_AFTER_S
    assert departure.step(True, 14.0, 14.2) is None
    assert departure.step(True, 14.0, 14.0 + CLOSE_AFTER_S) == CloseLine()


def test_an_answer_is_let_finish_but_not_for_ever():
    departure = Departure()
    departure.begin(10.0)
    assert departure.step(False, 12.0, 11.0) is None
    assert departure.step(True, 12.0, 11.5) is None
    assert departure.deadline_s(False, 60.0) == 10.0 + PATIENCE_S
    assert departure.step(False, 60.0, 10.0 + PATIENCE_S) == SayGoodbye()


def test_a_goodbye_that_never_ends_is_cut_off():
    departure = Departure()
    departure.begin(0.0)
    departure.step(True, 0.0, 0.0)
    assert departure.step(False, 99.0, MAX_GOODBYE_S) == CloseLine()
    assert LONGEST_S == PATIENCE_S + MAX_GOODBYE_S


# ------------------------------------------------------------------------------------------------------- in a session


def stop(session: Driver) -> None:
    session.handle(ServerStops())


def spoken(session: Driver, since: int) -> str:
    return "".join(
        event["delta"] for event in session.events[since:] if event["type"] == "response.output_audio_transcript.delta"
    )


def test_an_idle_session_says_goodbye_and_closes_with_1001():
    session = driver()
    text_turn(session)
    session.wait(30)
    before = len(session.events)
    stop(session)
    session.run()
    assert "Goodbye" in spoken(session, before)
    assert session.closed is None
    session.wait(LONGEST_S)
    assert session.closed == (1001, "server shutdown")


def test_the_goodbye_is_in_the_language_of_the_user_and_in_no_history():
    session = Driver(fake_engines(ScriptedAsr("你好，现在几点了？"), ScriptedLlm("三点。", "四点。")))
    session.say()
    session.wait(30)
    before = len(session.events)
    stop(session)
    session.run()
    assert "再见" in spoken(session, before)
    created = next(event for event in session.events[before:] if event["type"] == "response.created")
    assert created["response"]["metadata"] == {"s2s": "closing"}


def test_an_answer_that_goes_on_is_cut_off_after_a_while():
    session = speaking_session()
    session.step()
    stop(session)
    assert session.closed is None
    before = len(session.events)
    session.wait(PATIENCE_S)
    session.run()
    assert "Goodbye" in spoken(session, before)
    session.wait(LONGEST_S)
    assert session.closed == (1001, "server shutdown")
    done = [event["response"]["status"] for event in session.events if event["type"] == "response.done"]
    assert len(done) == sum(event["type"] == "response.created" for event in session.events)
