"""What the stateful test (`tests/never_stuck.py`) has found in the session, one test each."""

from __future__ import annotations

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines
from talkover.engines import LlmFinished, Usage
from talkover.realtime.hearing import MUTED_AFTER_S


def session(*texts: str, llm: ScriptedLlm | None = None) -> Driver:
    return Driver(fake_engines(ScriptedAsr(*texts), llm))


def test_a_model_that_gives_nothing_has_failed():
    driver = session("What is the time", llm=ScriptedLlm([LlmFinished("stop", Usage(3, 0, 0))]))
    driver.say()
    response = driver.last("response.done")["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["message"] == "The model gave no answer"


def test_an_utterance_in_which_the_client_mutes_its_microphone_is_answered():
    driver = session("What is the time")
    driver.speak(600)
    driver.run()
    driver.wait(MUTED_AFTER_S + 0.1)
    driver.run()
    driver.wait(0.1)
    driver.run()
    speech = [kind for kind in driver.types() if kind.startswith("input_audio_buffer.")]
    assert speech == [f"input_audio_buffer.{kind}" for kind in ("speech_started", "speech_stopped", "committed")]
    assert driver.last("response.done")["response"]["status"] == "completed"


def test_a_stall_of_the_network_does_not_end_an_utterance():
    driver = session("What is the time")
    driver.speak(600)
    driver.wait(MUTED_AFTER_S - 0.5)
    driver.speak(600)
    assert not driver.of("input_audio_buffer.committed")
