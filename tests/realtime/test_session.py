"""Protocol rules of a session: client events in, server events out, one test per rule."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, session_options
from talkover.engines import EngineFailed, Hypothesis, LlmCall, LlmFinished, LlmText
from talkover.messages import FunctionTool, PromptMessage
from talkover.realtime.actions import ReplaceLane, ReplaceRecognizer
from talkover.realtime.settings import SessionSettings, TurnDetection

SPOKEN_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.input_audio_transcription.completed",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
DELTAS = (
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "conversation.item.input_audio_transcription.delta",
)


def driver(*heard: str | Exception, answers: tuple = (), **options: object) -> Driver:
    engines = fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers))
    return Driver(engines, session_options(**options))


def error_of(events: list[dict]) -> dict:
    assert [event["type"] for event in events] == ["error"], events
    return events[0]["error"]


def text_turn(session: Driver, text: str = "Hello?") -> list[dict]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    before = len(session.events)
    session.send("conversation.item.create", item=item)
    session.send("response.create")
    session.run()
    return session.events[before:]


# ---------------------------------------------------------------------------------------------------------- session


def test_session_created_is_first_and_complete():
    session = driver()
    assert session.types() == ["session.created"]
    created = session.events[0]["session"]
    assert created["id"].startswith("sess_")
    assert created["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert created["audio"]["input"]["transcription"] is None
    assert created["instructions"] == "Be brief."


def test_every_event_has_its_own_id():
    session = driver("Hello")
    session.say()
    ids = [event["event_id"] for event in session.events]
    assert len(set(ids)) == len(ids)
    assert all(event_id.startswith("event_") for event_id in ids)


def test_update_is_confirmed_even_when_nothing_changes():
    session = driver()
    assert session.types(session.update()) == ["session.updated"]


def test_a_refused_update_changes_nothing():
    session = driver()
    replies = session.update(instructions="New.", audio={"output": {"speed": 9}})
    assert error_of(replies)["param"] == "session.audio.output.speed"
    assert session.update()[0]["session"]["instructions"] == "Be brief."


def test_errors_carry_the_clients_event_id():
    session = driver()
    error = error_of(session.send("conversation.item.delete", item_id="nowhere", event_id="mine"))
    assert error["event_id"] == "mine"
    assert error["code"] == "item_delete_invalid_item_id"
    assert set(error) == {"type", "code", "message", "param", "event_id"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [("{", "invalid_json"), ("[]", "invalid_event"), (b"\x00", "invalid_event"), ('{"type": "x"}', "invalid_value")],
)
def test_malformed_frames_are_answered_and_survived(frame: str | bytes, code: str):
    session = driver()
    assert error_of(session.send_raw(frame))["code"] == code
    assert session.types(session.update()) == ["session.updated"]


def test_the_session_ends_when_its_time_is_over():
    session = driver(lifetime_s=60)
    session.wait(59)
    assert session.closed is None
    assert error_of(session.wait(2))["code"] == "session_expired"
    assert session.closed == (1001, "session expired")


# ----------------------------------------------------------------------------------------------------- spoken turns


def test_a_spoken_turn_in_the_documented_order():
    session = driver("What time is it", answers=("It is noon.",))
    session.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    events = session.say()
    assert [kind for kind in session.types(events) if kind not in DELTAS] == SPOKEN_TURN
    completed = session.last("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == "What time is it"
    assert completed["usage"]["type"] == "duration"
    assert session.last("response.done")["response"]["status"] == "completed"
    assert session.engines.llm.prompts[0].messages == (PromptMessage("user", "What time is it"),)


def test_one_item_id_from_speech_started_to_the_item():
    session = driver("Hello")
    session.say()
    item_id = session.last("input_audio_buffer.speech_started")["item_id"]
    assert session.last("input_audio_buffer.speech_stopped")["item_id"] == item_id
    assert session.last("input_audio_buffer.committed")["item_id"] == item_id
    assert session.of("conversation.item.added")[0]["item"]["id"] == item_id


def test_speech_times_are_on_the_audio_clock_and_integers():
    session = driver("Hello")
    session.silence(1000)
    session.speak(600)
    session.silence(700)
    started, stopped = (
        session.last("input_audio_buffer.speech_started"),
        session.last("input_audio_buffer.speech_stopped"),
    )
    assert isinstance(started["audio_start_ms"], int)
    assert abs(started["audio_start_ms"] - (1000 - 300)) < 70  # prefix padding included
    assert abs(stopped["audio_end_ms"] - (1600 + 500)) < 70


def test_audio_faster_than_real_time_gives_the_same_turns():
    paced, burst = driver("Hello"), driver("Hello")
    paced.silence(500)
    paced.say()
    samples = np.concatenate([np.zeros(12000), 0.5 * np.sin(np.arange(14400) * 0.1), np.zeros(16800)])
    payload = base64.b64encode((samples * 32767).astype("<i2").tobytes()).decode()
    burst.send("input_audio_buffer.append", audio=payload)
    for name in ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"):
        times = [
            {key: value for key, value in session.last(name).items() if key.endswith("_ms")}
            for session in (paced, burst)
        ]
        assert times[0] == times[1]


def test_a_cough_is_no_turn():
    session = driver()
    session.speak(60)
    session.silence(800)
    session.run()
    assert session.types() == ["session.created"]


def test_an_empty_transcript_is_completed_and_not_answered():
    session = driver("")
    session.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    events = session.say()
    assert session.last("conversation.item.input_audio_transcription.completed")["transcript"] == ""
    assert "response.created" not in session.types(events)


def test_create_response_false_commits_without_answering():
    session = driver("Hello")
    session.turn_detection({"type": "server_vad", "create_response": False})
    events = session.say()
    assert "input_audio_buffer.committed" in session.types(events)
    assert "response.created" not in session.types(events)


def test_a_failed_recognition_is_told_and_apologised_for():
    session = driver(EngineFailed("no ears"))
    session.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    session.say()
    failure = session.last("conversation.item.input_audio_transcription.failed")["error"]
    assert failure["code"] == "asr_error"
    assert None not in failure.values()
    assert "could not hear" in session.last("response.output_audio_transcript.done")["transcript"]
    assert not session.of("error")


def test_a_recognizer_that_never_answers_is_replaced():
    session = driver("Hello", asr_timeout_s=5)
    session.speak(600)
    session.silence(700)
    session.work.clear()
    session.wait(6)
    assert any(isinstance(action, ReplaceRecognizer) for action in session.actions)
    session.run()
    assert session.last("response.done")["response"]["status"] == "completed"


def test_the_user_going_on_after_a_likely_end_is_one_turn():
    session = driver("first half", "first half and second half")
    session.speak(500)
    session.silence(300)  # the final transcript of the first half is asked for
    session.run()
    session.speak(500)
    session.silence(700)
    session.run()
    assert len(session.of("input_audio_buffer.committed")) == 1
    assert session.engines.llm.prompts[-1].messages == (PromptMessage("user", "first half and second half"),)


def test_two_utterances_in_a_row_get_one_answer():
    session = driver("First question", "and a second one")
    session.speak(500)
    session.silence(700)
    session.speak(500)  # the transcript of the first is still awaited
    session.silence(700)
    session.run()
    assert len(session.of("input_audio_buffer.committed")) == 2
    assert len(session.of("response.created")) == 1
    texts = [message.text for message in session.engines.llm.prompts[-1].messages]
    assert texts == ["First question", "and a second one"]


# --------------------------------------------------------------------------------------------------------- barge-in


def speaking_session(**engine_options: object) -> Driver:
    """A session in the middle of a long answer."""
    story = "One two three four five six seven eight nine ten. " * 10
    engines = fake_engines(
        ScriptedAsr("Tell me a story", "Stop"), ScriptedLlm(story, "Fine."), ToneTts(**engine_options)
    )
    session = Driver(engines)
    session.say()
    return session


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


# -------------------------------------------------------------------------------------------------------- responses


def test_a_text_turn_is_spoken_by_default():
    session = driver(answers=("Hello you.",))
    events = text_turn(session)
    assert session.types(events)[:3] == ["conversation.item.added", "conversation.item.done", "response.created"]
    assert "".join(e["delta"] for e in session.of("response.output_audio_transcript.delta")) == "Hello you."
    audio = b"".join(base64.b64decode(event["delta"]) for event in session.of("response.output_audio.delta"))
    assert len(audio) == 10 * 20 * 48


def test_text_modality_has_no_audio_events():
    session = driver(answers=("Hello you.",))
    session.update(output_modalities=["text"])
    events = text_turn(session)
    assert not [kind for kind in session.types(events) if "audio" in kind]
    assert "".join(event["delta"] for event in session.of("response.output_text.delta")) == "Hello you."
    assert session.last("response.output_text.done")["text"] == "Hello you."
    assert session.last("response.content_part.added")["part"] == {"type": "text", "text": ""}


def test_deltas_add_up_to_the_done_event():
    session = driver(answers=("One sentence. Another one, longer than that. And a third!",))
    text_turn(session)
    whole = "".join(event["delta"] for event in session.of("response.output_audio_transcript.delta"))
    assert whole == session.last("response.output_audio_transcript.done")["transcript"]
    assert whole == session.last("response.done")["response"]["output"][0]["content"][0]["transcript"]


def test_a_second_response_is_refused_while_one_is_active():
    session = driver(answers=("One.", "Two."))
    session.send("response.create")
    error = error_of(session.send("response.create"))
    assert error["code"] == "conversation_already_has_active_response"
    session.run()
    assert len(session.of("response.done")) == 1


def test_cancel_without_an_active_response():
    error = error_of(driver().send("response.cancel"))
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")


def test_cancel_ends_the_response_at_once():
    session = driver(answers=("One two three four. " * 10,))
    session.send("response.create")
    session.run(10)
    kinds = session.types(session.send("response.cancel"))
    assert kinds[-1] == "response.done"
    done = session.last("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert not session.run()


def test_a_response_without_output_is_cancelled_with_an_empty_list():
    session = driver()
    session.send("response.create")
    session.send("response.cancel")
    assert session.last("response.done")["response"]["output"] == []


def test_usage_is_null_only_in_created():
    session = driver(answers=("Hi.",))
    text_turn(session)
    assert session.last("response.created")["response"]["usage"] is None
    usage = session.last("response.done")["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (10, 5, 15)
    assert usage["input_token_details"]["cached_tokens_details"]["audio_tokens"] == 0


def test_metadata_is_echoed_and_overrides_hold_for_one_response():
    session = driver(answers=("A.", "B."))
    session.send(
        "response.create",
        response={"metadata": {"client_event_id": "7"}, "instructions": "Whisper.", "output_modalities": ["text"]},
    )
    session.run()
    assert session.last("response.created")["response"]["metadata"] == {"client_event_id": "7"}
    assert session.last("response.done")["response"]["output_modalities"] == ["text"]
    assert session.engines.llm.prompts[-1].instructions == "Whisper."
    text_turn(session)
    assert session.engines.llm.prompts[-1].instructions == "Be brief."


def test_input_replaces_the_conversation_as_context():
    session = driver(answers=("A.", "B.", "C."))
    text_turn(session, "Remember me")
    kept = session.of("conversation.item.added")[0]["item"]["id"]
    session.send("response.create", response={"input": []})
    session.run()
    assert session.engines.llm.prompts[-1].messages == ()
    session.send("response.create", response={"input": [{"type": "item_reference", "id": kept}]})
    session.run()
    assert session.engines.llm.prompts[-1].messages == (PromptMessage("user", "Remember me"),)
    error = error_of(session.send("response.create", response={"input": [{"type": "item_reference", "id": "gone"}]}))
    assert error["param"] == "response.input[0].id"


def test_out_of_band_responses_leave_the_conversation_alone():
    session = driver(answers=("Aside.",))
    before = len(session.events)
    session.send("response.create", response={"conversation": "none", "output_modalities": ["text"]})
    session.run()
    assert not [kind for kind in session.types(session.events[before:]) if kind.startswith("conversation.")]
    assert session.last("response.done")["response"]["conversation_id"] is None


def test_out_of_band_runs_beside_the_active_response():
    session = driver(answers=("Main.", "Aside."))
    session.send("response.create")
    session.send("response.create", response={"conversation": "none"})
    assert len(session.of("response.created")) == 2
    session.run()
    assert len(session.of("response.done")) == 2


def test_speech_does_not_interrupt_out_of_band_responses():
    session = driver("Hello", answers=("Aside one two three. " * 10, "Fine."))
    session.send("response.create", response={"conversation": "none"})
    session.run(5)
    session.say()
    statuses = {event["response"]["id"]: event["response"]["status"] for event in session.of("response.done")}
    assert list(statuses.values()) == ["completed", "completed"]


def test_out_of_band_responses_are_bounded():
    session = driver()
    for _ in range(9):
        session.send("response.create", response={"conversation": "none"})
    error_of(session.send("response.create", response={"conversation": "none"}))
    session.run()
    assert len(session.of("response.done")) == 9


def test_a_failed_llm_is_told_and_apologised_for():
    session = driver(answers=(EngineFailed("the endpoint refused"),))
    text_turn(session)
    done = session.last("response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["code"] == "llm_error"
    assert "Sorry" in done["output"][0]["content"][0]["transcript"]
    assert not session.of("error")


def test_a_failed_tts_fails_the_response():
    session = Driver(fake_engines(llm=ScriptedLlm("Hello."), tts=ToneTts(fails=True)))
    text_turn(session)
    assert session.last("response.done")["response"]["status_details"]["error"]["code"] == "tts_error"
    session.engines.tts.fails = False
    text_turn(session)
    assert session.last("response.done")["response"]["status"] == "completed"


def test_a_hanging_response_is_given_up_and_its_lane_replaced():
    session = driver(response_timeout_s=20)
    session.send("response.create")
    session.work.clear()
    session.wait(21)
    assert session.last("response.done")["response"]["status"] == "failed"
    assert any(isinstance(action, ReplaceLane) for action in session.actions)


def test_length_limit_makes_the_response_incomplete():
    session = driver(answers=([LlmText("Half a sen"), LlmFinished("length")],))
    text_turn(session)
    done = session.last("response.done")["response"]
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["status"] == "incomplete"


# ------------------------------------------------------------------------------------------------------------ tools

TOOL = {"type": "function", "name": "weather", "description": "Weather", "parameters": {"type": "object"}}


def calling_session() -> Driver:
    answer = [
        LlmText("One moment. "),
        LlmCall(0, "weather", '{"city":'),
        LlmCall(0, "", '"Rome"}'),
        LlmFinished("tool_calls"),
    ]
    session = driver(answers=(answer, "It is sunny."))
    session.update(tools=[TOOL])
    text_turn(session)
    return session


def test_a_function_call_after_a_spoken_preamble():
    session = calling_session()
    done = session.last("response.done")["response"]
    assert done["status"] == "completed"
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    finished = session.last("response.function_call_arguments.done")
    assert (finished["output_index"], finished["name"]) == (1, "weather")
    assert json.loads(finished["arguments"]) == {"city": "Rome"}
    assert len(finished["call_id"]) <= 32
    assert session.engines.llm.prompts[0].tools == (FunctionTool("weather", "Weather", {"type": "object"}),)
    kinds = session.types()
    added = [i for i, e in enumerate(session.events) if e["type"] == "conversation.item.added"][-1]
    assert added < kinds.index("response.function_call_arguments.done")


def test_the_output_of_a_call_reaches_the_next_prompt():
    session = calling_session()
    call_id = session.last("response.function_call_arguments.done")["call_id"]
    item = {"type": "function_call_output", "call_id": call_id, "output": "sunny"}
    session.send("conversation.item.create", item=item)
    session.send("response.create")
    session.run()
    assert [type(message).__name__ for message in session.engines.llm.prompts[-1].messages] == [
        "PromptMessage",
        "PromptMessage",
        "PromptCall",
        "PromptCallOutput",
    ]


def test_the_output_of_an_unknown_call_is_refused():
    item = {"type": "function_call_output", "call_id": "call_none", "output": ""}
    assert error_of(driver().send("conversation.item.create", item=item))["param"] == "item.call_id"


# ------------------------------------------------------------------------------------------------------------ items


def test_items_are_inserted_where_the_client_says():
    session = driver()
    for item_id, previous in (("a", None), ("b", "root"), ("c", "a")):
        item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": item_id}]}
        session.send("conversation.item.create", item=item, **({"previous_item_id": previous} if previous else {}))
    assert [event["previous_item_id"] for event in session.of("conversation.item.added")] == [None, None, "a"]
    session.send("response.create")
    session.run()
    assert [message.text for message in session.engines.llm.prompts[0].messages] == ["b", "a", "c"]


def test_an_id_may_be_used_again_after_deletion_only():
    session = driver()
    item = {"id": "a", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    session.send("conversation.item.create", item=item)
    assert error_of(session.send("conversation.item.create", item=item))["param"] == "item.id"
    assert session.types(session.send("conversation.item.delete", item_id="a")) == ["conversation.item.deleted"]
    assert session.types(session.send("conversation.item.create", item=item))[0] == "conversation.item.added"


def test_a_created_audio_item_is_transcribed_before_it_is_answered():
    session = driver("Spoken elsewhere", answers=("Yes.",))
    audio = base64.b64encode(bytes(48000)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
    session.send("conversation.item.create", item=item)
    session.send("response.create")
    assert session.types()[-1] == "response.created"
    session.run()
    assert session.engines.llm.prompts[0].messages == (PromptMessage("user", "Spoken elsewhere"),)


def test_retrieve_returns_the_input_audio():
    session = driver("Hello")
    session.say()
    item_id = session.last("input_audio_buffer.committed")["item_id"]
    item = session.send("conversation.item.retrieve", item_id=item_id)[0]["item"]
    assert item["content"][0]["transcript"] == "Hello"
    duration_ms = len(base64.b64decode(item["content"][0]["audio"])) / 48
    assert 1000 < duration_ms < 1800


# ------------------------------------------------------------------------------------------------- manual commits


def manual(*heard: str, **options: object) -> Driver:
    session = driver(*heard, **options)
    session.turn_detection(None)
    return session


def test_without_turn_detection_the_client_commits_and_asks():
    session = manual("Hello there", answers=("Hi.",))
    session.speak(500)
    assert session.types()[-1] == "session.updated"
    kinds = session.types(session.send("input_audio_buffer.commit"))
    assert kinds == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    session.run()
    assert not session.of("response.created")
    session.send("response.create")
    session.run()
    assert session.engines.llm.prompts[0].messages == (PromptMessage("user", "Hello there"),)


def test_response_create_right_after_commit_waits_for_the_transcript():
    session = manual("Hello there")
    session.speak(500)
    session.send("input_audio_buffer.commit")
    assert session.types(session.send("response.create")) == ["response.created"]
    session.run()
    assert session.engines.llm.prompts[0].messages == (PromptMessage("user", "Hello there"),)


def test_a_commit_needs_100_ms():
    session = manual("Hello")
    session.speak(80)
    assert error_of(session.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
    session.speak(20)
    assert session.types(session.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"


def test_clear_drops_the_buffer():
    session = manual("Hello")
    session.speak(500)
    assert session.types(session.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert error_of(session.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


def test_commit_during_speech_ends_the_segment_with_its_item_id():
    session = driver("Hello")
    session.speak(600)
    item_id = session.last("input_audio_buffer.speech_started")["item_id"]
    session.send("input_audio_buffer.commit")
    session.run()
    assert session.last("input_audio_buffer.committed")["item_id"] == item_id
    assert not session.of("input_audio_buffer.speech_stopped")
    assert not session.of("response.created")


def test_switching_turn_detection_off_during_speech_keeps_the_audio():
    session = driver("Hello")
    session.speak(600)
    session.turn_detection(None)
    session.silence(700)
    assert not session.of("input_audio_buffer.speech_stopped")
    assert session.types(session.send("input_audio_buffer.commit"))[0] == "input_audio_buffer.committed"
    session.run()
    item_id = session.last("input_audio_buffer.committed")["item_id"]
    item = session.send("conversation.item.retrieve", item_id=item_id)[0]["item"]
    assert item["content"][0]["transcript"] == "Hello"
    assert len(base64.b64decode(item["content"][0]["audio"])) / 48 > 1200


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_g711_in_and_out(kind: str):
    session = driver("Hello", answers=("Hi there.",))
    session.update(audio={"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}})
    text_turn(session)
    audio = b"".join(base64.b64decode(event["delta"]) for event in session.of("response.output_audio.delta"))
    assert abs(len(audio) - 9 * 20 * 8) <= 2


# --------------------------------------------------------------------------------------------------------- idling


def test_idle_timeout_prompts_the_user_three_times():
    detection = TurnDetection(idle_timeout_ms=5000)
    session = Driver(
        fake_engines(llm=ScriptedLlm(*["Hm?"] * 9)), session_options(settings=SessionSettings(turn_detection=detection))
    )
    text_turn(session)
    for _ in range(6):
        session.wait(0.1)
        session.wait(6)
        session.run()
        session.wait(1)
    assert len(session.of("input_audio_buffer.timeout_triggered")) == 3
    assert session.engines.llm.prompts[-1].messages[-2:] == (
        PromptMessage("assistant", "Hm?"),
        PromptMessage("user", ""),
    )


def test_the_idle_timeout_waits_for_the_audio_still_to_be_played():
    detection = TurnDetection(idle_timeout_ms=5000)
    session = Driver(
        fake_engines(llm=ScriptedLlm("One two three four five. " * 20)),
        session_options(settings=SessionSettings(turn_detection=detection)),
    )
    text_turn(session)  # 10 s of audio
    session.wait(0.1)
    session.wait(12)
    assert not session.of("input_audio_buffer.timeout_triggered")
    session.wait(4)
    assert session.of("input_audio_buffer.timeout_triggered")


# ------------------------------------------------------------------------------------------------------- extension


def test_foreign_events_only_after_opting_in():
    session = driver("Hello", answers=("Hi there you.",))
    session.say()
    assert not [kind for kind in session.types() if kind.startswith("s2s.")]
    session.update(s2s={"version": 1, "events": ["input_transcript", "metrics", "words", "state", "bogus"]})
    assert session.last("session.updated")["session"]["s2s"]["events"] == [
        "input_transcript",
        "metrics",
        "words",
        "state",
    ]
    assert session.of("s2s.session.info")
    session.engines.asr.texts.append("Hello again")
    session.say()
    assert session.last("s2s.input_transcript.updated")["text"] == "Hello again"
    assert session.last("s2s.turn.metrics")["voice_to_voice_ms"] >= 500
    words = [word for event in session.of("s2s.response.words") for word in event["words"]]
    transcript = session.last("response.output_audio_transcript.done")["transcript"]
    assert [transcript[word["start"] : word["end"]] for word in words] == transcript.split()


def test_how_something_was_said_is_told_to_the_responder_and_to_who_asked():
    angry = Hypothesis("Again", 5, 0.9, "en", "angry", ("cough",))
    session = driver(angry, "Hello", answers=("Sorry.", "Hi."))
    session.update(s2s={"version": 1, "events": ["input_transcript"]})
    session.say()
    tags = session.last("s2s.input_transcript.tags")
    assert (tags["language"], tags["emotion"], tags["events"]) == ("en", "angry", ["cough"])
    assert tags["item_id"] == session.last("input_audio_buffer.committed")["item_id"]
    assert session.engines.llm.prompts[-1].messages[-1].emotion == "angry"
    session.say()
    assert len(session.of("s2s.input_transcript.tags")) == 1


def test_reported_playback_sharpens_what_was_heard():
    session = speaking_session()
    session.update(s2s={"version": 1, "events": ["words"]})
    item_id = session.last("response.done")["response"]["output"][0]["id"]
    session.now_s += 2.0
    session.send("s2s.playback.updated", item_id=item_id, audio_played_ms=270, ended=False)
    session.speak(260)
    heard = session.last("s2s.item.heard")
    assert heard["item_id"] == item_id
    assert heard["transcript"] in ("One two three", "One two three four", "One two three four five")


def test_clearing_the_buffer_while_undecided_lets_the_agent_speak_on():
    session = speaking_session()
    session.update(s2s={"version": 1, "events": ["playback"]})
    session.speak(100)
    session.send("input_audio_buffer.clear")
    assert [event["gain"] for event in session.of("s2s.playback.gain")] == [0.25, 1.0]


def test_a_typed_question_is_still_owed_after_a_cough():
    session = driver("", answers=("Never heard.", "Noon."))
    session.send("response.create")
    session.say()
    statuses = [event["response"]["status"] for event in session.of("response.done")]
    assert statuses == ["cancelled", "completed"]
