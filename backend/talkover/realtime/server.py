"""The WebSocket shell: handshake, admission, and bytes between a socket and a session's thread. Decides nothing."""

from __future__ import annotations

import asyncio
import hmac
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from talkover.engines import Engines
from talkover.metrics import Metrics
from talkover.realtime.beta import to_beta
from talkover.realtime.connection import CLOSE_TIMEOUT_S, Connection
from talkover.realtime.journal import Journal, JournalUnavailable
from talkover.realtime.keeper import SessionKeeper
from talkover.realtime.live_session import LiveSession
from talkover.realtime.observer import MakeObserver
from talkover.realtime.resume_token import digest, presented
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.session_thread import SessionThread
from talkover.realtime.snapshot import Snapshot, SnapshotUnreadable, decode

log = logging.getLogger(__name__)

KEY_PROTOCOL = "openai-insecure-api-key."
BETA_PROTOCOL = "openai-beta.realtime-v1"
RETRY_AFTER_S = 5
TOKEN_REFUSED = (4404, "the session to resume is over, or the token was used; start anew")


@dataclass(frozen=True, slots=True)
class RealtimeOptions:
    """What the shell needs to know; `session` is the template of every session's options."""

    session: SessionOptions
    api_key: str | None
    origin_allowed: Callable[[str | None, str | None], bool]
    """(origin, host) -> may connect; asked only when no key is configured"""
    lead_ms: int | None
    max_sessions: int
    max_frame_bytes: int
    max_backlog_bytes: int
    decision_log: Path | None = None
    """folder for the decisions of every session"""
    observers: Sequence[MakeObserver] = ()
    """those that look on, one of each for every session"""
    resume_window_s: float = 0.0
    """how long a session waits for a client that lost its socket; 0: it ends with the socket"""
    journal: Journal | None = None
    """keeps sessions beyond the process; None: they end with it"""


