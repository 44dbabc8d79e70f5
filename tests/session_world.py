"""A session's core in a world of its own: a client, engines and time that do whatever a test tells them.

The world is what the shell around the core is in a server, with the delays, orders and faults that a server sees, on
virtual time. It holds the core to the rules that no session may ever break (`WireRules`, `check_due`), and remembers
all inputs, so that whatever goes wrong can be written as an event log and run again.
"""

from __future__ import annotations

import base64
import heapq
import itertools
import json
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fakes import session_options
from talkover.messages import (
    CallAhead,
    CallDelta,
    CallerKnown,
    FunctionTool,
    Output,
    ResponseEnd,
    ResponseRequest,
    Samples,
    Source,
    SourcesFound,
    SpeechSegment,
    StageFailed,
    StageMark,
    SummaryMade,
    TextDelta,
    ToolFinished,
    Transcript,
    TurnOpinion,
    VoiceOpinion,
    WireAudio,
    Word,
)
from talkover.pipeline.cancel import Generations
from talkover.realtime.actions import (
    Action,
    AskSpeakerModel,
    AskTurnModel,
    Close,
    Commit,
    Hold,
    Recognize,
    ReplaceLane,
    ReplaceRecognizer,
    Respond,
    RunTool,
    Send,
    StopTool,
    Summarize,
    TurnLeft,
    UseMemory,
)
from talkover.realtime.events import encode_event
from talkover.realtime.phrases import METADATA_KEY
from talkover.realtime.session import Broke, Happened, LaneFull, Opened, RealtimeSession
from talkover.realtime.settings import SessionSettings
from talkover.tools.tool import Tool, Toolbox, ToolResult
from talkover.vad.frame_sound import FrameSound
from talkover.vad.prosody import UNVOICED, Pitch
from wire_rules import WireRules

CHUNK_MS = 100
LOUDNESS = {"silence": 0.0, "noise": 0.2, "far": 0.4, "near": 0.8}
"""the value of all samples of such a sound"""
LEAD_MS = 600.0
MAX_TICKS = 50
"""steps of the core at one moment; more means that a due deadline is never served"""
INTERJECTIONS = ("filler", "bridge", "reprompt", "goodbye", "backchannel", "greeting")

SERVER_TOOLS = (
    Tool(
        "stock",
        "Tells the stock.",
        {"type": "object", "properties": {"article": {"type": "string"}}},
        lambda *_: ToolResult("3"),
        read_only=True,
    ),
    Tool(
        "order",
        "Orders.",
        {"type": "object", "properties": {}},
        lambda *_: ToolResult("done"),
        confirm="Shall I order it?",
        timeout_s=4.0,
    ),
    Tool("handover", "To a human.", {"type": "object", "properties": {}}, lambda *_: ToolResult("")),
)


class VadBroke(Exception):
    """What the world's VAD raises when it is told to."""


class WorldSounds:
    """Knows a sound by the value of its samples."""

    def __init__(self) -> None:
        self.fails = False
        self._count = 0

    def measure(self, frame: Samples) -> FrameSound:
        if self.fails:
            self.fails = False
            raise VadBroke
        self._count += 1
        value = float(frame[256])
        if value > 0.6:
            return FrameSound(1.0, -20.0, Pitch(140.0 - self._count % 9, 0.9, 0.3 if self._count % 4 == 0 else 0.05))
        if value > 0.3:
            return FrameSound(0.9, -44.0, Pitch(200.0, 0.8, 0.1))
        return FrameSound(0.3, -50.0, UNVOICED) if value > 0.1 else FrameSound(0.0, -90.0, UNVOICED)

    def last_sound_ms(self, samples: Samples, voiced_end_ms: float) -> float:
        return voiced_end_ms - self._count % 30

    def reset(self) -> None:
        """Has no state that would matter."""


def _chunk(value: float) -> str:
    samples = np.full(24 * CHUNK_MS, round(value * 32767), "<i2")
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(samples.tobytes()).decode()})


CHUNKS = {name: _chunk(value) for name, value in LOUDNESS.items()}


