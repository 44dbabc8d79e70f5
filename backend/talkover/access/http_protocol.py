"""uvicorn's HTTP protocol with patience that ends, and a number of connections that does, too.

As it comes, uvicorn waits for ever: for the head of a request (slow loris), for its body, and for a client that does
not take its answer. It bounds only how long a connection may idle between two requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from talkover.access.connections import ConnectionTable

MIN_BODY_BYTES_PER_S = 16 * 1024
"""a telephone on the edge of its network sends more"""
WRITE_TIMEOUT_S = 60.0
"""a client that takes nothing of its answer for so long is dropped"""

_BUSY_BODY = (
    b'{"error":{"message":"Too many connections.","type":"invalid_request_error","param":null,'
    b'"code":"rate_limit_exceeded"}}'
)
_BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BUSY_BODY), _BUSY_BODY)
)
_OF_UPGRADE = (b"connection", b"upgrade", b"origin")
_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a client, in seconds."""

    read_s: float
    """for the head of a request, and for its body to come up to `MIN_BODY_BYTES_PER_S`"""
    write_s: float
    """for a client to take some of its answer"""


class UpgradedProtocol(Protocol):
    """What takes over a connection that becomes a WebSocket."""

    on_lost: Callable[[], None]


class GuardedHttpProtocol(H11Protocol):
    """Given to uvicorn as `http`, with its first two arguments bound."""

    def __init__(self, table: ConnectionTable, patience: Patience, **options: Any) -> None:
        super().__init__(**options)
        self._table = table
        self._patience = patience
        self._address: str | None = None
        """what the table counts this connection as; None: it does not"""
        self._reading: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        """when the head or the body has to be there"""
        self._in_body = False
        self._writing: asyncio.TimerHandle | None = None

    # ----------------------------------------------------------------------------------------------- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._table.enter(address):
            self.transport = transport
            transport.write(_BUSY)
            transport.close()
            return
        self._address = address
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reading_timer()
        self._stop_writing_timer()
        self._leave()
        super().connection_lost(exc)

    def _leave(self) -> None:
        if self._address is not None:
            self._table.leave(self._address)
            self._address = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Handshakes whose fields are not ASCII go no further: websockets 15 quotes them in its refusal, cannot encode
        that, and leaves uvicorn with a connection that it counts for ever."""
        if not all(value.isascii() for name, value in self.headers if name in _OF_UPGRADE or name.startswith(b"sec-")):
            self.send_400_response("The handshake must be of ASCII characters.")
            return
        super().handle_websocket_upgrade(event)
        self._stop_reading_timer()
        self._stop_writing_timer()
        cast(UpgradedProtocol, self.transport.get_protocol()).on_lost = self._leave

    # ----------------------------------------------------------------------------------------------------- reading

    def data_received(self, data: bytes) -> None:
        if self._address is None:  # turned away
            return
        super().data_received(data)
        if self._in_body:
            self._due_s += len(data) / MIN_BODY_BYTES_PER_S
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """Expect what the client has to send next, if anything."""
        state = self.conn.their_state
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._stop_reading_timer()
        elif state is h11.SEND_BODY:
            if not self._in_body:
                self._stop_reading_timer()
                self._in_body = True
                self._expect_within(self._patience.read_s)
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._in_body = False
            if self._reading is None:
                self._expect_head()
        elif state is not h11.IDLE or self._in_body:
            self._stop_reading_timer()

    def _expect_head(self) -> None:
        self._in_body = False
        self._expect_within(self._patience.read_s)

    def _expect_within(self, seconds: float) -> None:
        self._due_s = self.loop.time() + seconds
        self._reading = self.loop.call_later(seconds, self._is_due)

    def _is_due(self) -> None:
        """The time for head or body is over, unless what came of the body has bought some."""
        self._reading = None
        if self._in_body and self.flow.read_paused:  # it is we who do not read
            self._expect_within(self._patience.read_s)
        elif (left_s := self._due_s - self.loop.time()) > 0:
            self._reading = self.loop.call_later(left_s, self._is_due)
        else:
            if not self._in_body:
                self.transport.write(_LATE)
            self.transport.close()

    def _stop_reading_timer(self) -> None:
        self._in_body = False
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    # ----------------------------------------------------------------------------------------------------- writing

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_writing_timer()
        self._writing = self.loop.call_later(self._patience.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing_timer()

    def _stop_writing_timer(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
