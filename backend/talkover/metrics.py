"""What is measured: the marks of one turn, and the process's counters and histograms for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MarkName = Literal[
    "requested",  # a text turn, or a response asked for by the client: its zero point
    "speech_end",  # the last voiced sample of the user: the zero point of a spoken turn
    "turn_end",  # the endpoint is certain
    "transcript_final",
    "llm_first_token",
    "tts_first_audio",
    "first_audio_sent",
]
Stage = Literal["endpointing", "asr", "llm_ttft", "tts_ttfb", "voice_to_voice"]

LATENCY_BUCKETS_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7),
    *(0.85, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0),
)
"""fine where a conversation is decided (0.2 - 1.2 s), coarse where it is lost anyway"""


class Timeline:
    """The marks of one turn on a monotonic clock; the first mark of a name counts."""

    def __init__(self) -> None:
        self._marks: dict[MarkName, float] = {}

    def mark(self, name: MarkName, at_s: float) -> None:
        self._marks.setdefault(name, at_s)

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

    def stages_s(self) -> dict[Stage, float]:
        """What each stage added, in seconds; stages whose marks were not reached are left out.

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
            "voice_to_voice": ("speech_end", "first_audio_sent"),
        }
        return {
            stage: max(0.0, marks[end] - marks[start])
            for stage, (start, end) in spans.items()
            if start in marks and end in marks
        }

    def wire(
        self,
        *,
        item_id: str | None,
        response_id: str,
        status: str,
        audio_ms: int = 0,
        tts_rtf: float | None = None,
        interrupted_at_ms: int | None = None,
    ) -> dict[str, Any]:
        """Fields of `s2s.turn.metrics`, without `type` and `event_id`; a stage not reached is null."""
        stages = self.stages_s()
        names: tuple[Stage, ...] = ("endpointing", "asr", "llm_ttft", "tts_ttfb", "voice_to_voice")
        return {
            "item_id": item_id,
            "response_id": response_id,
            "status": status,
            "marks_ms": self.marks_ms(),
            **{f"{name}_ms": round(stages[name] * 1000) if name in stages else None for name in names},
            "audio_ms": audio_ms,
            "tts_rtf": None if tts_rtf is None else round(tts_rtf, 3),
            "interrupted_at_ms": interrupted_at_ms,
        }


class Metrics:
    """Counters of one server, in a registry of their own; safe for use from many threads."""

    def __init__(self, max_sessions: int = 0) -> None:
        registry = self.registry = CollectorRegistry()
        self.sessions_active = Gauge("talkover_sessions_active", "Open realtime sessions", registry=registry)
        self.sessions_waiting = Gauge("talkover_sessions_waiting", "Clients in the waiting queue", registry=registry)
        self.sessions_max = Gauge("talkover_sessions_max", "Sessions admitted at once", registry=registry)
        self.sessions_total = Counter("talkover_sessions", "Sessions opened", registry=registry)
        self.sessions_refused_total = Counter(
            "talkover_sessions_refused", "Connections turned away because every session was taken", registry=registry
        )
        self.turns_total = Counter("talkover_turns", "User turns by how they ended", ["status"], registry=registry)
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
        self.errors_total = Counter("talkover_errors", "Failures by stage", ["stage"], registry=registry)
        self.stale_dropped_total = Counter(
            "talkover_stale_dropped", "Messages of an older generation thrown away", registry=registry
        )
        self.stage_latency_seconds = Histogram(
            "talkover_stage_latency_seconds",
            "What each stage added to a turn; voice_to_voice is end of speech to first audio sent",
            ["stage"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._queue_depth = Gauge(
            "talkover_queue_depth", "Messages waiting, the fullest queue of all sessions", ["queue"], registry=registry
        )
        self._queues: dict[str, Callable[[], Mapping[str, int]]] = {}
        self._lock = threading.Lock()
        self.sessions_max.set(max_sessions)

    def observe_turn(self, timeline: Timeline) -> None:
        """Enter what each stage of a turn took."""
        for stage, seconds in timeline.stages_s().items():
            self.stage_latency_seconds.labels(stage).observe(seconds)

    def watch_queues(self, session_id: str, depths: Callable[[], Mapping[str, int]]) -> None:
        """Ask `depths` (queue name -> messages waiting) of this session at every scrape, until `forget_queues`."""
        with self._lock:
            self._queues[session_id] = depths

    def forget_queues(self, session_id: str) -> None:
        with self._lock:
            self._queues.pop(session_id, None)

    def render(self) -> tuple[bytes, str]:
        """The text exposition and its content type."""
        with self._lock:
            probes = list(self._queues.values())
            # The maximum, not the sum: one session that falls behind is the fault to see, and a sum hides it.
            fullest: dict[str, int] = {}
            for probe in probes:
                for queue, depth in probe().items():
                    fullest[queue] = max(depth, fullest.get(queue, 0))
            self._queue_depth.clear()
            for queue, depth in fullest.items():
                self._queue_depth.labels(queue).set(depth)
            return generate_latest(self.registry), CONTENT_TYPE_LATEST
