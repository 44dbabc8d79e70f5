"""Fillers, re-prompts and backchannels in a session: what the client gets, what the LLM gets to see, what is heard."""

from __future__ import annotations

import base64

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines, session_options
from talkover.realtime.actions import Respond
from talkover.realtime.behaviour import Manners

ALL = Manners(filler_after_ms=700, reprompt_after_ms=5000, backchannels=True)


def session(*heard: str, manners: Manners = ALL, llm: ScriptedLlm | None = None) -> Driver:
    driver = Driver(
        fake_engines(ScriptedAsr(*heard), llm or ScriptedLlm("The answer is four.", "Fine.")),
        session_options(manners=manners),
    )
    driver.turn_detection({"type": "server_vad"})
    return driver


def ask(driver: Driver) -> None:
    """A question, recognised and committed, whose answer waits in `work`."""
    driver.speak(600)
    driver.silence(240)
    while driver.core.awaits_words and driver.step(-1):
        pass
    driver.silence(300)


def transcripts(driver: Driver) -> list[str]:
    return [
        part["transcript"]
        for event in driver.of("response.done")
        for item in event["response"]["output"]
        for part in item.get("content", [])
    ]


def aside_requests(driver: Driver) -> list[str]:
    return [
        action.request.say or "" for action in driver.actions if isinstance(action, Respond) and action.lane == "aside"
    ]


def late_answer(driver: Driver) -> None:
    """The question, and time until the filler has been said; the answer is still in `work`."""
    ask(driver)
    answer = driver.work[-1]
    driver.work.clear()
    driver.wait(0.5)
    driver.run()
    driver.wait(0.5)
    driver.work.append(answer)


def test_a_late_answer_is_bridged_in_the_same_response():
    driver = session("what is two and two")
    late_answer(driver)
    assert driver.types().count("response.created") == 1
    driver.run()
    (done,) = driver.of("response.done")
    assert done["response"]["status"] == "completed"
    assert transcripts(driver) == ["Let me see. The answer is four."]


def test_the_filler_is_heard_and_never_shown_to_the_llm():
    llm = ScriptedLlm("The answer is four.", "Fine.")
    driver = session("what is two and two", "thanks", llm=llm)
    late_answer(driver)
    driver.run()
    driver.wait(5)
    driver.say()
    assistant = [message.text for message in llm.prompts[-1].messages if message.role == "assistant"]
    assert assistant == ["The answer is four."]


def test_an_answer_in_time_costs_no_filler():
    driver = session("what is two and two")
    ask(driver)
    driver.run()
    driver.wait(3)
    assert transcripts(driver) == ["The answer is four."]
    assert not aside_requests(driver)


def test_an_answer_that_overtakes_the_filler_is_spoken_alone():
    driver = session("what is two and two")
    ask(driver)
    driver.wait(0.5)
    assert aside_requests(driver) == ["Let me see."]
    driver.step(0)
    driver.run()
    driver.wait(0.5)
    driver.run()
    assert transcripts(driver) == ["The answer is four."]


def test_who_interrupts_the_filler_is_still_owed_an_answer():
    driver = session("what is two and two", "hello")
    late_answer(driver)
    driver.work.clear()
    driver.speak(700)
    (done,) = driver.of("response.done")
    assert done["response"]["status"] == "cancelled"
    driver.run()
    driver.end_turn()
    assert driver.types().count("response.created") == 2


def test_the_filler_comes_in_the_language_of_the_question():
    driver = session("二加二是多少")
    late_answer(driver)
    assert aside_requests(driver) == ["我看看。"]


def test_a_silent_user_is_asked_in_the_conversation_and_the_llm_does_not_know():
    llm = ScriptedLlm("The answer is four.", "Fine.")
    driver = session("what is two and two", "yes", llm=llm)
    driver.say()
    driver.silence(9000)
    driver.run()
    created = driver.last("response.created")["response"]
    assert created["metadata"] == {"s2s": "reprompt"}
    assert created["conversation_id"] is not None
    assert transcripts(driver)[-1] == "Are you still there?"
    driver.silence(2000)
    driver.say()
    assert "Are you still there?" not in [message.text for message in llm.prompts[-1].messages]