@dataclass
class Turn:
    """A committed utterance."""

    item_id: str
    position: int
    """among the events sent"""
    transcript: str | None = None
    """what its final one said; None: there was none"""
    left: str | None = None
    """why it gets no answer, as the core states it"""
    is_automatic: bool = True


@dataclass
class Tally:
    """Counts of all worlds of a run."""

    steps: int = 0
    """inputs of the core"""
    turns: int = 0
    explained: Counter[str] = field(default_factory=Counter[str])
    events: Counter[str] = field(default_factory=Counter[str])
    responses: Counter[str] = field(default_factory=Counter[str])


class World:
    """One session. Engines do what was planned for their next piece of work, else what engines should."""

    def __init__(self, tally: Tally | None = None, **options: Any) -> None:
        self.tally = tally or Tally()
        names = {tool.name for tool in SERVER_TOOLS}
        settings = SessionSettings(
            instructions="Be brief.", server_tools=tuple(tool.definition for tool in SERVER_TOOLS if tool.name in names)
        )
        self.options = session_options(id_seed="world", settings=settings, toolbox=Toolbox(SERVER_TOOLS), **options)
        self.now_s = 1000.0
        self.sounds = WorldSounds()
        self.main, self.aside = Generations(), Generations()
        self.inputs: list[tuple[Happened, float]] = []
        self.wire = WireRules()
        self.turns: dict[str, Turn] = {}
        self.closed: tuple[int, str] | None = None
        self.broke = 0
        self.asr: deque[tuple[str, float]] = deque()
        self.llm: deque[tuple[str, float]] = deque()
        self.tool: deque[tuple[str, float]] = deque()
        self.leaks_stale = False
        self.client_cancelled = self.spoke_far = False
        self._due: list[tuple[float, int, str, int, Any]] = []
        self._order = itertools.count()
        self._epochs: Counter[str] = Counter()
        self._held: list[Any] | None = None
        self._ahead: dict[int, list[tuple[float, Any]]] = {}
        self._stopped_runs: set[int] = set()
        self.core = RealtimeSession(self.options, self.sounds, self.main, self.aside)
        self.tell(Opened())

    # --------------------------------------------------------------------------------------------- the client

    def send(self, event_type: str, **fields: Any) -> None:
        self.tell(json.dumps({"type": event_type, **fields}))

    def sound(self, loudness: str, duration_ms: float, in_real_time: bool = True) -> None:
        """Microphone audio."""
        self.spoke_far = self.spoke_far or loudness == "far"
        for _ in range(max(1, round(duration_ms / CHUNK_MS))):
            if in_real_time:
                self.advance(CHUNK_MS / 1000)
            self.tell(CHUNKS[loudness])

    # -------------------------------------------------------------------------------------------------- time

    def advance(self, seconds: float) -> None:
        """Let time pass: what engines have done by then is reported, and the core is called when it wants to be."""
        until_s = self.now_s + seconds
        while self.closed is None:
            wake_s = self.now_s + self.core.wait_s(self.now_s)
            report_s = self._due[0][0] if self._due else float("inf")
            if min(wake_s, report_s) > until_s:
                break
            if report_s <= wake_s:
                at_s, _, source, epoch, report = heapq.heappop(self._due)
                self.now_s = max(self.now_s, at_s)
                self._deliver(source, epoch, report)
            else:
                self.now_s = max(self.now_s, wake_s)
                self.tell(None)
        self.now_s = max(self.now_s, until_s)

    def tell(self, what: Happened) -> None:
        """One step of the core, and what it asks for; then those that are due at once."""
        if self.closed is not None:
            return
        self._step(what)
        ticks = 0
        while self.closed is None and (not self.core.ready_for_frames or self.core.wait_s(self.now_s) <= 0):
            was_busy = not self.core.ready_for_frames
            self._step(None)
            ticks = 0 if was_busy else ticks + 1
            assert ticks < MAX_TICKS, "a due deadline is not served"

    def _step(self, what: Happened) -> None:
        self.inputs.append((what, self.now_s))
        self.tally.steps += 1
        try:
            actions = self.core.handle(what, self.now_s)
        except VadBroke as error:
            self.broke += 1
            self._step(Broke(type(error).__name__))
            return
        for action in actions:
            self._do(action)

    # ------------------------------------------------------------------------------------------------ the shell

    def _do(self, action: Action) -> None:
        match action:
            case Send(event):
                encode_event(event)
                self._sent(event)
            case Recognize(SpeechSegment() as segment):
                self._recognize(segment)
            case Respond(lane, request):
                self._respond(lane, request)
            case Commit(generation):
                for delay_s, message in self._ahead.pop(generation, ()):
                    self._report(delay_s, "main", message)
            case Hold(on):
                held, self._held = self._held, ([] if self._held is None else self._held) if on else None
                for message in held or () if not on else ():
                    self._report(0.01, "main", message)
            case ReplaceLane(lane):
                self._epochs[lane] += 1
            case ReplaceRecognizer():
                self._epochs["recognizer"] += 1
            case RunTool():
                self._run_tool(action)
            case StopTool(run_id):
                self._stopped_runs.add(run_id)
            case UseMemory(caller):
                self._report(0.1, "memory", CallerKnown(caller, ("likes tea",)))
            case Summarize():
                self._report(1.0, "summary", SummaryMade("They spoke of tea."))
            case AskTurnModel(question):
                self._report(0.05, "turn", TurnOpinion(question.item_id, question.revision, 0.7))
            case AskSpeakerModel(question) if not question.is_caller:
                self._report(0.05, "voice", VoiceOpinion(question.item_id, 0.6))
            case Close(code, reason):
                self.closed = (code, reason)
            case TurnLeft(item_id, reason):
                if item_id in self.turns:
                    self.turns[item_id].left = reason
            case _:
                pass

    def _report(self, delay_s: float, source: str, report: Any) -> None:
        entry = (self.now_s + delay_s, next(self._order), source, self._epochs[source], report)
        heapq.heappush(self._due, entry)

    def _deliver(self, source: str, epoch: int, report: Any) -> None:
        """What a stage's thread hands over: nothing of a replaced one, and little that is stale."""
        if epoch != self._epochs[source]:
            return
        if source == "main" and self._held is not None:
            self._held.append(report)
            return
        generation = getattr(report, "generation", None)
        lane = {"main": self.main, "aside": self.aside}.get(source)
        if lane is not None and generation is not None and lane.is_stale(generation) and not self.leaks_stale:
            return
        if isinstance(report, ToolFinished) and report.run_id in self._stopped_runs:
            return
        self.tell(report)

    # ------------------------------------------------------------------------------------------------ engines

    def _recognize(self, segment: SpeechSegment) -> None:
        if not segment.final:
            if segment.samples.size and not self.asr:
                partial = Transcript(
                    segment.item_id, "what is", 4, False, segment.revision, 0.8, audio_end_ms=segment.end_ms
                )
                self._report(0.05, "recognizer", partial)
            return
        mode, delay_s = self.asr.popleft() if self.asr else ("What is the time", 0.1)
        confidence = 0.2 if mode == "mumble" else 0.9
        final = Transcript(
            segment.item_id, mode, len(mode), True, segment.revision, confidence, "en", segment.end_ms, self.now_s
        )
        match mode:
            case "hang":
                return
            case "fail":
                report: Any = StageFailed("recognizer", "no model", item_id=segment.item_id)
            case "empty":
                report = Transcript(segment.item_id, "", 0, True, segment.revision, 0.0, audio_end_ms=segment.end_ms)
            case "twice":
                self._report(delay_s, "recognizer", final)
                report = final
            case "garbage":
                self._report(delay_s, "recognizer", Transcript("item_unknown", "Hm", -3, True, 99, 7.0))
                report = Transcript(segment.item_id, "\u0000 Ünï ?\n" * 20, 4000, True, segment.revision, -1.0)
            case _:
                report = final
        self._report(delay_s, "recognizer", report)

    def _respond(self, lane: str, request: ResponseRequest) -> None:
        planned = bool(self.llm) and (request.say is None or self.llm[0][0] in ("hang", "fail", "full", "answer"))
        mode, delay_s = self.llm.popleft() if planned else ("answer", 0.2)
        if mode == "full":
            self._report(0.0, "shell", LaneFull(request.response_id))
            return
        script = answer(mode, request, self.now_s)
        timed = [(delay_s + at_s, message) for at_s, message in script]
        if request.ahead:
            for at_s, message in timed:
                if isinstance(message, CallDelta) and message.name:
                    self._report(at_s, lane, CallAhead(request.response_id, message.name, '{"article": "tea"}'))
            self._ahead[request.generation] = timed
            while len(self._ahead) > 3:
                del self._ahead[min(self._ahead)]
            return
        for at_s, message in timed:
            self._report(at_s, lane, message)

    def _run_tool(self, action: RunTool) -> None:
        mode, delay_s = self.tool.popleft() if self.tool else ("good", 0.3)
        match mode:
            case "hang":
                return
            case "fail":
                result = ToolFinished(action.run_id, '{"error": "no"}', failed=True)
            case "garbage":
                self._report(delay_s, "tool", ToolFinished(999, "nobody asked"))
                result = ToolFinished(action.run_id, "\u0000" * 50)
            case "handover" | "end_call":
                result = ToolFinished(action.run_id, "{}", signal="handover:asked" if mode == "handover" else mode)
            case _:
                result = ToolFinished(action.run_id, '{"stock": 3}')
        self._report(delay_s, "tool", result)

    # ------------------------------------------------------------------------------------------- what was sent

    def _sent(self, event: dict[str, Any]) -> None:
        self.wire.sent(event)
        self.tally.events[event["type"]] += 1
        match event["type"]:
            case "input_audio_buffer.committed":
                if event["item_id"] not in self.turns:
                    self.tally.turns += 1
                    self.turns[event["item_id"]] = Turn(event["item_id"], len(self.wire.events))
            case "response.done":
                self.tally.responses[event["response"]["status"]] += 1
            case _:
                pass

    def explanation(self, turn: Turn) -> str | None:
        """What became of a committed turn; None: nothing, which is what must never be."""
        if turn.left is not None:
            return turn.left
        for event in self.wire.events[turn.position :]:
            if event["type"] == "response.created":
                response = event["response"]
                metadata = response["metadata"] or {}
                if response["conversation_id"] is None or metadata.get(METADATA_KEY) in INTERJECTIONS:
                    continue
                answered = self._answered(response["id"])
                if answered is not None:
                    return answered
        if self.closed is not None:
            return "closed"
        return None

    def _answered(self, response_id: str) -> str | None:
        """None for one that said and did nothing: the answer has to be found in a later one."""
        done = self.wire.done.get(response_id)
        if done is None:
            return "answering" if self.closed is None else "closed"
        status, output = done["status"], done["output"]
        if status == "cancelled":
            reason = done["status_details"]["reason"]
            if reason == "turn_detected":  # unheard, it has to be given again; the user's own turn is asked for itself
                return "cut off by the user" if output else None
            return "response cancelled by the client"
        return None if status == "completed" and not output else f"response {status}"


