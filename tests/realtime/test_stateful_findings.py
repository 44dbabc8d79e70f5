"""What the stateful test (`tests/never_stuck.py`) has found in the session, one test each."""

from __future__ import annotations

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines
from talkover.engines import LlmFinished, Usage


def session(*texts: str, llm: ScriptedLlm | None = None) -> Driver:
    return Driver(fake_engines(ScriptedAsr(*texts), llm))


def test_a_model_that_gives_nothing_has_failed():
    driver = session("What is the time", llm=ScriptedLlm([LlmFinished("stop", Usage(3, 0, 0))]))
    driver.say()
    response = driver.last("response.done")["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["message"] == "The model gave no answer"
