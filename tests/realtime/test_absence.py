"""A client that loses its socket: nothing is heard while it is away, and the agent goes on at the first word missed."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, session_options
from talkover.realtime.actions import OfferResume
from talkover.realtime.session import Attached, Detached
from talkover.realtime.settings import SessionSettings

STORY = "One two three four five six seven eight nine ten. " * 6
GROUPS = ["resume", "playback", "words"]


def session(*answers: str, heard: tuple[str, ...] = ("Tell me a story",), **options: Any) -> Driver:
    """A client that asked for the extension."""
    engines = fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers), ToneTts())
    driver = Driver(engines, session_options(**options))
    driver.update(s2s={"version": 1, "events": GROUPS})
    return driver


def telling(sent: int = 60) -> Driver:
    """The agent in the middle of a story."""
    driver = session(STORY, "Fine.")
    driver.speak(600)
    driver.silence(240)
    while driver.core.awaits_words and driver.step(-1):
        pass
    driver.silence(1000)
    driver.run(sent)
    return driver


def lose(driver: Driver) -> list[dict[str, Any]]:
    before = len(driver.events)
    driver.handle(Detached())
    assert driver.core.wait_s(driver.now_s) > 1, "nothing is due while nobody is there"
    return driver.events[before:]


def come_back(driver: Driver) -> list[dict[str, Any]]:
    before = len(driver.events)
    driver.handle(Attached())
    return driver.events[before:]


def spoken(driver: Driver) -> list[dict[str, Any]]:
    return [event["item"] for event in driver.of("response.output_item.done") if event["item"]["type"] == "message"]


def heard_words(driver: Driver) -> list[str]:
    """What the LLM gets to see of the agent's words."""
    entries = driver.core._conversation.entries()
    return " ".join(entry.own_text for entry in entries if entry.item.role == "assistant").split()


def test_a_token_is_offered_to_those_who_ask_for_it_and_once():
    driver = session()
    driver.update(instructions="Be kind.")
    assert sum(isinstance(action, OfferResume) for action in driver.actions) == 1
    stock = Driver()
    stock.update(instructions="Be kind.")
    assert not any(isinstance(action, OfferResume) for action in stock.actions)


def test_nothing_is_said_while_the_client_is_away_and_no_word_is_lost_or_doubled():
    driver = telling()
    driver.wait(1.0)
    lose(driver)
    assert driver.held
    away = driver.wait(8.0)
    driver.run()
    assert not [event for event in away if event["type"].startswith("response.")]
    back = come_back(driver)
    assert driver.types(back)[:2] == ["session.updated", "s2s.session.resumed"]
    assert driver.held
    driver.wait(1.1)
    assert not driver.held
    driver.run()
    driver.wait(60)
    assert driver.last("response.done")["response"]["status"] == "completed"
    assert heard_words(driver) == STORY.split()


def test_the_client_knows_best_where_it_stopped():
    driver = telling()
    driver.wait(2.0)
    item_id = driver.core._conversation.newest_spoken_id
    lose(driver)
    driver.wait(3.0)
    come_back(driver)
    before = len(driver.events)
    driver.send("s2s.playback.updated", item_id=item_id, audio_played_ms=500, ended=True)
    assert not driver.held, "the wait ends with the client's word"
    (rest,) = [event for event in driver.events[before:] if event["type"] == "response.created"]
    driver.run()
    words = [event for event in driver.events[before:] if event["type"].endswith("transcript.delta")]
    assert rest["response"]["id"] == words[0]["response_id"]
    heard = driver.core._conversation.get(item_id).heard_text
    assert " ".join([heard, *(event["delta"].strip() for event in words)]).split() == STORY.split()
    assert len(heard) < 40


def test_who_reports_has_heard_no_more_than_a_moment_after_its_last_report():
    """The server learns of a dead line late; what it sent meanwhile was not heard."""
    driver = telling()
    driver.wait(1.0)
    item_id = driver.core._conversation.newest_spoken_id
    driver.send("s2s.playback.updated", item_id=item_id, audio_played_ms=1000, ended=False)
    driver.run(20)
    driver.wait(4.0)
    lose(driver)
    entry = driver.core._conversation.get(item_id)
    assert entry.heard_chars == entry.ledger.heard_chars(1500)


