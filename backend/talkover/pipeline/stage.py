"""The contract of a stage, and the thread around it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from talkover.engines import EngineFailed, IsStale
from talkover.messages import StageFailed
from talkover.pipeline.queues import BoundedQueue

log = logging.getLogger(__name__)

In = TypeVar("In")
Out = TypeVar("Out")
In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)

Emit = Callable[[Any, IsStale], bool]
"""hands an item to the next stage, waiting for room; False when it went stale"""


class Stage(Protocol[In_contra, Out_co]):
    """One step of the pipeline, for one session. Touches no queue, thread or socket."""

    name: str

    def process(self, item: In_contra, is_stale: IsStale) -> Iterator[Out_co]:
        """Yield results as soon as there are any; ask `is_stale` at least every 50 ms of work and stop when it is."""
        ...

    def reset(self) -> None:
        """The session ended: free what is still held."""
        ...


class StageThread(Generic[In, Out]):
    """Runs a stage: takes items from its bounded queue, hands results on, turns an exception into `StageFailed`."""

    def __init__(
        self,
        stage: Stage[In, Out],
        emit: Emit,
        stale_check: Callable[[In], IsStale],
        capacity: int,
        label: str,
    ) -> None:
        self.stage = stage
        self.queue: BoundedQueue[In] = BoundedQueue(capacity)
        self._emit = emit
        self._stale_check = stale_check
        self._thread = threading.Thread(target=self._run, name=f"{stage.name}-{label}", daemon=True)
        self._thread.start()

    def put(self, item: In, is_stale: IsStale) -> bool:
        return self.queue.put(item, is_stale)

    def close(self) -> None:
        """Stop after the current yield; does not wait."""
        self.queue.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False when its engine is stuck."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self.queue.get()) is not None:
            self._process(item)
        self.stage.reset()

    def _process(self, item: In) -> None:
        item_is_stale = self._stale_check(item)

        def is_stale() -> bool:
            return self.queue.is_closed or item_is_stale()

        if is_stale():
            return
        try:
            for result in self.stage.process(item, is_stale):
                if is_stale() or not self._emit(result, is_stale):
                    return
        except Exception as error:
            expected = isinstance(error, EngineFailed)
            log.warning("%s failed: %s", self.stage.name, error, exc_info=None if expected else error)
            self._emit(
                StageFailed(
                    stage=self.stage.name,
                    error=str(error) if expected else f"internal error ({type(error).__name__})",
                    generation=getattr(item, "generation", None),
                    response_id=getattr(item, "response_id", None),
                    item_id=getattr(item, "item_id", None),
                ),
                is_stale,
            )
