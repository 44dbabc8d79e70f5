"""uvicorn's WebSocket protocol with an end that arrives and does not last.

As it comes, uvicorn waits for a client that does not read before it writes the close frame, keeps a connection for as
long as its kernel holds unread data, and closes a socket with unread input, whereupon the kernel throws away the close
frame (RFC 1122, section 4.2.2.13: a reset). Nothing here changes a connection that is in use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

LINGER_S = 5.0
"""how long a client is given to take what was sent and the close frame behind it"""


class LingeringProtocol(WebSocketsSansIOProtocol):
    """Given to uvicorn as `ws`."""

    _discarding = False
    on_lost: Callable[[], None] | None = None
    """called once the connection is gone"""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close":
            self.writable.set()  # the close frame goes behind what the client has not read
        await super().send(message)
        if message["type"] == "websocket.close":
            self._abort_later()
        elif message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # refused, which is a complete answer

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            self.transport.abort()  # RFC 6455, section 4.1: a client waits for the answer to its handshake
        elif not self._discarding:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Say why (1009, 1007, 1002), then drop what the client is still sending until it has read that."""
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self._discarding = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._abort_later()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._abort_later()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._abort_later()

    def _abort_later(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.abort)
