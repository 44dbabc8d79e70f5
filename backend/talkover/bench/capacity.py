"""What a conversation costs, and how many of them one core carries before they get slow."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from talkover.bench.caller import Caller, Exchange
from talkover.bench.figures import Figure, PartResult, summarize
from talkover.bench.machine import OtherLoad
from talkover.bench.part import Setting
from talkover.client.connection import ConversationEnded, ServerFull, ServerUnreachable
from talkover.client.recordings import Recording
from talkover.client.server_process import ServerProcess

LEVELS = (1, 2, 4, 8, 12, 16)
QUICK_LEVELS = (1, 4)
LISTEN_S = 2.0
"""how much of each answer is listened to before the next question"""
MAX_QUESTION_MS = 4000.0
UNLIMITED = ("server.max_sessions=64", "server.max_lag_ms=none")
"""nobody is refused: how it gets slow is to be seen"""
SLOW_FACTOR = 2.0
"""a level is too much when its p95 is more than this many times that of one conversation alone"""
MIN_ANSWERED = 0.95
STAGGER_S = 1.7


@dataclass(slots=True)
class Level:
    """So many conversations at the same time."""

    sessions: int
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    failures: list[str] = field(default_factory=list[str])
    refused: int = 0
    """callers the server had no place for"""
    cpu_s: float | None = None
    elapsed_s: float = 0.0
    other_cores: float | None = None

    @property
    def times_ms(self) -> list[float]:
        return [e.voice_to_voice_ms for e in self.exchanges if e.voice_to_voice_ms is not None]

    @property
    def answered(self) -> float:
        return len(self.times_ms) / max(1, len(self.exchanges))

    @property
    def cpu_s_per_session_minute(self) -> float | None:
        if self.cpu_s is None or not self.elapsed_s:
            return None
        return self.cpu_s / self.sessions / (self.elapsed_s / 60)

    def json(self) -> dict[str, Any]:
        return {
            "sessions": self.sessions,
            "voice_to_voice_ms": [round(value, 1) for value in self.times_ms],
            "asked": len(self.exchanges),
            "failures": self.failures,
            "refused": self.refused,
            "cpu_s": self.cpu_s,
            "elapsed_s": self.elapsed_s,
            "other_cores": self.other_cores,
            "microphone_lag_ms": max((e.microphone_lag_ms for e in self.exchanges), default=None),
        }


def measure(setting: Setting) -> PartResult:
    questions = setting.speech.utterances(16, MAX_QUESTION_MS)
    arguments = [part for override in UNLIMITED for part in ("--set", override)]
    with on_one_core(setting, *arguments) as (server, remark):
        idle_s = _idle(setting, server)
        levels = _ramp(setting, server, questions)
    return PartResult(
        "capacity",
        "What one core carries",
        (Figure("CPU of a listening session", "s/min", value=idle_s), *score(levels)),
        (remark,),
        [level.json() for level in levels],
    )


@contextmanager
def on_one_core(setting: Setting, *arguments: str) -> Generator[tuple[ServerProcess, str]]:
    """A ready server with a core of its own, and a remark that says so; its clients have the others.

    Raises ServerFailed.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        own, remark = {cores[0]}, f"server and its workers on core {cores[0]}, clients on {cores[1:]}"
        os.sched_setaffinity(0, cores[1:])
    else:
        own, remark = None, "server and clients share the only core: the figures are too low"
    try:
        with ServerProcess((*setting.server_arguments, *arguments), environ=setting.environ, cores=own) as server:
            server.wait_ready()
            yield server, remark
    finally:
        if len(cores) > 1:
            os.sched_setaffinity(0, cores)


