"""The spans of a turn, from what happens in its session and from its one set of numbers. Pure.

A span here is the answer to a turn: it begins with the user's last sound and ends when the answer has been heard. Its
times and attributes come from `TurnMetrics`, which the metrics and the log are made from, too. What the marks do not
hold (tools, interruptions) is taken from what the session is told and decides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from talkover.messages import SpeechSegment, ToolFinished, Transcript
from talkover.metrics import MarkName, TurnMetrics
from talkover.realtime.actions import (
    Action,
    BargedIn,
    Hold,
    Recognize,
    ResponseFinished,
    RunTool,
    Send,
    Speculated,
    StageError,
    StopTool,
    WentOn,
)
from talkover.realtime.fields import JsonObject
from talkover.realtime.session import Happened

MAX_REMEMBERED = 64
"""responses, items and tools of a session that may still matter; the oldest are forgotten"""

Attribute = str | int | float | bool
TOOL_ITEMS = ("function_call", "function_call_output")

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """A point in time within a span."""

    name: str
    at_s: float
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])


@dataclass(frozen=True, slots=True)
class TurnSpan:
    """A stretch of work, on the monotonic clock."""

    name: str
    start_s: float
    end_s: float
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    events: tuple[SpanEvent, ...] = ()
    error: str = ""
    """why it failed; empty: it did not"""
    children: tuple[TurnSpan, ...] = ()


Emit = Callable[[str, TurnSpan], None]
"""(trace, span): the first span of a trace is its root, later ones are the root's children. Must not block or raise."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What spans tell of a session beside its numbers."""

    session_id: str
    provider: str
    """kind of the LLM engine"""
    model: str
    with_content: bool = False
    """transcripts, too"""


@dataclass(slots=True)
class _Answer:
    """A response of which not everything is known yet."""

    response_id: str
    events: list[SpanEvent] = field(default_factory=list[SpanEvent])
    tools: list[TurnSpan] = field(default_factory=list[TurnSpan])
    text: str = ""
    turn: TurnMetrics | None = None
    heard_until_s: float = 0.0
    """when its audio will have been played, once it has ended"""


@dataclass(frozen=True, slots=True)
class _Run:
    """A tool at work."""

    name: str
    started_s: float
    answer: _Answer | None
    """that called it; None: it was called ahead"""