def test_a_silent_user_is_asked_twice_at_most():
    driver = session("what is two and two")
    driver.say()
    for _ in range(6):
        driver.silence(6000)
        driver.run()
    assert transcripts(driver)[1:] == ["Are you still there?", "Can you hear me? Take your time."]
    assert driver.closed is None


def test_the_call_ends_after_the_last_re_prompt_where_that_is_wanted():
    driver = session("what is two and two", manners=Manners(reprompt_after_ms=3000, max_reprompts=1, hangs_up=True))
    driver.say()
    for _ in range(6):
        driver.silence(4000)
        driver.run()
    assert driver.closed == (1000, "the user is silent")
    assert transcripts(driver)[-1].endswith("goodbye for now.")


def test_talking_over_a_re_prompt_stops_it_and_answers_only_what_was_said():
    driver = session("what is two and two", "stop")
    driver.say()
    driver.silence(9000)
    while not driver.of("response.created")[-1]["response"]["metadata"]:
        driver.step()
    driver.run(12)
    driver.speak(700)
    driver.run()
    assert driver.last("response.done")["response"]["status"] in ("cancelled", "completed")
    driver.end_turn()
    assert driver.types().count("response.created") == 3


def long_story(driver: Driver) -> None:
    """Speech of 5 s with a pause in it, an "and" before it."""
    driver.speak(3000)
    driver.run()
    driver.speak(2000)
    driver.silence(540)
    driver.run()


def test_a_backchannel_is_out_of_the_conversation_and_stops_nothing():
    driver = session("i went to the market and then and")
    driver.turn_detection({"type": "semantic_vad"})
    long_story(driver)
    (created,) = driver.of("response.created")
    assert created["response"]["conversation_id"] is None
    assert created["response"]["metadata"] == {"s2s": "backchannel"}
    assert transcripts(driver) == ["Mm-hm."]
    assert not driver.of("conversation.item.added")
    assert not driver.of("input_audio_buffer.speech_stopped")
    driver.speak(600)
    assert driver.types().count("input_audio_buffer.speech_started") == 1
    driver.silence(6000)
    driver.run()
    assert driver.types().count("input_audio_buffer.committed") == 1


def test_a_client_may_truncate_a_backchannel():
    driver = session("i went to the market and then and")
    driver.turn_detection({"type": "semantic_vad"})
    long_story(driver)
    item_id = driver.last("response.output_item.done")["item"]["id"]
    (reply,) = driver.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=60)
    assert reply["type"] == "conversation.item.truncated"


def test_the_turn_ends_when_it_would_without_the_backchannel():
    ends = []
    for manners in (ALL, Manners()):
        driver = session("i went to the market and then and", manners=manners)
        driver.turn_detection({"type": "semantic_vad"})
        long_story(driver)
        driver.silence(6000)
        ends.append(driver.last("input_audio_buffer.speech_stopped")["audio_end_ms"])
        assert bool(driver.of("response.output_audio.delta")) == manners.backchannels
    assert ends[0] == ends[1]


def test_a_client_of_the_extension_chooses_its_manners():
    driver = session("what is two and two", manners=Manners())
    update = driver.update(s2s={"version": 1, "events": ["decisions"], "manners": {"filler_after_ms": 700}})
    assert update[-1]["session"]["s2s"]["manners"]["filler_after_ms"] == 700
    late_answer(driver)
    said = [event for event in driver.of("s2s.decision") if event["decision"] == "said_filler"]
    assert [event["text"] for event in said] == ["Let me see."]
    assert base64.b64decode(driver.last("response.output_audio.delta")["delta"])


def test_manners_that_make_no_sense_are_refused():
    driver = session()
    (error,) = driver.update(s2s={"version": 1, "manners": {"filler_after_ms": 5}})
    assert error["error"]["param"] == "session.s2s.manners.filler_after_ms"
