"""Which server-side tools run, and what is to be said about them: a state machine of facts and times, without I/O.

Calls of one response are a *batch*; their results are told together, once the line is free. Work outlives what is said:
an interruption stops the agent's speech and nothing here, a new turn of the user neither. Results nobody waits for any
more (the same tool was asked again, the user has gone elsewhere for several turns, or called it off) are kept for the
history and not spoken.

A call means the same piece of work as another one of the same user turn with the same name and arguments: it is done
once. That also makes it safe to answer a turn again of which nothing was heard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from talkover.messages import Source, ToolFinished
from talkover.tools.arguments import canonical, check, decode
from talkover.tools.tool import Tool, ToolFailed, cut_output, failure_output

BRIDGE_AFTER_S = 0.7
"""a tool may take so long before the wait is filled"""
MAX_SILENCE_S = 1.15
"""the first bridge comes earlier when the user would wait longer than this altogether: 1.5 s less its synthesis"""
MIN_WAIT_S = 0.2
"""most tools answer within this; earlier than that nothing is said"""
GAPS_S = (0.7, 0.7, 0.7, 3.0, 6.0, 10.0)
"""silence after what was said last before the next bridge; later ones are rarer"""
MAX_TURNS_SINCE = 4
"""turns of the user after which a late result is not brought up any more"""
MAX_ASKED = 2
"""times consent is asked for when the question was not heard"""
MAX_AHEAD = 2
"""read-only calls that may run before the user's turn is certain to be over"""
AHEAD_KEPT_S = 15.0
"""how long the result of such a call waits for the call"""

DECLINED = "The user declined: nothing was done."
NOT_CONFIRMED = "The user did not confirm: nothing was done."
CALLED_OFF = "The user called it off."


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """How much tools may do."""

    timeout_s: float = 20.0
    """for a tool without a time of its own"""
    max_steps: int = 5
    """rounds of calls in one turn of the user"""
    max_calls: int = 8
    """tools a session runs at the same time"""


@dataclass(slots=True)
class Call:
    """A function call of the model."""

    item_id: str
    call_id: str
    name: str
    arguments: str
    batch: str
    """id of the response it belongs to"""
    output: str | None = None
    """None: not finished"""
    failed: bool = False
    sources: tuple[Source, ...] = ()


@dataclass(slots=True)
class Run:
    """A piece of work, asked for by one or more calls."""

    id: int
    tool: Tool
    arguments: dict[str, Any]
    key: str
    turn: int
    state: Literal["unconfirmed", "running", "done"]
    started_s: float = 0.0
    deadline_s: float = 0.0
    calls: list[Call] = field(default_factory=list[Call])
    asked: int = 0
    is_asked: bool = False
    """the question was put, and not answered yet"""
    finished: ToolFinished | None = None

    @property
    def is_ahead(self) -> bool:
        """Begun for a call that has not been made yet."""
        return not self.calls


@dataclass(frozen=True, slots=True)
class Line:
    """What is going on in the conversation."""

    is_free: bool
    """nobody speaks, nothing is being answered, awaited or undecided"""
    quiet_since_s: float
    """when the user or the agent was last heard; in the future while the agent still is"""
    agent_asked: bool
    """the agent's newest words wait for an answer"""


@dataclass(frozen=True, slots=True)
class Start:
    """Run it."""

    run: Run


@dataclass(frozen=True, slots=True)
class Stop:
    """Nobody wants its result any more."""

    run: Run


@dataclass(frozen=True, slots=True)
class Ended:
    """A call has its result; for the page."""

    call: Call
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """Put outputs into the conversation."""

    calls: tuple[Call, ...]
    at_call: bool
    """right behind the call, as a thing of the past; else at the end, to be told now"""


