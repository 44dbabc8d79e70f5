"""The shell around those who wait for a conversation: tells them their place, notices when they go, decides nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from talkover.realtime.admission import Admission, Admitted, Refused, Waiting
from talkover.realtime.errors import ProtocolError
from talkover.realtime.events import encode_event
from talkover.realtime.ids import new_id

QUEUE_PARAMETER = "s2s.queue"
"""in the query of the handshake, `1` or `true`: this client can wait for a place; others get an HTTP 503"""
LOOK_EVERY_S = 0.5
"""how often it is asked whether running calls are in time again, on which a place may depend"""
TELL_AGAIN_S = 5.0
"""how often those who wait are told, also when nothing has changed: so they know that they still do"""
SEND_TIMEOUT_S = 5.0
"""a client that takes no frame for so long has gone"""


def can_wait(socket: WebSocket) -> bool:
    return socket.query_params.get(QUEUE_PARAMETER) in ("1", "true")


class WaitingRoom:
    """Lives on the event loop, as the admission does."""

    def __init__(self, admission: Admission, observe: Callable[[], None]) -> None:
        """`observe` tells the admission how running calls fare."""
        self._admission = admission
        self._observe = observe
        self._changed = asyncio.Event()

    def look_again(self) -> None:
        """Somebody came, left or was let in."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, socket: WebSocket, ticket: int) -> bool:
        """Until it is this client's turn; False when it will not be, and the socket is closed.

        What it sends meanwhile is read and thrown away: audio of someone who waits is not kept.
        """
        gone = asyncio.create_task(_until_gone(socket))
        try:
            place, told_s = 0, 0.0
            while not gone.done():
                changed, now_s = self._changed, time.monotonic()
                self._observe()
                match self._admission.standing(ticket, now_s):
                    case Admitted():
                        return True
                    case Refused() as refused:
                        await _turn_away(socket, refused)
                        return False
                    case Waiting() as standing:
                        if standing.place != place or now_s >= told_s + TELL_AGAIN_S:
                            await asyncio.wait_for(_tell(socket, standing), SEND_TIMEOUT_S)
                            place, told_s = standing.place, now_s
                await _first_of(gone, changed, LOOK_EVERY_S)
            return False
        except (TimeoutError, WebSocketDisconnect, RuntimeError):  # it went between two frames, or does not read
            return False
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _first_of(gone: asyncio.Task[None], changed: asyncio.Event, timeout_s: float) -> None:
    woken = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait((gone, woken), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        woken.cancel()


async def _tell(socket: WebSocket, standing: Waiting) -> None:
    wait_s = standing.estimated_wait_s
    event = {
        "type": "s2s.queue.updated",
        "event_id": new_id("event_"),
        "place": standing.place,
        "estimated_wait_s": None if wait_s is None else round(wait_s),
    }
    await socket.send_text(encode_event(event))


async def _turn_away(socket: WebSocket, refused: Refused) -> None:
    """The server stops (1001), or the wait was too long (1013, try again later: IANA's registry of close codes)."""
    if refused.reason == "draining":
        await socket.close(1001, "server shutdown")
        return
    message = f"No place became free in time; try again in {refused.retry_after_s} s"
    event = {"event_id": new_id("event_"), **ProtocolError("server_full", message).event()}
    with suppress(WebSocketDisconnect, RuntimeError):
        await asyncio.wait_for(socket.send_text(encode_event(event)), SEND_TIMEOUT_S)
        await socket.close(1013, "waited too long")
