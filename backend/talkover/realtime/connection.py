"""One socket of a session: bytes between it and the session's thread, within bounds. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import encode_event
from talkover.realtime.ids import new_id
from talkover.realtime.session_thread import SessionThread

log = logging.getLogger(__name__)

TRY_AGAIN_LATER = 1013
"""registered with IANA for RFC 6455"""
CLOSE_TIMEOUT_S = 2.0
"""how long a client that does not read is given to take the close frame"""


class Connection:
    """One socket: reads into the session's inbox, writes what the session's thread hands over."""

    def __init__(self, socket: WebSocket, max_backlog_bytes: int) -> None:
        self._socket = socket
        self._max_backlog_bytes = max_backlog_bytes
        self._loop = asyncio.get_running_loop()
        self._frames: asyncio.Queue[str] = asyncio.Queue()  # bounded by bytes, see send
        self._backlog_bytes = 0
        self._lock = threading.Lock()
        self._closing: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        self._may_read = asyncio.Event()
        self._client_closed = False

    # ------------------------------------------------------------------------------- called from other threads

    def send(self, frames: list[str]) -> None:
        size = sum(len(frame) for frame in frames)
        with self._lock:
            self._backlog_bytes += size
            overflow = self._backlog_bytes > self._max_backlog_bytes
        if overflow:
            self.close(1008, "the client does not read")
        else:
            self._call(self._enqueue, frames)

    def close(self, code: int, reason: str) -> None:
        self._call(self._set_closing, code, reason)

    def audio_used_up(self) -> None:
        """The key of this connection has had its audio for today: say so, and end."""
        error = ProtocolError("rate_limit_exceeded", "The key has used up its audio for today; it renews at 0:00 UTC")
        self.send([encode_event(error.event() | {"event_id": new_id("event_")})])
        self.close(TRY_AGAIN_LATER, "audio used up")

    def resume_reading(self) -> None:
        self._call(self._may_read.set)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            log.debug("the event loop is gone")

    # ------------------------------------------------------------------------------------------- on the event loop

    async def run(self, session: SessionThread) -> bool:
        """Move frames until either side closes. True when the socket was lost: neither of them wanted to."""
        reader = asyncio.create_task(self._read(session))
        writer = asyncio.create_task(self._write())
        tasks: set[asyncio.Future[object]] = {reader, writer, self._closing}  # pyright: ignore[reportAssignmentType]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.done() and not reader.done():
                await self._finish(writer, *self._closing.result())
                return False
            if not reader.done():  # the writer noticed first: what the reader is about to be told says why
                await asyncio.wait({reader}, timeout=CLOSE_TIMEOUT_S)
            return not self._closing.done() and not self._client_closed
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _read(self, session: SessionThread) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                # uvicorn gives a reason, be it empty, with close frames and with frames that broke the protocol only;
                # codes of 4000 and above are of a client that gives up on the socket, not on the conversation
                self._client_closed = message.get("reason") is not None and message.get("code", 1005) < 4000
                return
            text: str | None = message.get("text")
            frame: str | bytes = text if text is not None else message.get("bytes") or b""
            self._may_read.clear()
            if not session.inbox.offer_frame(frame):
                await self._may_read.wait()

    async def _write(self) -> None:
        try:
            while True:
                frame = await self._frames.get()
                await self._socket.send_text(frame)
                with self._lock:
                    self._backlog_bytes -= len(frame)
        except (WebSocketDisconnect, RuntimeError):  # the client went away between two frames
            return

    async def _finish(self, writer: asyncio.Task[None], code: int, reason: str) -> None:
        """Send what is still to be sent, unless the client does not read, then the close frame."""
        if code != 1008:
            deadline = self._loop.time() + CLOSE_TIMEOUT_S
            while not self._frames.empty() and not writer.done() and self._loop.time() < deadline:
                await asyncio.sleep(0.01)
        writer.cancel()
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                await asyncio.wait_for(self._socket.close(code, reason), CLOSE_TIMEOUT_S)
            except (TimeoutError, RuntimeError):
                log.debug("the client did not take the close frame")

    def _enqueue(self, frames: list[str]) -> None:
        for frame in frames:
            self._frames.put_nowait(frame)

    def _set_closing(self, code: int, reason: str) -> None:
        if not self._closing.done():
            self._closing.set_result((code, reason))