class TurnTracer:
    """Watches one session and emits a span for each of its responses, once that has been heard.

    What is said for the same turn of the user (after a tool, after a stop that was none) joins the trace of its first
    response.
    """

    def __init__(self, traced: Traced, emit: Emit) -> None:
        self._traced = traced
        self._emit = emit
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._traces: OrderedDict[str, str] = OrderedDict()
        """user's item or response -> its trace"""
        self._tool_items: OrderedDict[str, str] = OrderedDict()
        """call or output of a function -> the response it belongs to"""
        self._asked_s: OrderedDict[str, float] = OrderedDict()
        """user's item -> when its final transcript was asked for"""
        self._said: OrderedDict[str, str] = OrderedDict()
        self._runs: OrderedDict[int, _Run] = OrderedDict()
        self._newest: _Answer | None = None
        self._early: list[SpanEvent] = []
        """before the response that they belong to was there"""
        self._early_tools: list[TurnSpan] = []

    # ------------------------------------------------------------------------------------------------ looking on

    def happened(self, what: Happened, now_s: float) -> None:
        for answer in [answer for answer in self._answers.values() if answer.turn is not None]:
            if now_s >= answer.heard_until_s:
                self._finish(answer)
        match what:
            case Transcript(final=True) if self._traced.with_content:
                _remember(self._said, what.item_id, what.text)
            case ToolFinished():
                self._tool_ended(what.run_id, now_s, "failed" if what.failed else "")
            case _:
                pass

    def decided(self, actions: Sequence[Action], now_s: float) -> None:
        for action in actions:
            match action:
                case Send(event):
                    self._sent(event)
                case Recognize(SpeechSegment(final=True) as segment):
                    _remember(self._asked_s, segment.item_id, now_s)
                case RunTool(run_id, tool):
                    _remember(self._runs, run_id, _Run(tool.name, now_s, self._newest_open))
                case StopTool(run_id):
                    self._tool_ended(run_id, now_s, "stopped")
                case ResponseFinished(turn):
                    self._ended(turn, now_s)
                case _:
                    self._note(action, now_s)

    def closed(self) -> None:
        for answer in list(self._answers.values()):
            self._finish(answer)

    def _sent(self, event: JsonObject) -> None:
        match event["type"]:
            case "response.created":
                answer = _Answer(event["response"]["id"], self._early, self._early_tools)
                self._early, self._early_tools = [], []
                _remember(self._answers, answer.response_id, answer)
                self._newest = answer
            case "conversation.item.added" if event["item"]["type"] in TOOL_ITEMS and self._newest is not None:
                _remember(self._tool_items, event["item"]["id"], self._newest.response_id)
            case "response.output_audio_transcript.done" if self._traced.with_content:
                self._add_text(event["response_id"], event["transcript"])
            case "response.output_text.done" if self._traced.with_content:
                self._add_text(event["response_id"], event["text"])
            case _:
                pass

    def _add_text(self, response_id: str, text: str) -> None:
        if (answer := self._answers.get(response_id)) is not None:
            answer.text += text

    def _note(self, action: Action, now_s: float) -> None:
        """An event of the response that is being made, or of the next."""
        newest = self._newest
        events = self._early if newest is None or newest.response_id not in self._answers else newest.events
        match action:
            case BargedIn() if events is not self._early:
                events.append(SpanEvent("barge_in", now_s))
            case Hold(on):
                events.append(SpanEvent("held" if on else "released", now_s))
            case WentOn(reason):
                self._early.append(SpanEvent("went_on", now_s, {"talkover.reason": reason}))
            case Speculated(outcome):
                self._early.append(SpanEvent(f"speculation_{outcome}", now_s))
            case StageError(stage):
                events.append(SpanEvent("stage_error", now_s, {"talkover.stage": stage}))
            case _:
                return
        del self._early[:-MAX_REMEMBERED], events[:-MAX_REMEMBERED]

    # -------------------------------------------------------------------------------------------------- the end

    @property
    def _newest_open(self) -> _Answer | None:
        newest = self._newest
        return newest if newest is not None and newest.turn is None else None

    def _tool_ended(self, run_id: int, now_s: float, error: str) -> None:
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        attributes: dict[str, Attribute] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": run.name}
        span = TurnSpan(f"execute_tool {run.name}", run.started_s, now_s, attributes, error=error)
        if run.answer is None:
            target = self._newest_open
            (self._early_tools if target is None else target.tools).append(span)
            del self._early_tools[:-MAX_REMEMBERED]
        elif run.answer.response_id in self._answers:
            run.answer.tools.append(span)
        else:
            self._emit(self._traces.get(run.answer.response_id, run.answer.response_id), span)

    def _ended(self, turn: TurnMetrics, now_s: float) -> None:
        answer = self._answers.get(turn.response_id)
        if answer is None:
            return
        trace = self._trace_of(turn)
        _remember(self._traces, turn.response_id, trace)
        if turn.item_id is not None:
            _remember(self._traces, turn.item_id, trace)
        answer.turn = turn
        if turn.interrupted_at_ms is not None:
            heard: dict[str, Attribute] = {"talkover.interrupted_at_ms": turn.interrupted_at_ms}
            answer.events.append(SpanEvent("interrupted", now_s, heard))
        audible_s = _at_s(turn, "first_audible")
        is_cut = turn.status == "cancelled" or audible_s is None
        answer.heard_until_s = now_s if is_cut or audible_s is None else max(now_s, audible_s + turn.audio_ms / 1000)

    def _trace_of(self, turn: TurnMetrics) -> str:
        if turn.item_id is None:
            return turn.response_id
        called_by = self._tool_items.get(turn.item_id)
        return self._traces.get(called_by or turn.item_id, turn.response_id)

    def _finish(self, answer: _Answer) -> None:
        self._answers.pop(answer.response_id, None)
        if answer.turn is not None and answer.turn.zero_s is not None:
            trace = self._traces.get(answer.response_id, answer.response_id)
            asked_s = None if answer.turn.item_id is None else self._asked_s.get(answer.turn.item_id)
            span = turn_span(self._traced, answer.turn, answer.heard_until_s, asked_s)
            if self._traced.with_content:
                span = replace(span, attributes={**span.attributes, **self._content(answer, answer.turn)})
            parts = (*span.children, *answer.tools)
            start_s = min((span.start_s, *(part.start_s for part in parts)))
            end_s = max((span.end_s, *(part.end_s for part in parts)))
            events = (*span.events, *answer.events)
            self._emit(trace, replace(span, start_s=start_s, end_s=end_s, events=events, children=parts))

    def _content(self, answer: _Answer, turn: TurnMetrics) -> dict[str, Attribute]:
        said = self._said.get(turn.item_id or "", "")
        return {name: text for name, text in (("talkover.user", said), ("talkover.agent", answer.text)) if text}


