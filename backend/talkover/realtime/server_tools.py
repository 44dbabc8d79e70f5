"""Server-side tools in a session: the protocol's function calls with the server as the client. No I/O.

A call of such a tool is an item of the conversation like any other, but no output of its response, so that no client
tries to answer it. `ToolRuns` decides; this writes items and events, and names what is to be said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from talkover.messages import Source, SourcesFound, ToolFinished
from talkover.realtime.actions import Interjected, NextId, Outbox, RunTool, StopTool
from talkover.realtime.consent import is_only_no, question, understood
from talkover.realtime.conversation import Conversation
from talkover.realtime.extension import Extension
from talkover.realtime.items import Item
from talkover.realtime.phrases import METADATA_KEY, bridge, remark
from talkover.realtime.response import Response
from talkover.realtime.settings import ResponsePlan
from talkover.realtime.tool_runs import (
    DECLINED,
    NOT_CONFIRMED,
    Ask,
    Bridge,
    Call,
    Ended,
    GiveUp,
    Line,
    Record,
    Start,
    Step,
    Stop,
    Tell,
    ToolLimits,
    ToolRuns,
)
from talkover.tools.tool import Toolbox
from talkover.tts.language import language_of

QUESTION_MARKS = ("?", "？")


@dataclass(frozen=True, slots=True)
class Speech:
    """A response to be started for the tools."""

    kind: Literal["bridge", "question", "result", "remark"]
    say: str | None = None
    """None: the LLM answers"""
    is_last: bool = False
    """no further calls"""
    sources: tuple[Source, ...] = ()

    def plan(self, plan: ResponsePlan) -> ResponsePlan:
        """How it is made, from how the session's responses are."""
        if self.say is not None:
            return replace(plan, tools=(), tool_choice="auto", metadata={METADATA_KEY: self.kind})
        return replace(plan, tool_choice="none" if self.is_last else "auto")