def answer(mode: str, request: ResponseRequest, now_s: float) -> list[tuple[float, Output]]:
    """(seconds after the beginning, message) of one response."""
    place = (request.generation, request.response_id)
    end = ResponseEnd(*place)
    mark = StageMark(*place, "llm_first_token", now_s)

    def spoken(*texts: str) -> list[tuple[float, Output]]:
        if request.modality == "text":
            return [(0.05 * index, TextDelta(*place, text)) for index, text in enumerate(texts)]
        out: list[tuple[float, Output]] = [(0.0, mark)]
        sent_ms = 0.0
        for text in texts:
            words = tuple(
                Word(match, match + 3, match * 60.0, match * 60.0 + 180) for match in range(0, max(1, len(text) - 3), 6)
            )
            half_ms = max(120.0, len(text) * 30.0)
            for index in range(2):
                payload = bytes(2 * round(half_ms * 24))
                at_s = max(0.0, sent_ms - LEAD_MS) / 1000
                first = index == 0
                out.append(
                    (
                        at_s,
                        WireAudio(
                            *place, payload, half_ms, text if first else "", words if first else (), not first, now_s
                        ),
                    )
                )
                sent_ms += half_ms
        return out

    def then(script: list[tuple[float, Output]], *messages: Output) -> list[tuple[float, Output]]:
        last_s = script[-1][0] if script else 0.0
        return [*script, *((last_s + 0.02, message) for message in messages)]

    def call(name: str, arguments: str) -> list[tuple[float, Output]]:
        call_id = f"call_{request.response_id[-12:]}"
        return [
            (0.0, CallDelta(*place, call_id, name, "", False)),
            (0.05, CallDelta(*place, call_id, name, arguments, False)),
            (0.06, CallDelta(*place, call_id, name, "", True)),
        ]

    usual = spoken("It is noon.", "The sun shines on the hills.")
    match mode:
        case "answer":
            return then(usual, end)
        case "long":
            return then(spoken(*(f"This is part {n} of a rather long story." for n in range(8))), end)
        case "question":
            return then(spoken("Do you want to order it?"), end)
        case "empty":
            return [(0.1, end)]
        case "fail":
            return [(0.1, StageFailed("responder", "429", *place))]
        case "fail_midway":
            return then(usual, StageFailed("synthesizer", "no voice", *place))
        case "hang":
            return []
        case "hang_midway":
            return usual
        case "cut":
            return then(usual, ResponseEnd(*place, "incomplete", "max_output_tokens"))
        case "filtered":
            return [(0.1, ResponseEnd(*place, "incomplete", "content_filter"))]
        case "stock":
            return then(call("stock", '{"article": "tea"}'), end)
        case "order":
            return then([*spoken("I will."), *call("order", "{}")], end)
        case "handover":
            return then(call("handover", "{}"), end)
        case "bad_arguments":
            return then(call("stock", '{"article": '), end)
        case "client_tool":
            return then(call("door", '{"open": true}'), end)
        case "unknown_tool":
            return then(call("nothing_of_the_kind", "{}"), end)
        case "open_call":
            return then(call("stock", "{")[:2], end)
        case "twice_ended":
            return then(
                usual, end, end, StageMark(*place, "tts_first_audio", now_s), *(message for _, message in usual[:2])
            )
        case "wrong_ids":
            stray = ResponseEnd(request.generation, "resp_unknown", "failed", "llm_error")
            return then([(0.0, stray), (0.0, TextDelta(request.generation - 1, "resp_old", "old")), *usual], end)
        case "sources":
            source = Source("s1", "Tea", "tea.md", "All about tea.", 1.0)
            found = SourcesFound(*place, "search_1", "documents", "tea", (source,))
            return then([(0.0, found), *usual], end)
        case "odd_audio":
            odd: Sequence[Output] = (
                WireAudio(*place, b"", 0.0),
                WireAudio(*place, b"", 0.0, "\n"),
                WireAudio(*place, bytes(2), 0.04, "", (), True),
            )
            return then([*((0.0, message) for message in odd), *usual], end)
        case _:
            raise ValueError(mode)


LLM_MODES = (
    "answer",
    "long",
    "question",
    "empty",
    "fail",
    "fail_midway",
    "hang",
    "hang_midway",
    "cut",
    "filtered",
    "stock",
    "order",
    "handover",
    "bad_arguments",
    "client_tool",
    "unknown_tool",
    "open_call",
    "twice_ended",
    "wrong_ids",
    "sources",
    "odd_audio",
    "full",
)
ASR_MODES = (
    "What is the time",
    "Yes",
    "No",
    "Stop",
    "Mm-hm",
    "mumble",
    "My number is",
    "hang",
    "fail",
    "empty",
    "twice",
    "garbage",
)
TOOL_MODES = ("good", "fail", "hang", "garbage", "handover", "end_call")
CLIENT_TOOL = FunctionTool("door", "Opens the door.", {"type": "object"})