def turn_span(traced: Traced, turn: TurnMetrics, ended_s: float, asked_s: float | None) -> TurnSpan:
    """The span of a response with what its marks tell of the stages.

    `ended_s`: when it was heard to its end, or cut. `asked_s`: when the recogniser was asked for the final transcript.
    """
    assert turn.zero_s is not None
    error = turn.reason or turn.status if turn.status == "failed" else ""
    ids = {
        "session.id": traced.session_id,
        "gen_ai.conversation.id": traced.session_id,
        "talkover.item.id": turn.item_id,
        "talkover.response.id": turn.response_id,
        "talkover.response.status": turn.status,
        "talkover.response.reason": turn.reason,
        "talkover.audio_ms": turn.audio_ms,
        "talkover.tts_rtf": turn.tts_rtf,
        "talkover.interrupted_at_ms": turn.interrupted_at_ms,
        **{f"talkover.{stage}_ms": added_ms for stage, added_ms in turn.stages_ms.items()},
    }
    marks = tuple(
        SpanEvent(name, turn.zero_s + at_ms / 1000, {"talkover.at_ms": at_ms}) for name, at_ms in turn.marks_ms.items()
    )
    children = tuple(_stages(traced, turn, ended_s, asked_s, error))
    attributes: dict[str, Attribute] = {name: value for name, value in ids.items() if value is not None}
    return TurnSpan("turn", turn.zero_s, max(ended_s, turn.zero_s), attributes, marks, error, children)


def _stages(traced: Traced, turn: TurnMetrics, ended_s: float, asked_s: float | None, error: str) -> list[TurnSpan]:
    spans: list[TurnSpan] = []

    def add(name: str, start_s: float | None, end_s: float | None, **attributes: Attribute | None) -> None:
        """A stage that never ended did so with its response."""
        if start_s is not None:
            known = {key: value for key, value in attributes.items() if value is not None}
            failed = error if end_s is None else ""
            spans.append(TurnSpan(name, start_s, max(start_s, ended_s if end_s is None else end_s), known, (), failed))

    speech_end_s, turn_end_s = _at_s(turn, "speech_end"), _at_s(turn, "turn_end")
    if speech_end_s is not None:
        add("endpointing", speech_end_s, turn_end_s)
        add("asr", asked_s, _at_s(turn, "transcript_final"), **{"talkover.asr_ms": turn.stages_ms.get("asr")})
    retrieval: dict[str, Attribute] = {"gen_ai.operation.name": "retrieval"}
    add("retrieval", _at_s(turn, "retrieval_started"), _at_s(turn, "retrieval_finished"), **retrieval)
    add(f"chat {traced.model}", _at_s(turn, "llm_started"), _at_s(turn, "llm_finished"), **_chat(traced, turn))
    tts: dict[str, Attribute | None] = {"talkover.tts_ttfb_ms": turn.stages_ms.get("tts_ttfb")}
    if (first_audio_s := _at_s(turn, "tts_first_audio")) is not None:
        first_text_s = _at_s(turn, "llm_first_token")
        add("tts", first_audio_s if first_text_s is None else first_text_s, _at_s(turn, "tts_finished"), **tts)
    add("playback", _at_s(turn, "first_audible"), ended_s, **{"talkover.audio_ms": turn.audio_ms})
    return spans


def _chat(traced: Traced, turn: TurnMetrics) -> dict[str, Attribute | None]:
    """By OpenTelemetry's conventions for generative AI."""
    started_ms, first_ms = turn.marks_ms.get("llm_started"), turn.marks_ms.get("llm_first_token")
    first_s = None if started_ms is None or first_ms is None else (first_ms - started_ms) / 1000
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": traced.provider,
        "gen_ai.request.model": traced.model,
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": traced.session_id,
        "gen_ai.response.id": turn.response_id,
        "gen_ai.response.time_to_first_chunk": first_s,
        "gen_ai.usage.input_tokens": turn.usage.input_tokens or None,
        "gen_ai.usage.output_tokens": turn.usage.output_tokens or None,
        "talkover.llm_ttft_ms": turn.stages_ms.get("llm_ttft"),
    }


def _at_s(turn: TurnMetrics, name: MarkName) -> float | None:
    at_ms = turn.marks_ms.get(name)
    return None if at_ms is None or turn.zero_s is None else turn.zero_s + at_ms / 1000


def _remember(known: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    known[key] = value
    while len(known) > MAX_REMEMBERED:
        known.popitem(last=False)