class ServerTools:
    """Calls, results, and what is said around them."""

    def __init__(
        self,
        conversation: Conversation,
        outbox: Outbox,
        extension: Extension,
        next_id: NextId,
        toolbox: Toolbox,
        limits: ToolLimits,
        session_id: str,
    ) -> None:
        self._conversation = conversation
        self._outbox = outbox
        self._extension = extension
        self._next_id = next_id
        self._toolbox = toolbox
        self._runs = ToolRuns(session_id, limits)
        self._speech: Speech | None = None
        self._question: Response | None = None
        self._result: Response | None = None
        self._user_quiet_s = 0.0
        self.language: str | None = None
        """what the client says is spoken"""

    # ------------------------------------------------------------------------------------------------ the model

    def called(self, response: Response, item: Item, now_s: float) -> None:
        """The model made a call of a server-side tool."""
        tool = self._toolbox.get(item.name or "")
        if tool is None:
            return
        self._runs.turn_is(self._turn_id())
        call = Call(item.id, item.call_id or "", tool.name, item.arguments or "{}", response.id)
        self._extension.tool("started", call, arguments=call.arguments)
        self._carry_out(self._runs.called(call, tool, now_s))
        if response.entry is not None and response.entry.filler_chars:
            self._runs.wait_was_filled()

    def called_ahead(self, name: str, arguments: str, now_s: float) -> None:
        """It would make this call if the user's turn were over."""
        tool = self._toolbox.get(name)
        if tool is not None:
            self._carry_out(self._runs.called_ahead(tool, arguments, now_s))

    def finished(self, result: ToolFinished, now_s: float) -> None:
        """A tool came to an end."""
        self._carry_out(self._runs.finished(result, now_s))

    # ------------------------------------------------------------------------------------------------- the user

    def user_said(self, text: str, quiet_since_s: float, was_heard: bool) -> bool:
        """A turn of the user. True when it was meant for a tool and wants no answer of its own.

        `was_heard`: something of the question for consent was, if there was one.
        """
        self._user_quiet_s = max(self._user_quiet_s, quiet_since_s)
        if self._runs.is_idle:
            return False
        reply = understood(text)
        run = self._runs.unconfirmed
        if run is not None and run.is_asked:
            if not was_heard:
                self._carry_out(self._runs.ask_again())
                return False
            self._question = None
            if reply == "yes":
                self._carry_out(self._runs.consented(quiet_since_s))
                return True
            self._carry_out(self._runs.refused(NOT_CONFIRMED if reply == "other" else DECLINED))
            if reply != "other" and (reply == "stop" or is_only_no(text)):
                self._speech = Speech("remark", remark("left_undone", self._language()))
                return True
            return False
        if reply == "stop" and self._runs.is_running:
            self._carry_out(self._runs.called_off())
            self._speech = Speech("remark", remark("left_undone", self._language()))
            return True
        return False

    @property
    def question(self) -> Response | None:
        """The response that asks for the user's consent, while that is open."""
        return self._question

    # ----------------------------------------------------------------------------------------------------- time

    @property
    def is_idle(self) -> bool:
        """There is nothing to run, tell or ask."""
        return self._runs.is_idle and self._speech is None

    @property
    def is_running(self) -> bool:
        return self._runs.is_running

    def step(self, is_free: bool, agent_quiet_s: float, now_s: float) -> Speech | None:
        """What is to be said now, on a free line. `agent_quiet_s`: when the agent was or will be last heard."""
        self._runs.turn_is(self._turn_id())
        if is_free and self._speech is not None:
            speech, self._speech = self._speech, None
            return speech
        return self._carry_out(self._runs.due(self._line(is_free, agent_quiet_s), now_s))

    def deadline_s(self, is_free: bool, agent_quiet_s: float) -> float | None:
        return None if self.is_idle else self._runs.next_s(self._line(is_free, agent_quiet_s))

    def begun(self, speech: Speech, response: Response) -> None:
        """What `step` asked for is being made."""
        if speech.kind == "bridge":
            response.is_interjection = True
            self._outbox.act(Interjected("bridge"))
        if speech.kind == "question":
            self._question = response
        if speech.kind == "result":
            self._result = response
            if speech.sources:
                found = SourcesFound(response.generation, response.id, f"tool_{response.id}", "web", "", speech.sources)
                self._extension.sources(response.id, found)

    def unheard(self, response: Response) -> None:
        """The user spoke before anything of a response was heard."""
        if response is self._result:
            self._carry_out(self._runs.not_heard())

    # --------------------------------------------------------------------------------------------------- inside

    def _line(self, is_free: bool, agent_quiet_s: float) -> Line:
        return Line(is_free, max(agent_quiet_s, self._user_quiet_s), self._agent_asked())

    def _agent_asked(self) -> bool:
        for entry in self._conversation.newest_first():
            if entry.item.type == "message" and entry.is_of_llm_or_user:
                return entry.item.role == "assistant" and entry.own_text.rstrip().endswith(QUESTION_MARKS)
        return False

    def _turn_id(self) -> str:
        return next((entry.item.id for entry in self._conversation.newest_first() if entry.item.role == "user"), "")

    def _language(self) -> str:
        for entry in self._conversation.newest_first():
            if entry.item.role == "user" and entry.item.text:
                return language_of(entry.item.text, entry.language or self.language)
        return language_of("", self.language)

    def _carry_out(self, steps: Iterable[Step]) -> Speech | None:
        speech: Speech | None = None
        for step in steps:
            match step:
                case Start(run):
                    timeout_s = run.deadline_s - run.started_s
                    self._outbox.act(RunTool(run.id, run.tool, run.arguments, run.key, timeout_s))
                case Stop(run):
                    self._outbox.act(StopTool(run.id))
                case Ended(call, elapsed_s):
                    state = "failed" if call.failed else "finished"
                    self._extension.tool(state, call, elapsed_ms=round(elapsed_s * 1000))
                case Record(calls, at_call):
                    for call in calls:
                        self._record(call, at_call)
                case Tell(sources, is_last):
                    speech = Speech("result", is_last=is_last, sources=sources)
                case Bridge(count):
                    speech = Speech("bridge", bridge(self._language(), count))
                case Ask(run):
                    self._extension.tool("asked", run.calls[0])
                    speech = Speech("question", question(run.tool.confirm, run.arguments))
                case GiveUp():
                    speech = Speech("remark", remark("gave_up", self._language()))
        return speech

    def _record(self, call: Call, at_call: bool) -> None:
        """The output becomes an item, the only one for its call; not when a client deleted the call."""
        if call.item_id not in self._conversation:
            return
        for entry in list(self._conversation.newest_first()):
            if entry.item.type == "function_call_output" and entry.item.call_id == call.call_id:
                self._conversation.delete(entry.item.id)
                self._outbox.send({"type": "conversation.item.deleted", "item_id": entry.item.id})
        item = Item(self._next_id("item_"), "function_call_output", call_id=call.call_id, output=call.output or "")
        previous = self._conversation.create(item, call.item_id if at_call else None)
        for event_type in ("conversation.item.added", "conversation.item.done"):
            self._outbox.send({"type": event_type, "previous_item_id": previous, "item": item.wire()})
