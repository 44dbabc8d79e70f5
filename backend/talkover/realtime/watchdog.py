"""Notices what no time-out covers: a session's thread, or the event loop, that has work and does not get on with it.

The pipeline's engines have time-outs of their own. What may still hang is what runs in the session's thread (the VAD,
the core itself) and the loop that moves all frames. A stuck session is reported with the stack of its thread, without
the values in it, and closed with 1011 so that its client can call again; others never notice. A stuck loop can only be
reported: the health check fails by itself then, and whoever runs the process restarts it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from talkover.metrics import Metrics

log = logging.getLogger(__name__)

LOOKS_PER_LIMIT = 5
MAX_PERIOD_S = 1.0
EVENT_LOOP = "event loop"


@dataclass(frozen=True, slots=True)
class Pulse:
    """How something that works in steps is doing."""

    steps: int
    """done so far"""
    has_work: bool
    """it is in a step, or something waits for one"""


@dataclass(slots=True)
class _Seen:
    steps: int
    waited_s: float = 0.0
    is_reported: bool = False


class Vigil:
    """Who has had work for too long without a step. Pure.

    Time in which the process itself did not run (a laptop asleep, a paused container) counts for nobody: of the time
    between two looks no more counts than was planned.
    """

    def __init__(self, limit_s: float, period_s: float) -> None:
        """`period_s`: planned time between two looks."""
        self._limit_s = limit_s
        self._most_s = 2 * period_s
        self._seen: dict[str, _Seen] = {}
        self._looked_s: float | None = None

    def look(self, pulses: Mapping[str, Pulse], now_s: float) -> list[str]:
        """Names of those that are found stuck now, each once until it steps again."""
        elapsed_s = 0.0 if self._looked_s is None else min(now_s - self._looked_s, self._most_s)
        self._looked_s = now_s
        stuck: list[str] = []
        seen: dict[str, _Seen] = {}
        for name, pulse in pulses.items():
            before = self._seen.get(name)
            one = seen[name] = before if before is not None and before.steps == pulse.steps else _Seen(pulse.steps)
            one.waited_s = one.waited_s + elapsed_s if one is before and pulse.has_work else 0.0
            if one.waited_s >= self._limit_s and not one.is_reported:
                one.is_reported = True
                stuck.append(name)
        self._seen = seen
        return stuck


class Watched(Protocol):
    """A session's thread, as far as the watchdog knows it."""

    id: str

    @property
    def thread_id(self) -> int | None: ...

    def pulse(self) -> Pulse: ...

    def give_up(self) -> None:
        """Close the connection; called from another thread, must not wait for the stuck one."""
        ...


class _LoopPulse:
    """Steps whenever the loop gets round to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.thread_id = threading.get_ident()
        self._loop = loop
        self._steps = 0
        self._is_asked = False

    def pulse(self) -> Pulse:
        if not self._is_asked and not self._loop.is_closed():
            self._is_asked = True
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # closed since
                self._is_asked = False
        return Pulse(self._steps, self._is_asked)

    def _answer(self) -> None:
        self._steps += 1
        self._is_asked = False


class Watchdog:
    """Of one process; a thread that looks a few times in every `limit_s`."""

    def __init__(self, limit_s: float, metrics: Metrics) -> None:
        self._period_s = min(MAX_PERIOD_S, limit_s / LOOKS_PER_LIMIT)
        self._vigil = Vigil(limit_s, self._period_s)
        self._limit_s = limit_s
        self._metrics = metrics
        self._lock = threading.Lock()
        self._sessions: dict[str, Watched] = {}
        self._loop: _LoopPulse | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, session: Watched) -> None:
        """Until `forget`. Called on the event loop, which is watched from then on, too."""
        with self._lock:
            self._sessions[session.id] = session
            if self._loop is None:
                self._loop = _LoopPulse(asyncio.get_running_loop())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()

    def forget(self, session_id: str) -> None:
        with self._lock:
            self._sessions.pop(session_id, None)

    def close(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            with self._lock:
                sessions, loop = dict(self._sessions), self._loop
            pulses = {name: session.pulse() for name, session in sessions.items()}
            if loop is not None:
                pulses[EVENT_LOOP] = loop.pulse()
            for name in self._vigil.look(pulses, time.monotonic()):
                if name == EVENT_LOOP and loop is not None:
                    self._report("event_loop", "the event loop", loop.thread_id)
                else:
                    self._report("session", f"session {name}", sessions[name].thread_id)
                    sessions[name].give_up()

    def _report(self, what: Literal["session", "event_loop"], name: str, thread_id: int | None) -> None:
        log.error("%s has not got on with its work for %g s; it is at\n%s", name, self._limit_s, stack_of(thread_id))
        self._metrics.stuck_total.labels(what).inc()


def stack_of(thread_id: int | None) -> str:
    """Files, lines and names of what a thread is doing; no values, which may be what somebody said."""
    frames: Callable[[], Mapping[int, object]] = sys._current_frames  # pyright: ignore[reportPrivateUsage]
    frame = frames().get(thread_id or 0)
    return "".join(traceback.format_stack(frame)).rstrip() if frame is not None else "nowhere: its thread has ended"  # pyright: ignore[reportArgumentType]