def test_an_answer_of_which_nothing_was_heard_is_given_when_the_client_is_back():
    driver = session("The whole answer.", "The whole answer.", heard=())
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Well?"}]}
    driver.send("conversation.item.create", item=item)
    driver.send("response.create", response={"metadata": {"topic": "weather"}})
    lose(driver)
    driver.work.clear()
    assert not driver.wait(3)
    come_back(driver)
    driver.wait(0.1)
    driver.run()
    done = driver.last("response.done")["response"]
    assert (done["status"], done["metadata"]) == ("completed", {"topic": "weather"})
    assert done["output"][0]["content"][0]["transcript"] == "The whole answer."


def test_a_turn_understood_while_the_client_is_away_is_answered_when_it_is_back():
    driver = session("Here I am.", heard=("Are you there",))
    driver.speak(600)
    driver.silence(700)
    lose(driver)
    assert "response.created" not in driver.types(driver.run())
    come_back(driver)
    driver.wait(0.1)
    driver.run()
    assert spoken(driver)[-1]["content"][0]["transcript"] == "Here I am."


def test_an_utterance_goes_on_where_the_client_sends_on():
    driver = session("I see.", heard=("One long sentence",))
    driver.speak(400)
    lose(driver)
    driver.wait(5)
    (resumed,) = [event for event in come_back(driver) if event["type"] == "s2s.session.resumed"]
    assert resumed["input_audio_ms"] == 400
    driver.speak(400)
    driver.silence(700)
    driver.run()
    (started,) = driver.of("input_audio_buffer.speech_started")
    (stopped,) = driver.of("input_audio_buffer.speech_stopped")
    assert stopped["item_id"] == started["item_id"]
    assert stopped["audio_end_ms"] >= 1200


def test_speaking_at_once_is_an_interruption_as_ever():
    driver = telling()
    driver.wait(1.0)
    lose(driver)
    driver.wait(2.0)
    come_back(driver)
    driver.engines.asr.texts.append("Stop")
    driver.say()
    driver.wait(2.0)
    driver.run()
    assert spoken(driver)[-1]["content"][0]["transcript"] == "Fine."


def test_the_conversation_is_told_with_what_was_heard():
    driver = telling()
    driver.wait(1.0)
    lose(driver)
    resumed = come_back(driver)[1]
    user, story = resumed["items"]
    assert (user["role"], user["content"][0]["transcript"]) == ("user", "Tell me a story")
    assert story["status"] == "incomplete"
    heard = resumed["heard_chars"][story["id"]]
    assert 0 < heard < len(story["content"][0]["transcript"])
    assert resumed["spoken_item_id"] == story["id"]


def test_a_long_conversation_is_told_as_far_as_an_event_holds_it():
    driver = session()
    for _ in range(5):
        text = "x" * 200_000
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        driver.send("conversation.item.create", item=item)
    lose(driver)
    resumed = come_back(driver)[1]
    assert (len(resumed["items"]), resumed["items_left_out"]) == (3, 2)


def test_a_written_answer_goes_on_being_written():
    driver = session("Word by word.", heard=())
    driver.update(output_modalities=["text"])
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Write."}]}
    driver.send("conversation.item.create", item=item)
    driver.send("response.create")
    driver.run(2)
    lose(driver)
    driver.run()
    assert come_back(driver)[1]["items"][-1]["content"][0]["text"] == "Word by word."


@pytest.mark.parametrize("moment", ["asking", "hanging up"])
def test_nobody_is_asked_whether_they_are_there_or_hung_up_on_while_they_are_away(moment: str):
    manners = {"reprompt_after_ms": 2000, "max_reprompts": 1 if moment == "asking" else 0, "hangs_up": True}
    driver = session("Hello.", heard=("Hi",))
    driver.update(s2s={"version": 1, "events": GROUPS, "manners": manners})
    driver.say()
    driver.run()
    driver.silence(1500)
    lose(driver)
    away = driver.wait(30)
    assert not away
    assert driver.closed is None


def test_the_session_expires_also_while_the_client_is_away():
    driver = session(lifetime_s=20, settings=SessionSettings())
    lose(driver)
    driver.wait(30)
    assert driver.closed == (1001, "session expired")