def _idle(setting: Setting, server: ServerProcess) -> float | None:
    """CPU seconds of the server for a minute of one session in which nobody speaks."""
    n_sessions, listen_s = 4, setting.count(12, 4)
    setting.advance(f"{n_sessions} sessions, nobody speaks", 0.0)
    with ExitStack() as stack:
        for index in range(n_sessions):
            stack.enter_context(Caller(server.url, key=setting.key, seed=index))
        time.sleep(1.0)
        before_s = server.cpu_s()
        started_s = time.monotonic()
        time.sleep(listen_s)
        after_s, elapsed_s = server.cpu_s(), time.monotonic() - started_s
    if before_s is None or after_s is None:
        return None
    return (after_s - before_s) / n_sessions / (elapsed_s / 60)


def _ramp(setting: Setting, server: ServerProcess, questions: Sequence[Recording]) -> list[Level]:
    """Level by level, until one is too much."""
    counts = QUICK_LEVELS if setting.quick else LEVELS
    levels: list[Level] = []
    for index, n_sessions in enumerate(counts):
        setting.advance(f"{n_sessions} conversations at once", (index + 1) / (len(counts) + 1))
        # the fewer there are, the longer it takes to hear enough answers for a percentile
        duration_s = setting.count(30 if n_sessions <= 2 else 18, 9)
        levels.append(converse(server, setting.key, n_sessions, duration_s, questions))
        if is_too_much(levels[-1], levels[0]):
            break
    return levels


def converse(
    server: ServerProcess, key: str | None, n_sessions: int, duration_s: float, questions: Sequence[Recording]
) -> Level:
    """Hold conversations side by side; each asks one question after the other."""
    level = Level(n_sessions)
    lock = threading.Lock()
    end_s = time.monotonic() + duration_s

    def hold(index: int) -> None:
        time.sleep(STAGGER_S * index / n_sessions)
        try:
            with Caller(server.url, key=key, seed=index) as caller:
                turn = index
                while time.monotonic() < end_s:
                    exchange = caller.ask(questions[turn % len(questions)], listen_s=LISTEN_S)
                    turn += n_sessions
                    with lock:
                        level.exchanges.append(exchange)
        except ServerFull:
            with lock:
                level.refused += 1
        except (ServerUnreachable, ConversationEnded, TimeoutError) as error:
            with lock:
                level.failures.append(str(error))

    threads = [threading.Thread(target=hold, args=(index,), name=f"caller-{index}") for index in range(n_sessions)]
    load, before_s, started_s = OtherLoad(), server.cpu_s(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after_s, level.elapsed_s = server.cpu_s(), time.monotonic() - started_s
    level.cpu_s = None if before_s is None or after_s is None else after_s - before_s
    level.other_cores = load.cores()
    return level


def is_too_much(level: Level, alone: Level) -> bool:
    """Whether answers are missing or come much later than in one conversation alone."""
    summary, reference = summarize(level.times_ms), summarize(alone.times_ms)
    if level.failures or level.refused or level.answered < MIN_ANSWERED or summary is None or reference is None:
        return True
    return summary.p95 > SLOW_FACTOR * reference.p95


def score(levels: Sequence[Level]) -> list[Figure]:
    """The lines of the table."""
    figures: list[Figure] = []
    carried: int | None = None
    for level in levels:
        others = "" if level.other_cores is None else f", others used {level.other_cores:.1f} cores"
        note = f"{len(level.times_ms)} of {len(level.exchanges)} answered{others}"
        if level.failures:
            note += f", {len(level.failures)} broke off: {level.failures[0]}"
        figures.append(Figure(f"voice to voice, {level.sessions} at once", "ms", summarize(level.times_ms), note=note))
        if not is_too_much(level, levels[0]):
            carried = level.sessions
    talking = next((level.cpu_s_per_session_minute for level in levels if level.sessions > 1), None)
    talking = levels[0].cpu_s_per_session_minute if talking is None and levels else talking
    return [
        Figure("CPU of a conversation", "s/min", value=talking),
        *figures,
        Figure(
            "conversations one core carries",
            "",
            value=None if carried is None else float(carried),
            note="the most tried" if carried is not None and carried == levels[-1].sessions else "p95 doubles beyond",
        ),
    ]
