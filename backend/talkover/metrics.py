"""What is measured: the marks of one turn, and the process's counters and histograms for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from talkover.messages import Usage

PipelineMark = Literal[
    "retrieval_started",
    "retrieval_finished",
    "llm_started",
    "llm_first_token",
    "llm_finished",
    "tts_first_audio",
    "tts_finished",
]
"""set by the stages, as `StageMark`"""
MarkName = (
    Literal[
        "requested",  # a text turn, or a response asked for by the client: its zero point
        "speech_end",  # the last sound of the user: the zero point of a spoken turn
        "turn_end",  # the endpoint is certain
        "transcript_final",
        "first_audio_sent",
        "first_audible",  # its first sample that can be heard is played, by a client that plays what arrives
    ]
    | PipelineMark
)
Stage = Literal["endpointing", "asr", "llm_ttft", "tts_ttfb", "voice_to_voice"]

PIPELINE_MARKS: frozenset[str] = frozenset(get_args(PipelineMark))
STAGES: tuple[Stage, ...] = get_args(Stage)
"""in the order of the pipeline"""

LATENCY_BUCKETS_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7),
    *(0.85, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0),
)
"""fine where a conversation is decided (0.2 - 1.2 s), coarse where it is lost anyway"""
LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
TOOL_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)


class Timeline:
    """The marks of one turn on a monotonic clock; the first mark of a name counts."""

    def __init__(self) -> None:
        self._marks: dict[MarkName, float] = {}

    def mark(self, name: MarkName, at_s: float) -> None:
        self._marks.setdefault(name, at_s)

    def mark_stage(self, name: str, at_s: float) -> None:
        """What a stage reported; names that are no `PipelineMark` are left alone."""
        if name in PIPELINE_MARKS:
            self.mark(cast("MarkName", name), at_s)

    def at_s(self, name: MarkName) -> float | None:
        return self._marks.get(name)

    @property
    def zero_s(self) -> float | None:
        """Where the turn starts to count: the end of speech, else the request; None before either."""
        return self._marks.get("speech_end", self._marks.get("requested"))

    def marks_ms(self) -> dict[MarkName, int]:
        """Marks reached so far, in order of time, in ms since the zero point; empty without one."""
        zero_s = self.zero_s
        if zero_s is None:
            return {}
        in_order = sorted(self._marks.items(), key=lambda mark: mark[1])
        return {name: round((at_s - zero_s) * 1000) for name, at_s in in_order}

    def stages_ms(self) -> dict[Stage, int]:
        """What each stage added, in whole ms; stages whose marks were not reached are left out.

        Speculation lets a stage finish before the one it follows is certain: it then added nothing, so 0. The LLM of a
        spoken turn counts from the transcript, that of a text turn from the request.
        """
        marks = self._marks
        spoken = "speech_end" in marks
        spans: dict[Stage, tuple[MarkName, MarkName]] = {
            "endpointing": ("speech_end", "turn_end"),
            "asr": ("turn_end", "transcript_final"),
            "llm_ttft": ("transcript_final" if spoken else "requested", "llm_first_token"),
            "tts_ttfb": ("llm_first_token", "tts_first_audio"),
            "voice_to_voice": ("speech_end", "first_audible"),
        }
        return {
            stage: max(0, round((marks[end] - marks[start]) * 1000))
            for stage, (start, end) in spans.items()
            if start in marks and end in marks
        }


@dataclass(frozen=True, slots=True)
class TurnMetrics:
    """The numbers of one response, taken once, when it ends.

    Prometheus, `s2s.turn.metrics`, the line in the log and the trace all show these: they cannot differ.
    """

    item_id: str | None
    """the user's turn it answers"""
    response_id: str
    status: str
    reason: str | None
    """why it did not complete"""
    zero_s: float | None
    """monotonic time of the zero point of `marks_ms`"""
    marks_ms: Mapping[MarkName, int]
    stages_ms: Mapping[Stage, int]
    audio_ms: int
    """speech that was sent"""
    tts_rtf: float | None = None
    """time of synthesis per time of speech"""
    interrupted_at_ms: int | None = None
    """how much of it had been heard when it was stopped"""
    usage: Usage = Usage()

    @classmethod
    def of(
        cls,
        timeline: Timeline,
        *,
        item_id: str | None,
        response_id: str,
        status: str,
        reason: str | None = None,
        audio_ms: float = 0.0,
        tts_rtf: float | None = None,
        interrupted_at_ms: int | None = None,
        usage: Usage | None = None,
    ) -> TurnMetrics:
        return cls(
            item_id,
            response_id,
            status,
            reason,
            timeline.zero_s,
            timeline.marks_ms(),
            timeline.stages_ms(),
            round(audio_ms),
            None if tts_rtf is None else round(tts_rtf, 3),
            interrupted_at_ms,
            usage or Usage(),
        )

    def wire(self) -> dict[str, Any]:
        """Fields of `s2s.turn.metrics`, without `type` and `event_id`; a stage not reached is null."""
        return {
            "item_id": self.item_id,
            "response_id": self.response_id,
            "status": self.status,
            "marks_ms": dict(self.marks_ms),
            **{f"{stage}_ms": self.stages_ms.get(stage) for stage in STAGES},
            "audio_ms": self.audio_ms,
            "tts_rtf": self.tts_rtf,
            "interrupted_at_ms": self.interrupted_at_ms,
        }

    def line(self) -> str:
        """The same for people: what each stage added, then the marks, all in ms."""
        reason = f" ({self.reason})" if self.reason else ""
        stages = " ".join(f"{stage}={added_ms}" for stage, added_ms in self.stages_ms.items())
        marks = " ".join(f"{name}={at_ms}" for name, at_ms in self.marks_ms.items())
        return f"{self.status}{reason}, {self.audio_ms} ms of audio; {stages or 'no stages'}; {marks or 'no marks'}"


