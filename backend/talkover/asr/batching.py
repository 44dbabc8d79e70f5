"""One thread through which all sessions reach a model: work that waits at the same time is done as one batch."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from talkover.engines import EngineFailed, IsStale

Job = TypeVar("Job")
Result = TypeVar("Result")

_POLL_S = 0.01
_CLOSE_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


class Ticket(Generic[Job, Result]):
    """One piece of work on its way through the thread."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cancelled = False
        self._done = threading.Event()
        self._result: Result | None = None
        self._error: EngineFailed | None = None

    def resolve(self, result: Result) -> None:
        self._result = result
        self._done.set()

    def fail(self, error: EngineFailed) -> None:
        self._error = error
        self._done.set()

    def cancel(self) -> None:
        """Nobody waits for it any more; it is skipped when it has not begun."""
        self.cancelled = True

    def wait(self, timeout_s: float, is_stale: IsStale) -> Result | None:
        """The result; None once stale. Raises EngineFailed, also when it takes longer than `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while not self._done.wait(_POLL_S):
            if is_stale():
                self.cancel()
                return None
            if time.monotonic() > deadline_s:
                self.cancel()
                raise EngineFailed(f"no result for {timeout_s:g} s")
        if self._error is not None:
            raise EngineFailed(str(self._error)) from self._error
        return None if is_stale() else self._result


class Batcher(Generic[Job, Result]):
    """A thread that runs `run` on up to `max_batch` jobs at once.

    It waits `gather_s` for company before it begins. When a batch fails, its jobs are tried one by one, so that one
    utterance cannot take the others with it.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Job]], Sequence[Result]],
        max_batch: int = 1,
        gather_s: float = 0.0,
        max_waiting: int = 256,
    ) -> None:
        self._name = name
        self._run = run
        self._max_batch = max_batch
        self._gather_s = gather_s
        self._waiting: queue.Queue[Ticket[Job, Result] | None] = queue.Queue(max_waiting)
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Ticket[Job, Result]:
        """Returns at once. Raises EngineFailed when too much is waiting, or when closed."""
        if self._closed:
            raise EngineFailed(f"{self._name}: the engine is closed")
        ticket = Ticket[Job, Result](job)
        try:
            self._waiting.put_nowait(ticket)
        except queue.Full:
            raise EngineFailed(f"{self._name}: {self._waiting.maxsize} utterances are waiting") from None
        return ticket

    def close(self) -> None:
        """End the thread after what it is doing; may be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self._waiting.put(None, timeout=_CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, ended = self._gather(first)
            if batch:
                self._work(batch)
            if ended:
                break
        while True:
            try:
                ticket = self._waiting.get_nowait()
            except queue.Empty:
                return
            if ticket is not None:
                ticket.fail(EngineFailed(f"{self._name}: the engine is closed"))

    def _gather(self, first: Ticket[Job, Result]) -> tuple[list[Ticket[Job, Result]], bool]:
        """Who goes together, and whether the thread is to end after them."""
        batch = [] if first.cancelled else [first]
        deadline_s = time.monotonic() + self._gather_s
        while len(batch) < self._max_batch:
            try:
                ticket = self._waiting.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                break
            if ticket is None:
                return batch, True
            if not ticket.cancelled:
                batch.append(ticket)
        return batch, False

    def _work(self, batch: Sequence[Ticket[Job, Result]]) -> None:
        try:
            results = self._run([ticket.job for ticket in batch])
        except Exception as error:  # a model's library raises anything; the thread must live
            if len(batch) > 1:
                for ticket in batch:
                    self._work([ticket])
                return
            _log.exception("%s failed", self._name)
            batch[0].fail(EngineFailed(f"{self._name}: {error}"))
            return
        for ticket, result in zip(batch, results, strict=True):
            ticket.resolve(result)
