"""Protocol rules of responses and the functions they call, one test per rule."""

from __future__ import annotations

import base64
import json

from fakes import Driver, ScriptedLlm, ToneTts, fake_engines
from session_talk import driver, error_of, text_turn
from talkover.engines import EngineFailed, LlmCall, LlmFinished, LlmText
from talkover.messages import FunctionTool, PromptMessage
from talkover.realtime.actions import ReplaceLane
from talkover.realtime.phrases import remark

# ------------------------------------------------------------------------------------------------------------ responses


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
    session.run()
    done = session.last("response.done")["response"]
    assert done["status"] == "failed"
    assert [item["content"][0]["transcript"] for item in done["output"]] == [remark("broke_down", "en")]
    assert any(isinstance(action, ReplaceLane) for action in session.actions)


def test_length_limit_makes_the_response_incomplete():
    session = driver(answers=([LlmText("Half a sen"), LlmFinished("length")],))
    text_turn(session)
    done = session.last("response.done")["response"]
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["status"] == "incomplete"


# ---------------------------------------------------------------------------------------------------------------- tools


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
