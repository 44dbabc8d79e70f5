"""Nothing is recorded before the user has heard that it will be, and nothing after they refused."""

from __future__ import annotations

import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, session_options
from talkover.engines import EngineFailed
from talkover.realtime.actions import Record
from talkover.realtime.phrases import remark
from talkover.realtime.recording_refusal import refuses, says_only_that

SENTENCE = "This call is recorded."
GROUPS = {"version": 1, "events": ["recording"]}


def call(*heard: str, answers: tuple = (), sentence: str | None = SENTENCE, **options: object) -> Driver:
    engines = fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers), ToneTts(ms_per_char=10))
    return Driver(engines, session_options(recording=sentence, **options))


def told(session: Driver) -> Driver:
    """The sentence has been heard to its end."""
    session.update(s2s=GROUPS)
    session.wait(0.3)
    session.run()
    session.wait(1.0)
    return session


def records(session: Driver) -> list[Record]:
    return [action for action in session.actions if isinstance(action, Record)]


def said(session: Driver) -> list[str]:
    return [event["transcript"] for event in session.of("response.output_audio_transcript.done")]


def test_the_sentence_is_heard_before_anything_is_recorded():
    session = call()
    session.update(s2s=GROUPS)
    session.wait(0.3)
    session.run()
    assert said(session) == [SENTENCE]
    assert not records(session)
    session.wait(0.1)
    assert not records(session)  # 220 ms of speech are still being heard
    session.wait(0.15)
    assert records(session) == [Record(True)]
    assert session.last("s2s.recording.updated")["recording"] is True


def test_a_client_that_says_nothing_is_told_too():
    session = call()
    session.wait(1.1)
    session.run()
    session.wait(1.0)
    assert said(session) == [SENTENCE]
    assert records(session) == [Record(True)]


def test_the_greeting_follows_the_sentence():
    session = call(greeting="Good morning.")
    told(session)
    session.run()
    assert said(session) == [SENTENCE, "Good morning."]


def test_an_empty_sentence_is_not_said_and_no_sentence_records_nothing():
    session = told(call(sentence=""))
    assert records(session) == [Record(True)]
    assert not said(session)
    session = told(call(sentence=None))
    assert not records(session)
    (error,) = session.update(s2s={"version": 1, "recording": True})
    assert error["error"]["param"] == "session.s2s.recording"


def test_talking_over_the_sentence_does_not_stop_it():
    session = call("Hello?", sentence="This call is recorded, and kept for a while. " * 4)
    session.update(s2s=GROUPS)
    session.wait(0.3)
    session.run()
    session.speak(600)
    assert session.last("response.done")["response"]["status"] == "completed"
    assert not records(session)
    session.end_turn()
    assert records(session) == []
    session.wait(2.0)
    session.run()
    assert records(session) == [Record(True)]
    assert said(session)[1:] == ["Fine."]


def test_a_sentence_that_was_cut_short_is_said_again_and_given_up_at_last():
    session = call()
    session.update(s2s=GROUPS)
    for attempt in range(1, 4):
        session.wait(1.1)
        session.run()
        assert said(session) == [SENTENCE] * attempt
        item_id = session.last("response.done")["response"]["output"][0]["id"]
        session.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=40)
    assert records(session) == [Record(False, erase=True)]
    session.wait(30)
    session.run()
    assert len(said(session)) == 3


def test_a_voice_that_fails_is_no_notice():
    engines = fake_engines(tts=ToneTts())
    engines.tts.fails = True
    session = Driver(engines, session_options(recording=SENTENCE))
    for _ in range(6):
        session.wait(1.5)
        session.run()
    assert records(session) == [Record(False, erase=True)]


def test_a_client_that_cancels_it_hears_it_again():
    session = call()
    session.update(s2s=GROUPS)
    session.wait(0.3)
    session.run(3)
    session.send("response.cancel")
    assert not records(session)
    session.wait(1.1)
    session.run()
    session.wait(1.0)
    assert said(session)[-1] == SENTENCE
    assert records(session) == [Record(True)]


