"""Work of one REST request in threads: bounded in number, stopped when its client leaves. The event loop only waits."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from talkover.rest.errors import busy

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_SEND_S = 30.0
"""a client that takes nothing for so long gives its place to others"""


class Places:
    """How many jobs of one kind run at once; one more is refused with 503, never queued."""

    def __init__(self, what: str, limit: int, retry_after_s: int = 2) -> None:
        self.what = what
        self.free = limit
        self.retry_after_s = retry_after_s
        # Their own threads, so that long jobs never take those in which the framework opens files.
        self.threads = anyio.CapacityLimiter(limit)

    def take(self) -> Job:
        """A job, to be closed by whoever took it. Raises ApiError 503. Call on the event loop."""
        if self.free == 0:
            raise busy(self.what, self.retry_after_s)
        self.free -= 1
        return Job(self)


class Job:
    """One request's work."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._abandoned = False
        self._closed = False
        self._under_way: list[Generator[Any, None, None]] = []

    def is_stale(self) -> bool:
        """Whether nobody waits for the result any more; asked by the engines."""
        return self._abandoned

    def abandon(self) -> None:
        """The client left."""
        self._abandoned = True

    async def close(self) -> None:
        """The request ended: let go of what the work holds, then free the place."""
        self._abandoned = True
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            for items in self._under_way:
                await self.run(items.close)
        self._places.free += 1

    @asynccontextmanager
    async def watching(self, request: Request) -> AsyncGenerator[None]:
        """Abandon the work as soon as the client of `request`, whose body has been read, leaves."""

        async def until_left() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            self.abandon()

        watcher = asyncio.create_task(until_left())
        try:
            yield
        finally:
            watcher.cancel()

    async def run(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._places.threads)

    async def iterate(self, items: Generator[T, None, None]) -> AsyncIterator[T]:
        """Advance `items` in a thread, one step per item taken: a client that reads slowly slows the work down."""
        self._under_way.append(items)
        end = object()
        while (item := await self.run(lambda: next(items, end))) is not end:
            yield item  # type: ignore[misc]  # `end` was just ruled out


class JobResponse(StreamingResponse):
    """Streams what a job makes; the job ends with the response, however that ends."""

    def __init__(self, job: Job, content: AsyncIterator[bytes], media_type: str) -> None:
        # Proxies that buffer would undo the streaming.
        super().__init__(content, media_type=media_type, headers={"X-Accel-Buffering": "no"})
        self.job = job

    async def listen_for_disconnect(self, receive: Receive) -> None:
        await super().listen_for_disconnect(receive)
        self.job.abandon()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            with anyio.fail_after(MAX_SEND_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            # The server closes a connection whose answer was not completed.
            log.warning("a client took nothing for %.0f s and was dropped", MAX_SEND_S)
        finally:
            await self.job.close()


def server_sent_event(payload: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()
