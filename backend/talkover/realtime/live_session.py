"""A session that outlives its socket: the connection it has, or how long it waits for its client to come back.

On the event loop, but for what the session's thread asks for: tokens, and the end of a session nobody is attached to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from talkover.realtime.connection import Connection
from talkover.realtime.outlet import Offer
from talkover.realtime.resume_token import digest, is_same, new_token
from talkover.realtime.session_thread import SessionThread

REPLACED = (4000, "resumed on another connection")


class LiveSession:
    """Its thread, and who is attached to it."""

    def __init__(self, identity: str, ticket: int, window_s: float, end: Callable[[LiveSession], None]) -> None:
        """`identity`: of the key it was opened with. `ticket`: of its seat. `window_s`: how long it waits for
        its client; 0: it does not. `end` is called, on the event loop, when nobody is coming back."""
        self.identity = identity
        self.ticket = ticket
        self.thread: SessionThread
        """set once, before anything is asked of this"""
        self.connection: Connection | None = None
        """None: its client is away"""
        self.token_hash: str | None = None
        self._window_s = window_s
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------ called from the session's thread

    def offer(self) -> Offer | None:
        """A new token, which makes the one before worthless; None when the server offers none."""
        if not self._window_s:
            return None
        token = new_token()
        self.token_hash = digest(token)
        return Offer(token, self._window_s)

    def resume_reading(self) -> None:
        connection = self.connection
        if connection is not None:
            connection.resume_reading()

    def audio_used_up(self) -> None:
        """The key of this session has had its audio for today."""
        connection = self.connection
        if connection is not None:
            connection.audio_used_up()

    def send(self, frames: list[str]) -> None:
        """Nobody is attached: what is sent is told with the whole conversation when the client is back."""

    def close(self, code: int, reason: str) -> None:
        """Nobody is attached, and nobody shall be any more."""
        try:
            self._loop.call_soon_threadsafe(self._give_up)
        except RuntimeError:  # the event loop is gone, and the session with it
            return

    # ------------------------------------------------------------------------------------------------ on the event loop

    def admits(self, token_hash: str, identity: str) -> bool:
        """Whether this is its client. The token is worthless afterwards if it is."""
        kept = self.token_hash
        if kept is None or not is_same(kept, token_hash) or not is_same(self.identity, identity):
            return False
        self.token_hash = None
        return True

    def attach(self, connection: Connection) -> None:
        """The client is here, on this connection; an older one of it, whose loss nobody has noticed yet, is closed."""
        if self._timer is not None:
            self._timer.cancel()
        older, self.connection = self.connection, connection
        if older is not None:
            older.close(*REPLACED)
        self.thread.attach(connection)

    def wait(self) -> None:
        """The connection is lost: give the client its time to come back."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self.thread.detach(connection)
        self._timer = self._loop.call_later(self._window_s, self._give_up)

    @property
    def may_be_resumed(self) -> bool:
        """The client has a token, and the session is at work."""
        return self.token_hash is not None and not self.thread.inbox.is_closed

    def _give_up(self) -> None:
        if self.connection is None:
            self.stop_waiting()
            self._end(self)

    def stop_waiting(self) -> None:
        """Nobody can come back any more."""
        self.token_hash = None
        if self._timer is not None:
            self._timer.cancel()
