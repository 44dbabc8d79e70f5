"""A bad network on the loopback: a TCP proxy, and one that understands WebSocket messages, before a server.

WebSocket runs on TCP, where nothing is lost for good: a lost packet is sent again after a retransmission timeout, and
all that follows waits for it. `NetworkFault.loss` models that, in segments of 1460 bytes and a timeout of 200 ms that
doubles (RFC 6298 with Linux's lower bound). `message_loss` is another thing: whole messages of microphone audio that
never leave the client, as of an application that drops them when it is short of time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

SEGMENT_BYTES = 1460
READ_BYTES = 8 * SEGMENT_BYTES
FIRST_RETRANSMISSION_S = 0.2
MAX_RETRANSMISSIONS = 4
"""in a row; a real stack goes on for minutes"""
MAX_IN_FLIGHT = 512
"""pieces under way in one direction; then the sender is made to wait"""
MAX_MESSAGE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """What happens to the victim's connections while the proxy's switch is on."""

    delay_ms: float = 0.0
    """each way"""
    jitter_ms: float = 0.0
    """on top of it, evenly between 0 and this; order is kept, as TCP does"""
    loss: float = 0.0
    """share of segments that have to be sent again"""
    message_loss: float = 0.0
    """share of messages with microphone audio that never arrive"""
    reset_after_bytes: int | None = None
    """from the server; then both sides see the connection reset"""
    freeze_after_bytes: int | None = None
    """from the server; then nothing goes through any more and nobody is told"""
    seed: int = 0


class NetworkProxy:
    """Stands before a realtime server from `with` on; its thread runs an event loop."""

    def __init__(self, url: str, fault: NetworkFault) -> None:
        """`url`: of the server, ws only: what is inside TLS cannot be told apart."""
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._target_url = url
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._fault = fault
        self._random = random.Random(fault.seed)
        self.is_on = False
        self.dropped_messages = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready: Future[None] = Future()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="chaos-network", daemon=True)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}{self._path}"

    def turn(self, on: bool) -> None:
        self.is_on = on

    def __enter__(self) -> NetworkProxy:
        self._thread.start()
        self._ready.result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(10)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._listen())
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        handle = self._messages if self._fault.message_loss else self._bytes
        await handle()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _listens_on(self, port: int) -> None:
        self.port = port
        self._ready.set_result(None)

    # -------------------------------------------------------------------------------------------------- TCP

    async def _bytes(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self._listens_on(server.sockets[0].getsockname()[1])
        await self._closing.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        went = _Went()

        def cut() -> None:
            for side in (writer, far_writer):
                _reset(side)

        try:
            await _first_of(
                self._pump(reader, far_writer, went, cut, is_downward=False),
                self._pump(far_reader, writer, went, cut, is_downward=True),
            )
        finally:
            for side in (writer, far_writer):
                side.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        went: _Went,
        cut: Callable[[], None],
        is_downward: bool,
    ) -> None:
        """One direction: read at once, write when it has arrived."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_IN_FLIGHT)

        async def deliver() -> None:
            while True:
                due_s, data = await under_way.get()
                await asyncio.sleep(max(0.0, due_s - self._loop.time()))
                if went.is_frozen:
                    continue
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        async def take() -> None:
            last_due_s = 0.0
            while data := await reader.read(READ_BYTES):
                last_due_s = max(last_due_s, self._loop.time() + self._travel_s(len(data)))
                await under_way.put((last_due_s, data))
                if is_downward:
                    went.count(len(data), self._fault, self.is_on)
                if went.is_cut:
                    cut()
                    return
            await under_way.put((last_due_s, b""))
            await self._closing.wait()  # `deliver` ends it

        with contextlib.suppress(OSError):
            await _first_of(deliver(), take())
        if went.is_frozen:  # neither side is told
            await self._closing.wait()

    def _travel_s(self, n_bytes: int) -> float:
        """How long a piece is under way."""
        fault = self._fault
        if not self.is_on:
            return 0.0
        travel_s = (fault.delay_ms + self._random.uniform(0, fault.jitter_ms)) / 1000
        for _ in range(-(-n_bytes // SEGMENT_BYTES) if fault.loss else 0):
            timeout_s, attempts = FIRST_RETRANSMISSION_S, 0
            while self._random.random() < fault.loss and attempts < MAX_RETRANSMISSIONS:
                travel_s += timeout_s
                timeout_s, attempts = 2 * timeout_s, attempts + 1
        return travel_s

    # -------------------------------------------------------------------------------------------------- messages

    async def _messages(self) -> None:
        async with serve(self._session, "127.0.0.1", 0, compression=None, max_size=MAX_MESSAGE_BYTES) as server:
            self._listens_on(next(iter(server.sockets)).getsockname()[1])
            await self._closing.wait()

    async def _session(self, client: ServerConnection) -> None:
        assert client.request is not None
        kept = {name: client.request.headers[name] for name in ("Authorization",) if name in client.request.headers}
        async with connect(
            self._target_url, additional_headers=kept, compression=None, max_size=MAX_MESSAGE_BYTES, proxy=None
        ) as far:

            async def up() -> None:
                async for message in client:
                    if self._arrives(message):
                        await far.send(message)

            async def down() -> None:
                async for message in far:
                    await client.send(message)

            with contextlib.suppress(ConnectionClosed):
                await _first_of(up(), down())

    def _arrives(self, message: str | bytes) -> bool:
        if not self.is_on or self._random.random() >= self._fault.message_loss:
            return True
        with contextlib.suppress(msgspec.DecodeError):
            kind: Any = msgspec.json.decode(message)
            if isinstance(kind, dict) and kind.get("type") == "input_audio_buffer.append":
                self.dropped_messages += 1
                return False
        return True


class _Went:
    """What has gone through a connection."""

    def __init__(self) -> None:
        self._n_bytes = 0
        self.is_cut = False
        self.is_frozen = False

    def count(self, n_bytes: int, fault: NetworkFault, is_on: bool) -> None:
        """Bytes from the server, counted from when the fault is on."""
        if not is_on:
            return
        self._n_bytes += n_bytes
        if fault.reset_after_bytes is not None and self._n_bytes >= fault.reset_after_bytes:
            self.is_cut = True
        if fault.freeze_after_bytes is not None and self._n_bytes >= fault.freeze_after_bytes:
            self.is_frozen = True


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side gets a reset."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _first_of(*parts: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends; the others are ended."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
