"""An event loop in a thread of its own, for engines that call servers: a caller waits, and may stop at any time.

Cancelling ends the request itself: the coroutine is cancelled on the loop, which closes its connection.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from typing import Any, TypeVar

from talkover.engines import IsStale

Result = TypeVar("Result")

POLL_S = 0.02
"""how often `is_stale` is asked while waiting"""
CLOSE_TIMEOUT_S = 2.0


class Stale(Exception):
    """The caller does not want the result any more."""


class TooSlow(Exception):
    """The deadline passed."""


class LoopThread:
    """Runs coroutines for any number of threads."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, Result], is_stale: IsStale, until_s: float) -> Result:
        """The result of `work`; it is cancelled when stale, or at `until_s` of the monotonic clock.

        Raises Stale, TooSlow, and what `work` raises.
        """
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while not future.done():
                if is_stale():
                    raise Stale
                remaining_s = until_s - time.monotonic()
                if remaining_s <= 0:
                    raise TooSlow
                wait((future,), min(POLL_S, remaining_s))
            return future.result()
        except CancelledError:
            raise Stale from None
        finally:
            future.cancel()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` without waiting for it; not at all once closed."""
        if self._loop.is_closed():
            work.close()
        else:
            asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel what runs, run `last`, end the thread; may be called twice."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(last), self._loop).result(CLOSE_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_TIMEOUT_S)
        self._loop.close()

    async def _end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await last()
        await self._loop.shutdown_default_executor()