class RealtimeServer:
    """Admits sessions and moves their frames."""

    def __init__(self, options: RealtimeOptions, engines: Engines, metrics: Metrics) -> None:
        self._options = options
        self._engines = engines
        self._metrics = metrics
        self._lock = threading.Lock()
        self._sessions: set[LiveSession] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._admitted = 0
        self._draining = False

    @property
    def active_sessions(self) -> int:
        return self._admitted

    async def endpoint(self, socket: WebSocket) -> None:
        """`GET /v1/realtime`."""
        refusal = self._refusal(socket)
        if refusal is not None:
            await socket.send_denial_response(refusal)
            return
        token = presented(socket.scope.get("subprotocols", []))
        live = None if token is None else self._waiting_for(digest(token), _identity(socket))
        if live is not None:
            self._metrics.resumptions_total.labels("live").inc()
            await self._attend(live, await self._accept(socket))
            return
        if token is not None and self._options.journal is None:
            await self._refuse_token(socket)
            return
        if not self._admit():
            self._metrics.sessions_refused_total.inc()
            message = f"All {self._options.max_sessions} sessions are taken; try again in {RETRY_AFTER_S} s"
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            await socket.send_denial_response(_error(503, "server_full", message, headers))
            return
        await self._open(socket, token)

    async def shutdown(self) -> None:
        """Close every session with 1001; new ones are refused. What is in the journal stays for the next process."""
        self._draining = True
        for live in tuple(self._sessions):
            if live.connection is None:
                self._end(live)
            else:
                live.connection.close(1001, "server shutdown")
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        while (self._sessions or self._endings) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    # ------------------------------------------------------------------------------------------------ one session

    async def _open(self, socket: WebSocket, token: str | None) -> None:
        """A seat was taken for it: begin a session, or go on with the one that the token is for."""
        live = LiveSession(_identity(socket), self._options.resume_window_s, self._end)
        is_begun = False
        try:
            kept = None if token is None else await self._kept(token, live.identity)
            if token is not None and kept is None:
                await self._refuse_token(socket)
                return
            connection = await self._accept(socket)
            live.thread = self._session(socket, live, connection, kept)
            is_begun = True
        finally:
            if not is_begun:
                self._release()
        self._sessions.add(live)
        log.info("session %s: %s", live.thread.id, "opened" if kept is None else "goes on from the journal")
        live.thread.start()
        await self._attend(live, connection)

    async def _accept(self, socket: WebSocket) -> Connection:
        await socket.accept(subprotocol=_subprotocol(socket.scope.get("subprotocols", [])))
        return Connection(socket, self._options.max_backlog_bytes)

    def _session(
        self, socket: WebSocket, live: LiveSession, connection: Connection, kept: Snapshot | None
    ) -> SessionThread:
        """A new one, attached to `connection`, or one that goes on and is not attached yet."""
        options, journal = self._options, self._options.journal
        template = options.session
        offered: Sequence[str] = socket.scope.get("subprotocols", [])
        beta = BETA_PROTOCOL in offered or socket.headers.get("openai-beta") == "realtime=v1"
        now_s = time.time()
        if kept is None:
            self._metrics.sessions_total.inc()
            live.connection = connection
            model = socket.query_params.get("model") or template.model
            session = replace(template, model=model, expires_at=int(now_s + template.lifetime_s))
        else:
            ends_at_s = kept.state.expires_at
            session = replace(template, model=kept.state.model, expires_at=ends_at_s, lifetime_s=ends_at_s - now_s)
        return SessionThread(
            session,
            self._engines,
            options.lead_ms,
            connection if kept is None else live,
            self._metrics,
            options.max_frame_bytes,
            live.resume_reading,
            to_beta if beta else None,
            options.decision_log,
            options.observers,
            live,
            None if journal is None else SessionKeeper(journal, live.identity, lambda: live.token_hash),
            kept,
        )

    async def _attend(self, live: LiveSession, connection: Connection) -> None:
        """Serve one connection of a session, which ends with it unless the client may come back."""
        session = live.thread
        was_lost = False
        try:
            if live.connection is not connection:
                live.attach(connection)
            was_lost = await connection.run(session)
        finally:
            if live.connection is connection:
                if was_lost and live.may_be_resumed and not self._draining:
                    live.wait()
                    log.info("session %s: the connection was lost, its client may come back", session.id)
                else:
                    live.connection = None
                    self._end(live)

    def _end(self, live: LiveSession) -> None:
        """The session is over; its seat is free when its threads have ended."""
        if live in self._sessions:
            self._sessions.discard(live)
            ending = asyncio.create_task(self._ended(live))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _ended(self, live: LiveSession) -> None:
        session = live.thread
        try:
            session.stop()
            stopped = await asyncio.to_thread(session.join)
            log.info("session %s: closed%s", session.id, "" if stopped else ", an engine is still busy with it")
            if self._options.journal is not None and not self._draining:
                self._options.journal.forget(session.id)
        finally:
            live.stop_waiting()
            self._release()

    # ------------------------------------------------------------------------------------------------ coming back

    def _waiting_for(self, token_hash: str, identity: str) -> LiveSession | None:
        """The session of this process that the token is for; it is used up then."""
        return next(
            (live for live in self._sessions if live.may_be_resumed and live.admits(token_hash, identity)), None
        )

    async def _kept(self, token: str, identity: str) -> Snapshot | None:
        """The session of an ended process that the token is for."""
        journal = self._options.journal
        if journal is None:
            return None
        try:
            stored = await asyncio.to_thread(journal.claim, digest(token), identity)
            kept = None if stored is None else decode(stored.state, stored.items)
        except (JournalUnavailable, SnapshotUnreadable) as error:
            log.warning("a session that was kept cannot go on: %s", error)
            return None
        if kept is not None:
            self._metrics.resumptions_total.labels("kept").inc()
        return kept

    async def _refuse_token(self, socket: WebSocket) -> None:
        """By a close code: the status of a refused handshake is hidden from a page."""
        self._metrics.resumptions_total.labels("refused").inc()
        await socket.accept(subprotocol=_subprotocol(socket.scope.get("subprotocols", [])))
        await socket.close(*TOKEN_REFUSED)

    # ------------------------------------------------------------------------------------------------- admission

    def _refusal(self, socket: WebSocket) -> JSONResponse | None:
        """Why the handshake fails, if it does."""
        offered: Sequence[str] = socket.scope.get("subprotocols", [])
        if self._options.api_key is not None:
            presented = _presented_key(socket.headers.get("authorization"), offered)
            if not hmac.compare_digest(presented.encode(), self._options.api_key.encode()):
                message = f"Present the key as 'Authorization: Bearer <key>' or the subprotocol '{KEY_PROTOCOL}<key>'"
                return _error(401, "invalid_api_key", message)
        elif not self._options.origin_allowed(socket.headers.get("origin"), socket.headers.get("host")):
            message = "This page is not served by this server and its origin is not in server.allowed_origins"
            return _error(403, "origin_not_allowed", message)
        if "call_id" in socket.query_params or socket.query_params.get("intent") == "transcription":
            return _error(400, "invalid_value", "call_id and intent=transcription are not offered by this server")
        return None

    def _admit(self) -> bool:
        with self._lock:
            if self._draining or self._admitted >= self._options.max_sessions:
                return False
            self._admitted += 1
        self._metrics.sessions_active.set(self._admitted)
        return True

    def _release(self) -> None:
        """A seat is free again."""
        with self._lock:
            self._admitted -= 1
        self._metrics.sessions_active.set(self._admitted)


def _subprotocol(offered: Sequence[str]) -> str | None:
    """`realtime` when offered; the key is never echoed."""
    return "realtime" if "realtime" in offered else None


def _identity(socket: WebSocket) -> str:
    """Whose session it is, in a form that tells no key: only the same may come back to it."""
    key = _presented_key(socket.headers.get("authorization"), socket.scope.get("subprotocols", []))
    return digest(key)


def _presented_key(authorization: str | None, offered: Sequence[str]) -> str:
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return next((token.removeprefix(KEY_PROTOCOL) for token in offered if token.startswith(KEY_PROTOCOL)), "")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)
