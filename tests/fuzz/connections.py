"""What comes over a connection, as bytes: heads and bodies of HTTP, handshakes and frames of WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from starlette.types import Receive, Scope, Send

from fuzz.harness import Fuzzer
from talkover.config import load_settings
from talkover.serving import asgi_server

_PEER = ("192.0.2.1", 1)
_TURNS = 8
"""of the event loop, after which everything has been answered that can be"""


class _Wire(asyncio.Transport):
    """A connection on which nothing is ever late."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": _PEER, "sockname": ("192.0.2.2", 8000)})
        self.loop = loop
        self.protocol: Any = None
        self.sent = bytearray()
        self.closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def write(self, data: Any) -> None:
        self.sent += data

    def write_eof(self) -> None:
        """Only said."""

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    resume_reading = pause_reading


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes all there is, and says that it was enough."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "{}"})
        return
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


_LOOP = asyncio.new_event_loop()
_SERVER = asgi_server(_app, load_settings(None, (), {}), 0.0)  # pyright: ignore[reportArgumentType]
_SERVER.config.load()
_HTTP: Any = _SERVER.config.http_protocol_class


def fuzz_connection_bytes(data: bytes) -> None:
    """All that comes over one connection, in pieces between `%%`, of which those that begin with `+` come too early for
    what was before to be answered: it is answered or refused, and nothing stays."""
    state, (table, _) = _SERVER.server_state, _HTTP.args
    with _quiet():
        sent = _LOOP.run_until_complete(_sent([piece for piece in data.split(b"%%") if piece]))
    assert not sent or sent.startswith(b"HTTP/1.1 ")
    kept = len(state.connections), len(state.tasks), len(table)
    state.connections.clear()  # for the next input
    state.tasks.clear()
    assert kept == (0, 0, 0)


async def _sent(pieces: list[bytes]) -> bytes:
    """What the server answers to a connection that is lost behind the last piece."""
    wire = _Wire(_LOOP)
    wire.protocol = _HTTP(config=_SERVER.config, server_state=_SERVER.server_state, app_state={}, _loop=_LOOP)
    wire.protocol.connection_made(wire)
    for piece in pieces:
        if not piece.startswith(b"+"):
            await _turns()
        if not wire.closing:
            wire.protocol.data_received(piece.removeprefix(b"+") or b"+")
    await _turns()
    wire.protocol.connection_lost(None)
    await _turns()
    return bytes(wire.sent)


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """uvicorn tells of every request that is none, and that `_app` answers to who has left."""
    log = logging.getLogger("uvicorn.error")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


FUZZERS = (Fuzzer("connection_bytes", fuzz_connection_bytes),)
