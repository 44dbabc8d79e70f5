"""Answers made before the turn is certain to be over: used when they fit, and without any trace when they do not."""

from __future__ import annotations

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines
from talkover.engines import LlmCall, LlmFinished
from talkover.messages import FunctionTool
from talkover.realtime.actions import Commit, Respond, Speculated


def driver(*heard: str, answers: tuple = ()) -> Driver:
    session = Driver(fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers)))
    session.turn_detection({"type": "semantic_vad", "eagerness": "low"})
    return session


def outcomes(session: Driver) -> list[str]:
    return [action.outcome for action in session.actions if isinstance(action, Speculated)]


def likely_over(session: Driver, speech_ms: float = 600) -> None:
    """Speech, and silence enough for a guess only."""
    session.speak(speech_ms)
    session.silence(240)
    session.run()


def test_the_answer_is_made_in_the_pause_and_sent_when_the_turn_is_over():
    session = driver("What time is it", answers=("It is noon.",))
    likely_over(session)
    assert len(session.engines.llm.prompts) == 1
    assert not session.of("response.created")
    session.silence(1200)
    assert session.of("response.created")
    session.run()
    assert session.last("response.done")["response"]["status"] == "completed"
    assert len(session.engines.llm.prompts) == 1
    assert outcomes(session) == ["begun", "used"]
    assert session.engines.llm.prompts[0].messages[-1].text == "What time is it"


def test_it_is_thrown_away_when_the_user_goes_on():
    session = driver("What time is it", "What time is it in Boston", answers=("It is noon.", "It is six."))
    likely_over(session)
    session.speak(600)
    session.end_turn()
    session.silence(1000)
    session.run()
    assert outcomes(session) == ["begun", "discarded", "begun", "used"]
    assert len(session.of("response.created")) == 1
    assert "six" in session.last("response.output_audio_transcript.done")["transcript"]
    assert "noon" not in str(session.events)


def test_at_most_three_tries_a_turn():
    session = driver(*["the train to Boston"] * 6)
    for _ in range(6):
        likely_over(session)
        session.silence(400)
        session.run()
    assert outcomes(session).count("begun") == 3
    session.silence(1600)
    session.run()
    assert session.last("response.done")["response"]["status"] == "completed"


def test_unfinished_words_are_not_worth_an_answer():
    session = driver("Tell me about the")
    likely_over(session)
    assert outcomes(session) == []


def test_a_conversation_that_took_another_way_is_answered_anew():
    session = driver("What time is it", answers=("It is noon.", "It is six."))
    likely_over(session)
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "The user is in Boston."}]}
    session.send("conversation.item.create", item=item)
    session.silence(1200)
    session.run()
    assert outcomes(session) == ["begun", "discarded"]
    assert "six" in session.last("response.output_audio_transcript.done")["transcript"]


def test_a_function_is_not_called_before_the_turn_is_over():
    call = (LlmCall(0, "open_door", "{}"), LlmFinished("tool_calls"))
    session = driver("Open the door", answers=(call,))
    session.update(tools=[{"type": "function", "name": "open_door"}])
    assert session.core is not None
    likely_over(session)
    assert session.engines.llm.prompts[0].tools == (FunctionTool("open_door"),)
    assert not session.of("response.function_call_arguments.done")
    session.silence(1200)
    session.run()
    assert session.last("response.function_call_arguments.done")["name"] == "open_door"


def test_nothing_is_prepared_when_no_answer_will_follow():
    session = driver("What time is it")
    session.turn_detection({"type": "semantic_vad", "create_response": False})
    likely_over(session)
    assert not any(isinstance(action, Respond) for action in session.actions)


def test_what_a_client_takes_back_is_thrown_away():
    session = driver("What time is it")
    likely_over(session)
    session.send("input_audio_buffer.clear")
    session.silence(1500)
    session.run()
    assert outcomes(session) == ["begun", "discarded"]
    assert not any(isinstance(action, Commit) for action in session.actions)
    assert not session.of("response.created")
