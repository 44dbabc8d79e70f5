"""Several endpoints as one engine: when the first fails or is slow to begin, the next takes over.

Every endpoint that is asked streams in a thread of its own into one bounded queue, so that the caller can follow
whichever speaks first. The decisions are those of `endpoint_race.py`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, Full, Queue

from talkover.engines import EngineFailed, IsStale, LlmCall, LlmEngine, LlmEvent, LlmFinished, LlmText
from talkover.llm.endpoint_race import EndpointHealth, Race
from talkover.messages import Prompt

log = logging.getLogger(__name__)

QUEUE_EVENTS = 64
POLL_S = 0.02
"""how often staleness is looked at while waiting"""


@dataclass(slots=True)
class _Attempt:
    """One endpoint at work on one answer."""

    index: int
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


_Reports = Queue[tuple[_Attempt, "LlmEvent | _Failed"]]


class FailoverResponder:
    """Shared by all sessions; as many responses side by side as its endpoints serve."""

    def __init__(self, engines: Sequence[LlmEngine], hedge_after_s: float, rest_s: float) -> None:
        """`engines` in the order in which to ask them; they should not retry by themselves."""
        self.name = engines[0].name
        self._engines = tuple(engines)
        self._hedge_after_s = hedge_after_s
        self._health = EndpointHealth(len(engines), rest_s)
        self._lock = threading.Lock()
        """of `_health`"""

    def warmup(self) -> None:
        with ThreadPoolExecutor(len(self._engines), thread_name_prefix="warm-endpoint") as pool:
            for warmed in [pool.submit(engine.warmup) for engine in self._engines]:
                warmed.result()

    def close(self) -> None:
        for engine in self._engines:
            engine.close()

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        """Stream the answer of the endpoint that speaks first. Raises EngineFailed when none does."""
        with self._lock:
            race = Race(self._health.order(time.monotonic()), self._hedge_after_s)
        reports: _Reports = Queue(QUEUE_EVENTS)
        attempts: dict[int, _Attempt] = {}
        try:
            while not is_stale():
                now_s = time.monotonic()
                while (index := race.start(now_s)) is not None:
                    attempts[index] = self._begin(index, prompt, reports)
                try:
                    attempt, event = reports.get(timeout=_wait_s(race, now_s))
                except Empty:
                    continue
                if attempt.cancelled.is_set():
                    continue
                if isinstance(event, _Failed):
                    self._endpoint_failed(race, attempt.index, event.error)
                    continue
                if race.winner is None and isinstance(event, (LlmText, LlmCall, LlmFinished)):
                    self._endpoint_spoke(race, attempts, attempt.index)
                yield event
                if isinstance(event, LlmFinished):
                    return
        finally:
            for attempt in attempts.values():
                attempt.cancelled.set()

    def _begin(self, index: int, prompt: Prompt, reports: _Reports) -> _Attempt:
        attempt = _Attempt(index)
        name = f"llm-endpoint-{index}"
        threading.Thread(target=self._stream, args=(attempt, prompt, reports), name=name, daemon=True).start()
        return attempt

    def _stream(self, attempt: _Attempt, prompt: Prompt, reports: _Reports) -> None:
        """One endpoint's answer into the queue, until it ends or is cancelled."""
        is_cancelled = attempt.cancelled.is_set
        try:
            for event in self._engines[attempt.index].respond(prompt, is_cancelled):
                if not _put(reports, (attempt, event), is_cancelled):
                    return
        except Exception as error:  # reported to the thread that waits, which raises it
            _put(reports, (attempt, _Failed(error)), is_cancelled)

    def _endpoint_spoke(self, race: Race, attempts: dict[int, _Attempt], index: int) -> None:
        losers = race.spoke(index)
        for loser in losers:
            attempts[loser].cancelled.set()
            log.warning("language model: endpoint %d was faster than %d", index + 1, loser + 1)
        asked_before = [loser for loser in losers if race.order.index(loser) < race.order.index(index)]
        with self._lock:
            self._health.spoke(index)
            self._health.failed(asked_before, time.monotonic())

    def _endpoint_failed(self, race: Race, index: int, error: Exception) -> None:
        """Raises the error when nobody is left to take over, or when the answer had begun."""
        with self._lock:
            self._health.failed((index,), time.monotonic())
        if race.winner is not None or not isinstance(error, EngineFailed):
            raise error
        race.failed(index, str(error))
        if race.is_lost:
            raise EngineFailed("; ".join(race.failures[index] for index in race.order))
        log.warning("language model: %s; the next endpoint takes over", error)


def _wait_s(race: Race, now_s: float) -> float:
    next_at_s = race.next_at_s(now_s)
    return POLL_S if next_at_s is None else max(0.0, min(POLL_S, next_at_s - now_s))


def _put(reports: _Reports, item: tuple[_Attempt, LlmEvent | _Failed], is_cancelled: IsStale) -> bool:
    """False when it was cancelled while there was no room."""
    while not is_cancelled():
        try:
            reports.put(item, timeout=POLL_S)
        except Full:
            continue
        return True
    return False
