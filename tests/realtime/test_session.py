"""Protocol rules of a session: client events in, server events out, one test per rule."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from fakes import Driver, ScriptedLlm, fake_engines, session_options
from session_talk import DELTAS, SPOKEN_TURN, driver, error_of, speaking_session, text_turn
from talkover.engines import EngineFailed, Hypothesis
from talkover.messages import PromptMessage
from talkover.realtime.actions import ReplaceRecognizer
from talkover.realtime.settings import SessionSettings, TurnDetection

# -------------------------------------------------------------------------------------------------------------- session


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


# --------------------------------------------------------------------------------------------------------- spoken turns


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


# ---------------------------------------------------------------------------------------------------------------- items


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


# ------------------------------------------------------------------------------------------------------- manual commits


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


# --------------------------------------------------------------------------------------------------------------- idling


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


# ------------------------------------------------------------------------------------------------------------ extension


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
