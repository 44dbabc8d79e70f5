"""A client that can pause: undecided means paused at the sample, not thrown away. And what it is told of decisions."""

from __future__ import annotations

import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines
from talkover.pipeline.ledger import Playback

STORY = "One two three four five six seven eight nine ten. " * 6
GROUPS = ["pause", "playback", "decisions"]


def telling(*heard: str, sent: int = 60) -> Driver:
    """The agent in the middle of a story told to our page; `heard` is what comes over it."""
    driver = Driver(fake_engines(ScriptedAsr("Tell me a story", *heard), ScriptedLlm(STORY, "Fine.")))
    driver.turn_detection({"type": "semantic_vad"})
    driver.update(s2s={"version": 1, "events": GROUPS})
    driver.speak(600)
    driver.silence(240)
    while driver.core.awaits_words and driver.step(-1):
        pass
    driver.silence(1000)
    driver.run(sent)
    driver.silence(300)
    return driver


def pause(driver: Driver) -> None:
    """Voice over the agent until it yields."""
    before = len(driver.of("s2s.playback.pause"))
    for _ in range(60):
        driver.speak(20)
        if len(driver.of("s2s.playback.pause")) > before:
            return
    raise AssertionError(driver.types()[-20:])


def understand(driver: Driver) -> None:
    """Silence in which only recognition works."""
    driver.silence(240)
    while driver.core.awaits_words and driver.step(-1):
        pass
    driver.silence(300)


def decisions(driver: Driver) -> list[tuple[str, str]]:
    return [(event["decision"], event["reason"]) for event in driver.of("s2s.decision")]


def test_a_backchannel_pauses_the_page_and_nothing_else():
    driver = telling("uh-huh")
    pause(driver)
    assert driver.held
    driver.speak(100)
    understand(driver)
    assert not driver.held
    after = driver.types()[driver.types().index("s2s.playback.pause") :]
    assert "s2s.playback.resume" in after
    assert not {"input_audio_buffer.speech_started", "response.done", "response.created"} & set(after)
    assert decisions(driver)[-3:] == [("ducked", "voice"), ("yielded", "voice"), ("went_on", "backchannel")]
    driver.run()
    (done,) = driver.of("response.done")
    assert done["response"]["status"] == "completed"
    assert done["response"]["output"][0]["content"][0]["transcript"].split() == STORY.split()


def test_a_command_is_announced_with_its_true_beginning_and_ends_the_answer():
    driver = telling("Stop")
    pause(driver)
    paused_at_ms = driver.of("s2s.decision")[-1]["at_ms"]
    driver.speak(100)
    understand(driver)
    assert driver.last("response.done")["response"]["status_details"]["reason"] == "turn_detected"
    types = driver.types()
    first_started = types.index("input_audio_buffer.speech_started")
    started = types.index("input_audio_buffer.speech_started", first_started + 1)
    assert types.index("s2s.playback.pause") < started < types.index("response.done")
    assert driver.events[started]["audio_start_ms"] < paused_at_ms
    assert not driver.held
    assert ("stopped", "command") in decisions(driver)


def test_playback_that_was_paused_goes_on_from_where_it_was():
    playback = Playback()
    playback.sent("item", 2000, 10.0)
    playback.pause(10.5)
    assert not playback.is_audible(11.0)
    assert playback.played_ms("item", 13.0) == 500
    playback.sent("item", 1000, 12.0)
    playback.reported("item", 480, False, 12.5)
    playback.resume(14.0)
    assert playback.played_ms("item", 14.0) == pytest.approx(480)
    assert playback.played_ms("item", 15.0) == pytest.approx(1480)
    assert playback.ends_s() == pytest.approx(14.0 + 2.52)


def test_stopping_what_is_paused_keeps_what_was_heard():
    playback = Playback()
    playback.sent("item", 2000, 10.0)
    playback.pause(10.5)
    assert playback.stop(12.0) == ["item"]
    assert playback.played_ms("item", 20.0) == 500
    assert not playback.is_paused


def test_a_pause_without_further_audio_ends_by_itself():
    driver = telling("uh-huh")
    pause(driver)
    driver.wait(9.0)
    assert driver.held
    driver.wait(1.1)
    assert driver.of("s2s.playback.resume")
    assert not driver.held


def test_cancelling_what_is_paused_silences_it_for_good():
    driver = telling("uh-huh")
    pause(driver)
    driver.send("response.cancel")
    assert driver.last("response.done")["response"]["status"] == "cancelled"
    assert not driver.held
    driver.silence(2000)
    assert not driver.of("s2s.playback.resume")


def test_clearing_the_audio_lets_it_go_on():
    driver = telling("uh-huh")
    pause(driver)
    driver.send("input_audio_buffer.clear")
    assert driver.of("s2s.playback.resume")
    assert not driver.held


def test_sensitivity_to_interruptions_is_tuned_in_the_running_call():
    voiced_ms = []
    for barge_in_ms in (96, 640):
        driver = telling("uh-huh")
        driver.update(s2s={"version": 1, "barge_in_ms": barge_in_ms})
        pause(driver)
        voiced_ms.append(driver.of("s2s.decision")[-1]["after_ms"])
    assert voiced_ms[0] <= 200
    assert 640 <= voiced_ms[1] <= 800
    (error,) = driver.update(s2s={"version": 1, "barge_in_ms": 5})
    assert error["error"]["param"] == "session.s2s.barge_in_ms"


def test_the_end_of_a_turn_says_how_long_it_waited():
    driver = telling()
    ended = driver.of("s2s.decision")[0]
    assert (ended["decision"], ended["reason"]) == ("turn_ended", "silence")
    assert 200 <= ended["after_ms"] <= 1300
    assert 0 <= ended["finished"] <= 1