class Metrics:
    """Counters of one server, in a registry of their own; safe for use from many threads."""

    def __init__(self, max_sessions: int = 0) -> None:
        registry = self.registry = CollectorRegistry()
        self.sessions_active = Gauge("talkover_sessions_active", "Open realtime sessions", registry=registry)
        self.sessions_waiting = Gauge("talkover_sessions_waiting", "Clients in the waiting queue", registry=registry)
        self.sessions_max = Gauge("talkover_sessions_max", "Sessions admitted at once", registry=registry)
        self.sessions_total = Counter("talkover_sessions", "Sessions opened", registry=registry)
        self._sessions_by_state = Gauge(
            "talkover_sessions_by_state", "Open sessions by what they are doing", ["state"], registry=registry
        )
        self.sessions_refused_total = Counter(
            "talkover_sessions_refused", "Connections turned away, by why", ["reason"], registry=registry
        )
        self.sessions_closed_total = Counter(
            "talkover_sessions_closed",
            "Sessions ended, by who ended them: client, or the close code",
            ["by"],
            registry=registry,
        )
        self.turns_total = Counter("talkover_turns", "User turns by how they ended", ["status"], registry=registry)
        self.turns_left_total = Counter(
            "talkover_turns_left", "User turns without an answer of their own, and why", ["reason"], registry=registry
        )
        self.responses_total = Counter(
            "talkover_responses", "Responses by how they ended", ["status"], registry=registry
        )
        self.barge_ins_total = Counter("talkover_barge_ins", "Responses the user talked over", registry=registry)
        self.wrong_stops_total = Counter(
            "talkover_wrong_stops",
            "Times the agent fell silent for what was no interruption, and went on",
            ["reason"],
            registry=registry,
        )
        self.speculations_total = Counter(
            "talkover_speculations",
            "Answers prepared before a turn was over: begun, and then used or discarded",
            ["outcome"],
            registry=registry,
        )
        self.interjections_total = Counter(
            "talkover_interjections",
            "What the agent said that is no answer: filler, reprompt, goodbye, backchannel",
            ["kind"],
            registry=registry,
        )
        self.resumptions_total = Counter(
            "talkover_resumptions",
            "Clients with a token: back in a live session, in one of an ended process (kept), or refused",
            ["outcome"],
            registry=registry,
        )
        self.errors_total = Counter("talkover_errors", "Failures by stage", ["stage"], registry=registry)
        self.stuck_total = Counter(
            "talkover_stuck", "Sessions, or the event loop, that the watchdog found stuck", ["what"], registry=registry
        )
        self.recordings_total = Counter(
            "talkover_recordings",
            "Recordings of calls by how they ended: complete, erased (the user refused), broken",
            ["outcome"],
            registry=registry,
        )
        self.stale_dropped_total = Counter(
            "talkover_stale_dropped", "Messages of an older generation thrown away", registry=registry
        )
        self.audio_seconds_total = Counter(
            "talkover_audio_seconds",
            "Audio heard from clients (in) and sent to them (out)",
            ["direction"],
            registry=registry,
        )
        self.llm_tokens_total = Counter(
            "talkover_llm_tokens",
            "Tokens of prompts and answers, where the model tells",
            ["kind"],
            registry=registry,
        )
        self.tool_seconds = Histogram(
            "talkover_tool_seconds",
            "How long tools ran on the server, by how it ended: finished, failed, or stopped",
            ["tool", "outcome"],
            buckets=TOOL_BUCKETS_S,
            registry=registry,
        )
        self.event_loop_lag_seconds = Histogram(
            "talkover_event_loop_lag_seconds",
            "By how much a timer of the socket's event loop fires late",
            buckets=LAG_BUCKETS_S,
            registry=registry,
        )
        self.stage_latency_seconds = Histogram(
            "talkover_stage_latency_seconds",
            "What each stage added to a turn; voice_to_voice is the user's last sound to the first audible sample",
            ["stage"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._queue_depth = Gauge(
            "talkover_queue_depth", "Messages waiting, the fullest queue of all sessions", ["queue"], registry=registry
        )
        threads = Gauge("talkover_threads", "Threads of the process", registry=registry)
        threads.set_function(threading.active_count)
        self._process = ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._queues: dict[str, Callable[[], Mapping[str, int]]] = {}
        self._states: Callable[[], Mapping[str, int]] = dict[str, int]
        self._lock = threading.Lock()
        self.sessions_max.set(max_sessions)

    def observe_turn(self, turn: TurnMetrics) -> None:
        """Enter what each stage of a turn took, and what it used."""
        for stage, added_ms in turn.stages_ms.items():
            self.stage_latency_seconds.labels(stage).observe(added_ms / 1000)
        self.audio_seconds_total.labels("out").inc(turn.audio_ms / 1000)
        usage = turn.usage
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            self.llm_tokens_total.labels(kind).inc(tokens)

    def watch_states(self, states: Callable[[], Mapping[str, int]]) -> None:
        """Ask `states` (state -> sessions in it) at every scrape."""
        self._states = states

    def watch_queues(self, session_id: str, depths: Callable[[], Mapping[str, int]]) -> None:
        """Ask `depths` (queue name -> messages waiting) of this session at every scrape, until `forget_queues`."""
        with self._lock:
            self._queues[session_id] = depths

    def forget_queues(self, session_id: str) -> None:
        with self._lock:
            self._queues.pop(session_id, None)

    def queue_depths(self) -> dict[str, int]:
        """Messages waiting, by queue: those of the session that has most.

        The maximum, not the sum: one session that falls behind is the fault to see, and a sum hides it.
        """
        with self._lock:
            probes = list(self._queues.values())
        fullest: dict[str, int] = {}
        for probe in probes:
            for queue, depth in probe().items():
                fullest[queue] = max(depth, fullest.get(queue, 0))
        return fullest

    def process(self) -> dict[str, float | None]:
        """What the process uses; None where the platform does not tell."""
        known = {family.name: family.samples[0].value for family in self._process.collect()}
        return {
            "cpu_s": known.get("process_cpu_seconds"),
            "resident_bytes": known.get("process_resident_memory_bytes"),
            "open_files": known.get("process_open_fds"),
            "threads": threading.active_count(),
        }

    def waiting(self) -> int:
        """Callers in the waiting queue."""
        (family,) = self.sessions_waiting.collect()
        return round(family.samples[0].value)

    def render(self) -> tuple[bytes, str]:
        """The text exposition and its content type."""
        depths, states = self.queue_depths(), self._states()
        with self._lock:
            for gauge, values in ((self._queue_depth, depths), (self._sessions_by_state, states)):
                gauge.clear()
                for label, value in values.items():
                    gauge.labels(label).set(value)
            return generate_latest(self.registry), CONTENT_TYPE_LATEST