@dataclass(frozen=True, slots=True)
class Tell:
    """Have the newest outputs answered. `is_last`: without further calls."""

    sources: tuple[Source, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Bridge:
    """Fill the wait; `count` phrases did before."""

    count: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for consent."""

    run: Run


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Say that it could not be done: the model calls tools without end."""


Step = Start | Stop | Ended | Record | Tell | Bridge | Ask | GiveUp


class ToolRuns:
    """All calls of one session."""

    def __init__(self, session_id: str, limits: ToolLimits) -> None:
        self._session_id = session_id
        self._limits = limits
        self._runs: dict[int, Run] = {}
        self._batches: dict[str, list[Call]] = {}
        self._turn_id = ""
        self._turn = 0
        self._steps = 0
        self._bridges = 0
        self._exhausted = False
        self._told: tuple[Call, ...] = ()
        self._next_id = 1

    # ------------------------------------------------------------------------------------------------- what there is

    @property
    def is_running(self) -> bool:
        """The user waits for work, or may do so."""
        return any(run.state == "running" and not run.is_ahead for run in self._runs.values())

    @property
    def is_idle(self) -> bool:
        """There is nothing to be done or said."""
        return not self._runs and not self._batches

    @property
    def unconfirmed(self) -> Run | None:
        """What waits for the user's consent."""
        return next((run for run in self._runs.values() if run.state == "unconfirmed"), None)

    def turn_is(self, turn_id: str) -> None:
        """The newest message of the user; a new one brings a new budget."""
        if turn_id != self._turn_id:
            self._turn_id = turn_id
            self._turn += 1
            self._steps = 0
            self._exhausted = False

    # --------------------------------------------------------------------------------------------- what happens

    def called(self, call: Call, tool: Tool, now_s: float) -> list[Step]:
        """The model made a call."""
        if call.batch not in self._batches:
            self._batches[call.batch] = []
            self._steps += 1
        self._batches[call.batch].append(call)
        if self._steps > self._limits.max_steps:
            self._exhausted = True
            limit = self._limits.max_steps
            return self._refuse(call, f"No more than {limit} rounds of calls in one turn: answer with what there is.")
        try:
            arguments = decode(call.arguments)
            check(arguments, tool.parameters)
        except ToolFailed as error:
            return self._refuse(call, str(error))
        same = self._same(tool.name, arguments)
        if same is not None:
            same.calls.append(call)
            same.turn = self._turn
            return [] if same.finished is None else self._hand_out(same, same.finished, [call], now_s)
        if sum(run.state != "done" for run in self._runs.values()) >= self._limits.max_calls:
            return self._refuse(call, f"At most {self._limits.max_calls} tools may run at the same time.")
        run = self._new(tool, arguments)
        run.calls.append(call)
        return [] if tool.confirm else [self._start(run, now_s)]

    def called_ahead(self, tool: Tool, arguments: str, now_s: float) -> list[Step]:
        """The model would make this call if the user's turn were over: begin it when it changes nothing."""
        ahead = sum(run.is_ahead and run.state == "running" for run in self._runs.values())
        if not tool.read_only or tool.confirm or ahead >= MAX_AHEAD:
            return []
        try:
            values = decode(arguments)
            check(values, tool.parameters)
        except ToolFailed:
            return []
        return [] if self._same(tool.name, values) else [self._start(self._new(tool, values), now_s)]

    def finished(self, result: ToolFinished, now_s: float) -> list[Step]:
        """A run came to an end; one that was given up is not waited for."""
        run = self._runs.get(result.run_id)
        if run is None or run.state != "running":
            return []
        run.state, run.finished = "done", result
        return self._hand_out(run, result, run.calls, now_s)

    def consented(self, now_s: float) -> list[Step]:
        """The user said yes."""
        run = self.unconfirmed
        return [] if run is None else [self._start(run, now_s)]

    def refused(self, reason: str) -> list[Step]:
        """The user said no, or something else: the call is settled and behind us."""
        run = self.unconfirmed
        return [] if run is None else self._settle(run, reason)

    def ask_again(self) -> list[Step]:
        """The question was not heard."""
        run = self.unconfirmed
        if run is None or not run.is_asked:
            return []
        run.is_asked = False
        return self._settle(run, NOT_CONFIRMED) if run.asked >= MAX_ASKED else []

    def called_off(self) -> list[Step]:
        """The user wants none of it any more."""
        steps: list[Step] = []
        for run in [run for run in self._runs.values() if run.calls and not self._is_told(run)]:
            steps += self._settle(run, CALLED_OFF)
        return steps

    def not_heard(self) -> list[Step]:
        """The user spoke before anything of the newest results was heard: they are told again, after that."""
        for call in self._told:
            self._batches.setdefault(call.batch, []).append(call)
        self._told = ()
        return []

    def wait_was_filled(self) -> None:
        """Something was said while the call was still being made: the next bridge is not the first."""
        if self.is_running:
            self._bridges = max(self._bridges, 1)

    # -------------------------------------------------------------------------------------------------- time

    def due(self, line: Line, now_s: float) -> list[Step]:
        """What is to be done now. At most one step of it says something, and only on a free line."""
        steps: list[Step] = []
        for run in list(self._runs.values()):
            if run.state == "running" and now_s >= run.deadline_s:
                steps.append(Stop(run))
                message = f"{run.tool.name} did not answer within {run.deadline_s - run.started_s:g} seconds."
                steps += self.finished(ToolFinished(run.id, failure_output(message), failed=True), now_s)
            if run.is_ahead and now_s >= run.started_s + AHEAD_KEPT_S:
                del self._runs[run.id]
                if run.state == "running":
                    steps.append(Stop(run))
        moot = [batch for batch, calls in self._batches.items() if self._is_ready(calls) and self._is_moot(calls)]
        for batch in moot:
            steps.append(Record(tuple(self._batches.pop(batch)), at_call=True))
        if line.is_free:
            steps += self._said(line, now_s)
        self._clean()
        return steps

    def next_s(self, line: Line) -> float | None:
        """When `due` has to be asked again at the latest, as far as time alone decides."""
        times = [run.deadline_s for run in self._runs.values() if run.state == "running"]
        bridge_s = self._bridge_s(line)
        if line.is_free and bridge_s is not None:
            times.append(bridge_s)
        return min(times, default=None)

    def _said(self, line: Line, now_s: float) -> list[Step]:
        ready = [calls for calls in self._batches.values() if self._is_ready(calls)]
        if ready:
            calls = tuple(call for batch in ready for call in batch)
            for batch in ready:
                del self._batches[batch[0].batch]
            self._told = calls
            record = Record(calls, at_call=False)
            if self._exhausted:
                return [record, GiveUp()]
            sources = tuple(source for call in calls for source in call.sources)
            return [record, Tell(sources, self._steps >= self._limits.max_steps)]
        run = self.unconfirmed
        if run is not None and not run.is_asked:
            run.asked += 1
            run.is_asked = True
            return [Ask(run)]
        bridge_s = self._bridge_s(line)
        if bridge_s is not None and now_s >= bridge_s:
            self._bridges += 1
            return [Bridge(self._bridges - 1)]
        return []

    def _bridge_s(self, line: Line) -> float | None:
        """When the wait is to be filled; None: not."""
        started = [run.started_s for run in self._runs.values() if run.state == "running" and not run.is_ahead]
        if not started or line.agent_asked:
            return None
        gap_s = GAPS_S[min(self._bridges, len(GAPS_S) - 1)]
        begun_s = min(started)
        if self._bridges:
            return max(line.quiet_since_s + gap_s, begun_s + MIN_WAIT_S)
        after_s = begun_s + BRIDGE_AFTER_S
        if after_s > line.quiet_since_s + MAX_SILENCE_S:
            after_s = max(line.quiet_since_s + MAX_SILENCE_S, begun_s + MIN_WAIT_S)
        return after_s if line.quiet_since_s <= begun_s else max(after_s, line.quiet_since_s + gap_s)

    # ------------------------------------------------------------------------------------------------- inside

    def _new(self, tool: Tool, arguments: dict[str, Any]) -> Run:
        run = Run(self._next_id, tool, arguments, self._key(tool.name, arguments), self._turn, "unconfirmed")
        self._next_id += 1
        self._runs[run.id] = run
        return run

    def _start(self, run: Run, now_s: float) -> Start:
        run.state = "running"
        run.started_s = now_s
        run.deadline_s = now_s + (self._limits.timeout_s if run.tool.timeout_s is None else run.tool.timeout_s)
        return Start(run)

    def _key(self, name: str, arguments: dict[str, Any]) -> str:
        meaning = "\0".join((self._session_id, self._turn_id, name, canonical(arguments)))
        return hashlib.sha256(meaning.encode()).hexdigest()[:32]

    def _same(self, name: str, arguments: dict[str, Any]) -> Run | None:
        """The run that does, or in this turn did, the same."""
        for run in self._runs.values():
            if run.tool.name != name or canonical(run.arguments) != canonical(arguments):
                continue
            if run.is_ahead or run.state != "done" or run.turn == self._turn:
                return run
        return None

    def _refuse(self, call: Call, message: str) -> list[Step]:
        call.output, call.failed = failure_output(message), True
        return [Ended(call, 0.0)]

    def _hand_out(self, run: Run, result: ToolFinished, calls: Iterable[Call], now_s: float) -> list[Step]:
        steps: list[Step] = []
        for call in calls:
            if call.output is None:
                call.output, call.failed, call.sources = cut_output(result.output), result.failed, result.sources
                steps.append(Ended(call, now_s - run.started_s))
        return steps

    def _settle(self, run: Run, reason: str) -> list[Step]:
        """End a run with `reason` as its result, at its place in the past."""
        steps: list[Step] = [Stop(run)] if run.state == "running" else []
        run.state, run.finished = "done", ToolFinished(run.id, failure_output(reason), failed=True)
        for call in run.calls:
            call.output, call.failed = run.finished.output, True
            steps.append(Ended(call, 0.0))
            batch = self._batches.get(call.batch, [])
            if call in batch:
                batch.remove(call)
                if not batch:
                    del self._batches[call.batch]
                steps.append(Record((call,), at_call=True))
        return steps

    @staticmethod
    def _is_ready(calls: list[Call]) -> bool:
        return all(call.output is not None for call in calls)

    def _is_told(self, run: Run) -> bool:
        return all(call.batch not in self._batches for call in run.calls)

    def _is_moot(self, calls: list[Call]) -> bool:
        """No call of a batch is waited for any more."""
        return all(self._is_call_moot(call) for call in calls)

    def _is_call_moot(self, call: Call) -> bool:
        run = next((run for run in self._runs.values() if call in run.calls), None)
        if run is None:
            return False
        asked_anew = any(
            later.tool.name == run.tool.name and later.id > run.id and later.turn > run.turn and later.calls
            for later in self._runs.values()
        )
        return asked_anew or self._turn - run.turn >= MAX_TURNS_SINCE

    def _clean(self) -> None:
        """Forget what was told in earlier turns."""
        for run in list(self._runs.values()):
            if run.state == "done" and run.turn != self._turn and not run.is_ahead and self._is_told(run):
                del self._runs[run.id]
        if not self.is_running:
            self._bridges = 0
