"""The spans of a turn: from its own numbers, in one tree, and without a word of what was said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fakes import Driver, ScriptedAsr, ScriptedLlm, fake_engines, session_options
from talkover.engines import EngineFailed, LlmCall
from talkover.messages import ToolFinished
from talkover.realtime.actions import ResponseFinished, RunTool
from talkover.realtime.settings import SessionSettings
from talkover.realtime.turn_trace import MAX_REMEMBERED, Traced, TurnSpan, TurnTracer
from talkover.tools.functions import function_tool
from talkover.tools.tool import Toolbox

SAID, ANSWER = "what is the secret", "The secret is a blue lamp."


def look_up(word: str) -> str:
    """What a word means."""
    return word


@dataclass
class TracedDriver(Driver):
    """A session by hand that is watched."""

    with_content: bool = False
    emitted: list[tuple[str, TurnSpan]] = field(default_factory=list)

    def __post_init__(self) -> None:
        traced = Traced("sess_1", "scripted", "fake-model", self.with_content)
        self.tracer = TurnTracer(traced, lambda trace, span: self.emitted.append((trace, span)))
        super().__post_init__()

    def handle(self, happened: Any) -> None:
        self.tracer.happened(happened, self.now_s)
        actions = self.core.handle(happened, self.now_s)
        self.tracer.decided(actions, self.now_s)
        self._do(actions)

    def finish(self) -> list[TurnSpan]:
        """All spans, once everything has been heard."""
        self.wait(30)
        self.tracer.closed()
        return [span for _, span in self.emitted]


def talking(*heard: str, answers: tuple[Any, ...] = (ANSWER,), **more: Any) -> TracedDriver:
    return TracedDriver(fake_engines(ScriptedAsr(*heard), ScriptedLlm(*answers)), **more)


def child(span: TurnSpan, name: str) -> TurnSpan:
    (found,) = [part for part in span.children if part.name == name]
    return found


def everything(span: TurnSpan) -> str:
    return repr(span)


def test_a_spoken_turn_has_a_span_for_each_stage_with_the_times_of_its_marks() -> None:
    session = talking(SAID)
    session.update(s2s={"version": 1, "events": ["metrics"]})
    session.say()
    (turn,) = session.finish()
    told = session.last("s2s.turn.metrics")
    assert [part.name for part in turn.children] == ["endpointing", "asr", "chat fake-model", "tts", "playback"]
    assert turn.attributes["session.id"] == "sess_1"
    assert turn.attributes["talkover.item.id"] == told["item_id"]
    assert turn.attributes["talkover.response.id"] == told["response_id"]
    assert turn.attributes["talkover.response.status"] == "completed"
    for stage in ("endpointing", "asr", "llm_ttft", "tts_ttfb", "voice_to_voice"):
        assert turn.attributes[f"talkover.{stage}_ms"] == told[f"{stage}_ms"]
    marks = {event.name: event.attributes.get("talkover.at_ms") for event in turn.events}
    assert marks.items() >= told["marks_ms"].items()
    endpointing = child(turn, "endpointing")
    assert round((endpointing.end_s - endpointing.start_s) * 1000) == told["endpointing_ms"]
    playback = child(turn, "playback")
    assert playback.end_s - playback.start_s >= told["audio_ms"] / 1000 - 1e-6
    chat = child(turn, "chat fake-model").attributes
    assert chat["gen_ai.operation.name"] == "chat"
    assert chat["gen_ai.provider.name"] == "scripted"
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (10, 5)
    assert all(turn.start_s <= part.start_s <= part.end_s for part in turn.children)
    assert turn.end_s == max(part.end_s for part in turn.children)


def test_what_was_said_is_in_no_span_unless_it_is_asked_for() -> None:
    silent, telling = (talking(SAID, with_content=allowed) for allowed in (False, True))
    for session in (silent, telling):
        session.say()
    (without,), (with_content,) = silent.finish(), telling.finish()
    assert "secret" not in everything(without)
    assert with_content.attributes["talkover.user"] == SAID
    assert with_content.attributes["talkover.agent"] == ANSWER


def test_a_span_waits_until_the_answer_has_been_heard() -> None:
    session = talking(SAID)
    session.say()
    assert [event["response"]["status"] for event in session.of("response.done")] == ["completed"]
    assert session.emitted == []
    session.wait(0.3)
    assert len(session.emitted) == 0
    session.wait(2)
    session.wait(0)
    assert len(session.emitted) == 1


def test_an_interruption_is_an_event_and_ends_the_playback() -> None:
    story = "One two three four five six seven eight nine ten. " * 10
    session = talking("Tell me a story", "Stop at once please", answers=(story, "Fine."))
    session.speak(600)
    session.run()
    session.silence(240)
    session.run()
    session.silence(460)
    session.run(40)
    session.speak(700)
    cut_s = session.now_s
    session.end_turn()
    first, second = session.finish()
    assert first.attributes["talkover.response.status"] == "cancelled"
    assert "interrupted" in [event.name for event in first.events]
    assert child(first, "playback").end_s <= cut_s
    assert first.attributes["talkover.interrupted_at_ms"] > 0
    assert second.attributes["talkover.response.status"] == "completed"
    traces = [trace for trace, _ in session.emitted]
    assert len(set(traces)) == 2


def test_a_tool_and_what_follows_it_are_in_the_trace_of_the_question() -> None:
    calls = (LlmCall(0, "look_up", '{"word": "lamp"}'),)
    tool = function_tool(look_up)
    settings = SessionSettings(instructions="Be brief.", server_tools=(tool.definition,))
    options = session_options(toolbox=Toolbox([tool]), settings=settings)
    session = TracedDriver(fake_engines(ScriptedAsr(SAID), ScriptedLlm(calls, ANSWER)), options)
    session.say()
    (started,) = [action for action in session.actions if isinstance(action, RunTool)]
    session.now_s += 0.25
    session.handle(ToolFinished(started.run_id, "a light"))
    session.run()
    session.finish()
    assert len({trace for trace, _ in session.emitted}) == 1
    spans = [span for _, span in session.emitted]
    tools = [part for span in spans for part in (span, *span.children) if part.name == "execute_tool look_up"]
    (ran,) = tools
    assert ran.attributes["gen_ai.tool.name"] == "look_up"
    assert 0.25 <= ran.end_s - ran.start_s < 5
    assert "lamp" not in everything(ran)
    assert [span.name for span in spans].count("turn") == 2


def test_a_failure_is_an_error_with_its_code_and_without_its_words() -> None:
    session = talking(SAID, answers=(EngineFailed("wrong key sk-123"),))
    session.say()
    (turn,) = session.finish()
    assert turn.error == "llm_error"
    assert turn.attributes["talkover.response.status"] == "failed"
    assert "stage_error" in [event.name for event in turn.events]
    assert "sk-123" not in everything(turn)


def test_a_written_turn_counts_from_its_request() -> None:
    session = talking()
    session.update(output_modalities=["text"])
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": SAID}]}
    session.send("conversation.item.create", item=item)
    session.send("response.create")
    session.run()
    (turn,) = session.finish()
    assert [part.name for part in turn.children] == ["chat fake-model"]
    assert "talkover.voice_to_voice_ms" not in turn.attributes


def test_a_session_of_any_length_remembers_a_bounded_number() -> None:
    session = talking(answers=("Yes.",) * (3 * MAX_REMEMBERED))
    session.update(output_modalities=["text"])
    for _ in range(2 * MAX_REMEMBERED):
        session.send("response.create")
        session.run()
    finished = [action for action in session.actions if isinstance(action, ResponseFinished)]
    assert len(finished) == 2 * MAX_REMEMBERED
    session.finish()
    assert len(session.emitted) == 2 * MAX_REMEMBERED
    kept = (value for value in vars(session.tracer).values() if isinstance(value, dict | list))
    assert max(len(value) for value in kept) <= MAX_REMEMBERED
