"""Who is connected and how the calls go, for whoever operates the server: no words, no audio."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from talkover.messages import ToolFinished, WireAudio
from talkover.metrics import STAGES, Metrics, Stage, TurnMetrics
from talkover.realtime.actions import (
    Action,
    BargedIn,
    Close,
    ResponseFinished,
    RunTool,
    Send,
    StageError,
    StopTool,
)
from talkover.realtime.fields import JsonObject
from talkover.realtime.session import Happened, Opened
from talkover.realtime.session_options import SessionOptions

State = Literal["listening", "thinking", "speaking"]

WINDOW_S = 300.0
"""the latencies shown are those of the last minutes"""
MAX_TURNS = 2000
"""remembered for that; more within the window: the newest"""
MAX_RUNS = 64
"""tools of a session whose time is taken"""

Clock = Callable[[], float]


@dataclass(slots=True)
class _Figures:
    """What has happened in a session so far."""

    responses: int = 0
    interruptions: int = 0
    errors: int = 0
    voice_to_voice_ms: int | None = None
    """of the last turn that had one"""


class ListedSession:
    """Watches one session. Its own thread writes, others read single values."""

    def __init__(self, session_id: str, sessions: SessionList, metrics: Metrics, clock: Clock) -> None:
        self.id = session_id
        self._sessions = sessions
        self._metrics = metrics
        self._clock = clock
        self._opened_s = clock()
        self._figures = _Figures()
        self._making: set[str] = set()
        """responses that have begun and not ended"""
        self._awaits_answer = False
        self._audible_until_s = 0.0
        self._runs: dict[int, tuple[str, float]] = {}
        self._closed_by = "client"

    def happened(self, what: Happened, now_s: float) -> None:
        match what:
            case Opened():
                self._sessions.add(self)
            case WireAudio(duration_ms=duration_ms):
                self._audible_until_s = max(self._audible_until_s, now_s) + duration_ms / 1000
            case ToolFinished(run_id=run_id, failed=failed):
                self._tool_ended(run_id, "failed" if failed else "finished", now_s)
            case _:
                pass

    def decided(self, actions: Sequence[Action], now_s: float) -> None:
        for action in actions:
            match action:
                case Send(event):
                    self._sent(event, now_s)
                case ResponseFinished(turn):
                    self._response_ended(turn, now_s)
                case BargedIn():
                    self._figures.interruptions += 1
                    self._audible_until_s = now_s
                case StageError():
                    self._figures.errors += 1
                case RunTool(run_id, tool) if len(self._runs) < MAX_RUNS:
                    self._runs[run_id] = (tool.name, now_s)
                case StopTool(run_id):
                    self._tool_ended(run_id, "stopped", now_s)
                case Close(code):
                    self._closed_by = str(code)
                case _:
                    pass

    def closed(self) -> None:
        self._metrics.sessions_closed_total.labels(self._closed_by).inc()
        self._sessions.forget(self)

    def state(self, now_s: float) -> State:
        if now_s < self._audible_until_s:
            return "speaking"
        return "thinking" if self._awaits_answer or self._making else "listening"

    def view(self, now_s: float) -> dict[str, Any]:
        figures = self._figures
        return {
            "id": self.id,
            "age_s": round(now_s - self._opened_s, 1),
            "state": self.state(now_s),
            "responses": figures.responses,
            "interruptions": figures.interruptions,
            "errors": figures.errors,
            "voice_to_voice_ms": figures.voice_to_voice_ms,
        }

    def _sent(self, event: JsonObject, now_s: float) -> None:
        match event["type"]:
            case "input_audio_buffer.speech_stopped":
                self._awaits_answer = True
            case "input_audio_buffer.speech_started":  # clients throw away what they have not played
                self._awaits_answer = False
                self._audible_until_s = min(self._audible_until_s, now_s)
            case "input_audio_buffer.cleared":
                self._awaits_answer = False
            case "response.created":
                self._awaits_answer = False
                self._making.add(event["response"]["id"])
            case "response.done":
                self._making.discard(event["response"]["id"])
            case "conversation.item.input_audio_transcription.failed":
                self._awaits_answer = False
            case _:
                pass

    def _response_ended(self, turn: TurnMetrics, now_s: float) -> None:
        self._figures.responses += 1
        if (latency_ms := turn.stages_ms.get("voice_to_voice")) is not None:
            self._figures.voice_to_voice_ms = latency_ms
        if turn.status == "cancelled":
            self._audible_until_s = now_s
        self._sessions.turn_ended(turn, now_s)

    def _tool_ended(self, run_id: int, outcome: str, now_s: float) -> None:
        if (run := self._runs.pop(run_id, None)) is not None:
            name, started_s = run
            self._metrics.tool_seconds.labels(name, outcome).observe(now_s - started_s)


class SessionList:
    """All sessions of a server, and the latencies of its last minutes."""

    def __init__(self, metrics: Metrics, max_sessions: int, engines: Mapping[str, str], clock: Clock = time.monotonic):
        """`engines`: slot -> name."""
        self._metrics = metrics
        self._max_sessions = max_sessions
        self._engines = dict(engines)
        self._clock = clock
        self._started_s = clock()
        self._lock = threading.Lock()
        self._sessions: dict[str, ListedSession] = {}
        self._turns: deque[tuple[float, Mapping[Stage, int]]] = deque(maxlen=MAX_TURNS)
        metrics.watch_states(self.states)

    def observer(self, session_id: str, _options: SessionOptions) -> ListedSession:
        return ListedSession(session_id, self, self._metrics, self._clock)

    def add(self, session: ListedSession) -> None:
        """It has opened."""
        with self._lock:
            self._sessions[session.id] = session

    def forget(self, session: ListedSession) -> None:
        with self._lock:
            self._sessions.pop(session.id, None)

    def turn_ended(self, turn: TurnMetrics, now_s: float) -> None:
        with self._lock:
            self._turns.append((now_s, turn.stages_ms))

    def states(self) -> dict[str, int]:
        """state -> sessions in it."""
        counted: dict[str, int] = dict.fromkeys(("listening", "thinking", "speaking"), 0)
        now_s = self._clock()
        for session in self._open():
            counted[session.state(now_s)] += 1
        return counted

    def snapshot(self) -> dict[str, Any]:
        """What `GET /v1/sessions` answers."""
        now_s = self._clock()
        sessions = self._open()
        return {
            "object": "list",
            "data": [session.view(now_s) for session in sessions],
            "max_sessions": self._max_sessions,
            "waiting": self._metrics.waiting(),
            "uptime_s": round(now_s - self._started_s, 1),
            "engines": self._engines,
            "queues": self._metrics.queue_depths(),
            "latency": {"window_s": WINDOW_S, **self._latencies(now_s)},
            "process": self._metrics.process(),
        }

    def _open(self) -> list[ListedSession]:
        with self._lock:
            return list(self._sessions.values())

    def _latencies(self, now_s: float) -> dict[str, Any]:
        with self._lock:
            recent = [stages for at_s, stages in self._turns if at_s >= now_s - WINDOW_S]
        found: dict[str, Any] = {"turns": sum("voice_to_voice" in stages for stages in recent), "stages": {}}
        for stage in STAGES:
            if values := [stages[stage] for stages in recent if stage in stages]:
                p50, p95 = (round(float(value)) for value in np.percentile(values, (50, 95)))
                found["stages"][stage] = {"n": len(values), "p50_ms": p50, "p95_ms": p95}
        return found