def test_no_ends_the_recording_and_is_acknowledged_without_the_model():
    session = told(call("No."))
    session.say()
    assert records(session) == [Record(True), Record(False, erase=True)]
    assert said(session) == [SENTENCE, remark("not_recorded", "en")]
    session.wait(5)
    session.run()
    assert len(said(session)) == 2
    assert session.last("s2s.recording.updated") | {"event_id": ""} == {
        "type": "s2s.recording.updated",
        "event_id": "",
        "recording": False,
        "reason": "refused",
    }
    session.update(s2s={"recording": True})
    assert len(records(session)) == 2


def test_a_no_later_on_is_an_ordinary_answer():
    session = told(call("Hello there.", "No."))
    session.say()
    session.wait(3)
    session.say()
    assert records(session) == [Record(True)]


def test_a_refusal_with_a_question_is_acknowledged_and_the_question_answered():
    session = told(call("Please do not record me, and tell me when you open on Sundays.", answers=("At nine.",) * 2))
    session.say()
    session.run()
    assert said(session) == [SENTENCE, remark("not_recorded", "en"), "At nine."]


def test_the_sentence_is_none_of_the_models_words():
    session = told(call("Hello there."))
    session.say()
    (prompt,) = session.engines.llm.prompts
    assert [message.text for message in prompt.messages] == ["Hello there."]


def test_a_written_refusal_counts():
    session = told(call())
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Stop recording."}]}
    session.send("conversation.item.create", item=item)
    assert records(session)[-1] == Record(False, erase=True)


def test_a_client_switches_recording_off_and_on_again():
    session = told(call())
    session.update(s2s={"recording": False})
    session.update(s2s={"recording": True})
    assert records(session) == [Record(True), Record(False), Record(True)]


def test_a_client_that_wants_no_recording_is_not_bothered():
    session = call()
    session.update(s2s=GROUPS | {"recording": False})
    session.wait(5)
    session.run()
    assert not said(session)
    assert not records(session)
    assert session.last("session.updated")["session"]["s2s"]["recording"] is False


def test_the_sign_reaches_a_client_that_asks_later():
    session = call(sentence="")
    session.update()
    session.wait(0.3)
    assert not session.of("s2s.recording.updated")
    session.update(s2s=GROUPS)
    assert session.last("s2s.recording.updated")["recording"] is True


def test_a_failing_recogniser_refuses_nothing():
    session = told(call())
    session.engines.asr.texts.append(EngineFailed("deaf"))
    session.say()
    assert records(session) == [Record(True)]


@pytest.mark.parametrize(
    "text",
    [
        "Please don't record this call.",
        "Stop recording me.",
        "I don't want to be recorded",
        "Turn off the recording",
        "I'd like that without being recorded.",
        "Bitte nicht aufzeichnen.",
        "Ich möchte nicht, dass das Gespräch aufgenommen wird.",
        "Nehmen Sie das bitte nicht auf.",
        "Keine Aufnahme bitte",
        "请不要录音",
        "别录音。",
        "我不同意录音",
        "No quiero que me graben.",
        "No me grabe, por favor.",
        "Ne m'enregistrez pas.",
        "Je ne veux pas être enregistré",
    ],
)
def test_refusals_at_any_time(text: str):
    assert refuses(text, is_reply=False)


@pytest.mark.parametrize(
    "text",
    ["No.", "No thanks", "Nein danke.", "不行", "我不同意", "Non.", "I'd rather not.", "Lieber nicht", "Je refuse"],
)
def test_refusals_as_a_reply_only(text: str):
    assert refuses(text, is_reply=True)
    assert not refuses(text, is_reply=False)


@pytest.mark.parametrize(
    "text",
    [
        "Yes.",
        "No problem, go ahead.",
        "Okay, when do you open?",
        "I don't mind.",
        "Kein Problem.",
        "没问题",
        "Never mind.",
        "Do you have the recording of last night's concert?",
        "Ich habe nichts dagegen.",
    ],
)
def test_what_is_no_refusal(text: str):
    assert not refuses(text, is_reply=True)


def test_a_short_refusal_wants_no_answer_of_its_own():
    assert says_only_that("No, please don't record me.")
    assert says_only_that("请不要录音")
    assert not says_only_that("Please do not record me, and tell me when you open on Sundays.")
