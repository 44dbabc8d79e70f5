"""A voice from across the room that is not understood is left alone, once."""

from __future__ import annotations

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines
from talkover.engines import Hypothesis

FAR = 0.06
"""amplitude: 18 dB under that of `Driver.speak`"""


def after_a_question(*then: Hypothesis) -> Driver:
    engines = fake_engines(ScriptedAsr("What time is it", *then), ScriptedLlm("It is noon.", "Pardon?", "Pardon?"))
    session = Driver(engines)
    session.turn_detection({"type": "semantic_vad"})
    session.update(s2s={"version": 1, "events": ["decisions"]})
    session.say(1200)
    session.wait(3)
    session.silence(300)
    return session


def from_afar(session: Driver) -> None:
    session.hear(1200, FAR)
    session.silence(300)
    while session.core.awaits_words and session.step(-1):
        pass
    session.silence(1600)
    session.run()


def test_television_is_not_answered_but_what_is_said_again_is():
    muttering = Hypothesis("thunderstorms prefer tale", 25, 0.2)
    session = after_a_question(muttering, muttering)
    from_afar(session)
    assert len(session.of("response.created")) == 1
    assert [event["reason"] for event in session.of("s2s.decision") if event["decision"] == "passed_over"] == ["aside"]
    from_afar(session)
    assert len(session.of("response.created")) == 2


def test_a_user_who_leans_back_and_is_understood_is_answered():
    session = after_a_question(Hypothesis("and what day is it", 18, 0.9))
    from_afar(session)
    assert len(session.of("response.created")) == 2
