"""Protocol rules of speaking over the agent, one test per rule."""

from __future__ import annotations

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines
from session_talk import driver, error_of, speaking_session, text_turn


def test_barge_in_closes_open_parts_before_response_done():
    engines = fake_engines(ScriptedAsr("Tell me a story", "Stop"), ScriptedLlm("One two three four five six. " * 20))
    session = Driver(engines)
    session.speak(600)
    session.silence(700)
    session.run(40)  # in the middle of the answer
    before = len(session.events)
    session.speak(400)
    kinds = [kind for kind in session.types(session.events[before:]) if "delta" not in kind]
    assert kinds == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    done = session.last("response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert done["usage"]["total_tokens"] == 0


def test_nothing_of_an_interrupted_response_follows_its_done():
    engines = fake_engines(ScriptedAsr("Tell me a story", "Stop"), ScriptedLlm("One two three four five six. " * 20))
    session = Driver(engines)
    session.speak(600)
    session.silence(700)
    session.run(40)
    session.speak(400)
    interrupted = session.last("response.done")["response"]["id"]
    after = len(session.events)
    session.run()
    assert not [event for event in session.events[after:] if event.get("response_id") == interrupted]


def test_only_heard_words_enter_the_next_prompt():
    session = speaking_session()
    session.wait(0.5)
    started = session.now_s
    session.say()
    message = session.engines.llm.prompts[-1].messages[1]
    assert message.role == "assistant"
    assert message.cut_off
    heard_ms = (started - 100.0) * 1000
    assert 0 < len(message.text) < 200
    assert message.text.startswith("One two three")
    assert len(message.text) * 20 < heard_ms + 700


def test_a_client_that_truncates_decides_what_was_heard():
    session = speaking_session()
    session.wait(0.5)
    session.speak(400)
    item_id = session.last("response.done")["response"]["output"][0]["id"]
    replies = session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=300)
    assert replies[0]["type"] == "conversation.item.truncated"
    assert replies[0]["audio_end_ms"] == 300
    retrieved = session.send("conversation.item.retrieve", item_id=item_id)[0]["item"]
    assert retrieved["content"][0]["transcript"] == "One two three"  # 13 characters at 20 ms
    session.end_turn()
    assert session.engines.llm.prompts[-1].messages[1].text == "One two three"


def test_truncation_beyond_the_audio_is_clamped_or_refused():
    session = driver(answers=("Hi there.",))
    text_turn(session)
    item_id = session.last("response.done")["response"]["output"][0]["id"]
    sent_ms = 9 * 20
    replies = session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=sent_ms + 500)
    assert replies[0]["audio_end_ms"] == sent_ms
    replies = session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=sent_ms + 1500)
    assert error_of(replies)["param"] == "audio_end_ms"


def test_truncation_needs_audio_of_the_model():
    session = driver()
    item = {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    session.send("conversation.item.create", item=item)
    replies = session.send("conversation.item.truncate", item_id="mine", content_index=0, audio_end_ms=0)
    assert error_of(replies)["code"] == "unsupported_content_type"
    replies = session.send("conversation.item.truncate", item_id="gone", content_index=0, audio_end_ms=0)
    assert error_of(replies)["code"] == "item_truncate_invalid_item_id"


def test_a_short_noise_over_the_agent_changes_nothing():
    session = speaking_session()
    before = len(session.events)
    session.speak(100)
    session.silence(600)
    session.run()
    assert not session.held
    assert {kind for kind in session.types(session.events[before:]) if not kind.startswith("response.")} == set()


def test_a_microphone_that_stops_in_the_middle_of_a_sound_leaves_our_page_ducked_for_two_seconds_at_most():
    session = speaking_session()
    session.update(s2s={"version": 1, "events": ["playback"]})
    session.speak(100)
    assert [event["gain"] for event in session.of("s2s.playback.gain")] == [0.25]
    session.wait(2.5)
    session.silence(600)
    assert [event["gain"] for event in session.of("s2s.playback.gain")] == [0.25, 1.0]


def test_our_page_is_ducked():
    session = speaking_session()
    session.update(s2s={"version": 1, "events": ["playback"]})
    session.speak(100)
    session.silence(600)
    assert not session.held
    assert [event["gain"] for event in session.of("s2s.playback.gain")] == [0.25, 1.0]


def test_interrupt_response_false_keeps_speaking_and_answers_afterwards():
    engines = fake_engines(ScriptedAsr("First", "Second"), ScriptedLlm("One two three. " * 30, "Fine."))
    session = Driver(engines)
    session.turn_detection({"type": "server_vad", "interrupt_response": False})
    session.speak(600)
    session.silence(700)
    session.run(40)
    session.speak(600)
    session.silence(240)
    while session.core.awaits_words and session.step(-1):  # the newest work is recognition
        pass
    session.silence(460)
    assert len(session.of("response.created")) == 1
    assert not session.of("response.done")
    session.run()
    assert [event["response"]["status"] for event in session.of("response.done")] == ["completed", "completed"]


def test_an_answer_nobody_heard_is_still_owed_after_a_cough():
    session = driver("What time is it", "", answers=("Never heard.", "Noon."))
    session.speak(600)
    session.silence(700)
    while not session.of("response.created"):
        session.step()
    session.say()  # a cough before any audio
    statuses = [event["response"]["status"] for event in session.of("response.done")]
    assert statuses == ["cancelled", "completed"]
