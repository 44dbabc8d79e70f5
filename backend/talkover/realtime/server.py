"""The WebSocket shell: handshake, who is let in, and a session for each who is. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketState

from talkover.access.policy import grant_of
from talkover.engines import Engines
from talkover.metrics import Metrics, Stage
from talkover.realtime.admission import Admission, AdmissionLimits, Admitted, Reason, Refused
from talkover.realtime.audio_meter import metering
from talkover.realtime.beta import to_beta
from talkover.realtime.connection import CLOSE_TIMEOUT_S, Connection
from talkover.realtime.departure import LONGEST_S
from talkover.realtime.journal import Journal, JournalUnavailable
from talkover.realtime.keeper import SessionKeeper
from talkover.realtime.lateness import LatenessWatch
from talkover.realtime.live_session import LiveSession
from talkover.realtime.observer import MakeObserver
from talkover.realtime.resume_token import digest, presented
from talkover.realtime.session import SERVER_SHUTDOWN
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.session_thread import SessionThread
from talkover.realtime.snapshot import Snapshot, SnapshotUnreadable, decode
from talkover.realtime.waiting_room import WaitingRoom, can_wait
from talkover.realtime.watchdog import Watchdog

log = logging.getLogger(__name__)

BETA_PROTOCOL = "openai-beta.realtime-v1"
TOKEN_REFUSED = (4404, "the session to resume is over, or the token was used; start anew")
REFUSALS: dict[Reason, str] = {
    "full": "All {sessions} sessions are taken",
    "busy": "Running conversations are late",
    "draining": "The server is about to stop",
    "waited_too_long": "No place became free in time",
}


@dataclass(frozen=True, slots=True)
class RealtimeOptions:
    """What the shell needs to know; `session` is the template of every session's options."""

    session: SessionOptions
    lead_ms: int | None
    admission: AdmissionLimits
    max_frame_bytes: int
    max_backlog_bytes: int
    decision_log: Path | None = None
    """folder for the decisions of every session"""
    stuck_after_s: float = 10.0
    """a session whose thread does not get on for so long is closed"""
    observers: Sequence[MakeObserver] = ()
    """those that look on, one of each for every session"""
    resume_window_s: float = 0.0
    """how long a session waits for a client that lost its socket; 0: it ends with the socket"""
    journal: Journal | None = None
    """keeps sessions beyond the process; None: they end with it"""
    max_lag_s: float | None = None
    """running calls later than this let nobody new in; None: they do not count"""
    local_stages: Sequence[Stage] = ()
    """stages of a turn that this machine answers for"""


class RealtimeServer:
    """Admits sessions and moves their frames."""

    def __init__(self, options: RealtimeOptions, engines: Engines, metrics: Metrics) -> None:
        self._options = options
        self._engines = engines
        self._metrics = metrics
        self._sessions: set[LiveSession] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._admission = Admission(options.admission)
        self._waiting_room = WaitingRoom(self._admission, self._observe)
        self._lateness = LatenessWatch(options.max_lag_s, options.local_stages)
        self._observers = (*options.observers, self._lateness.of_session)
        self._watchdog = Watchdog(options.stuck_after_s, metrics)

    @property
    def active_sessions(self) -> int:
        return self._admission.active

    @property
    def max_sessions(self) -> int:
        return self._options.admission.sessions

    @property
    def refuses(self) -> Reason | None:
        """Why a client that does not wait would be refused now; None: it would not."""
        self._observe()
        return self._admission.refuses

    async def endpoint(self, socket: WebSocket) -> None:
        """`GET /v1/realtime`, of a client that `talkover.access` has let in."""
        refusal = self._refusal(socket)
        if refusal is not None:
            self._metrics.sessions_refused_total.labels("invalid_request").inc()
            await socket.send_denial_response(refusal)
            return
        token = presented(socket.scope.get("subprotocols", []))
        live = None if token is None else self._waiting_for(digest(token), _identity(socket))
        if live is not None:
            self._metrics.resumptions_total.labels("live").inc()
            await self._attend(live, await self._connected(socket))
        elif token is not None and self._options.journal is None:
            await self._refuse_token(socket)
        else:
            await self._admit(socket, token)

    async def drain(self, seconds: float) -> None:
        """Let nobody new in, give running sessions so much time, then let them say goodbye; returns when none is left,
        or some do not end."""
        self._admission.drain()
        self._waiting_room.look_again()
        log.info("draining: %d sessions may go on for %g s", self.active_sessions, seconds)
        if not await self._until_empty(seconds):
            for live in tuple(self._sessions):
                await asyncio.to_thread(live.thread.say_goodbye)
            await self._until_empty(LONGEST_S)

    async def shutdown(self) -> None:
        """Close every session with 1001; new ones are refused. What is in the journal stays for the next process."""
        self._is_stopping = True
        self._admission.drain()
        self._waiting_room.look_again()
        self._watchdog.close()
        for live in tuple(self._sessions):
            if live.connection is None:
                self._end(live)
            else:
                live.connection.close(1001, SERVER_SHUTDOWN)
        await self._until_empty(CLOSE_TIMEOUT_S)

    async def _until_empty(self, timeout_s: float) -> bool:
        """Whether every session ended in time."""
        deadline = time.monotonic() + timeout_s
        while (self._sessions or self._endings) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return not (self._sessions or self._endings)

    # ------------------------------------------------------------------------------------------------- admission

    async def _admit(self, socket: WebSocket, token: str | None) -> None:
        """Give the client a seat, at once or when it is its turn, and serve it there."""
        self._observe()
        ticket, standing = self._admission.arrive(can_wait(socket), time.monotonic())
        if isinstance(standing, Refused):
            self._metrics.sessions_refused_total.labels(standing.reason).inc()
            reason = REFUSALS[standing.reason].format(sessions=self.max_sessions)
            message = f"{reason}; try again in {standing.retry_after_s} s"
            headers = {"Retry-After": str(standing.retry_after_s)}
            await socket.send_denial_response(_error(503, "server_full", message, headers))
            return
        begun = None
        try:
            if not isinstance(standing, Admitted):
                self._count()
                await self._accept(socket)
                if not await self._waiting_room.wait(socket, ticket):
                    return
            self._count()
            begun = await self._begin(socket, token, ticket)
        finally:
            if begun is None:
                self._leave(ticket)
        if begun is not None:
            await self._attend(*begun)

    def _leave(self, ticket: int) -> None:
        """A seat, or a place in the queue, is free again."""
        self._admission.leave(ticket, time.monotonic())
        self._waiting_room.look_again()
        self._count()

    def _observe(self) -> None:
        """Tell the admission whether running calls are late."""
        now_s = time.monotonic()
        self._admission.running_are_late(self._lateness.are_late(now_s), now_s)

    def _count(self) -> None:
        self._metrics.sessions_active.set(self._admission.active)
        self._metrics.sessions_waiting.set(self._admission.waiting)

    # ------------------------------------------------------------------------------------------------ one session

    async def _begin(self, socket: WebSocket, token: str | None, ticket: int) -> tuple[LiveSession, Connection] | None:
        """A new session, or the one that the token is for, in the seat of `ticket`; None when the token is for none."""
        live = LiveSession(_identity(socket), ticket, self._options.resume_window_s, self._end)
        kept = None if token is None else await self._kept(token, live.identity)
        if token is not None and kept is None:
            await self._refuse_token(socket)
            return None
        connection = await self._connected(socket)
        live.thread = self._session(socket, live, connection, kept)
        self._sessions.add(live)
        log.info("session %s: %s", live.thread.id, "opened" if kept is None else "goes on from the journal")
        live.thread.start()
        self._watchdog.watch(live.thread)
        return live, connection

    async def _connected(self, socket: WebSocket) -> Connection:
        await self._accept(socket)
        return Connection(socket, self._options.max_backlog_bytes)

    async def _accept(self, socket: WebSocket) -> None:
        """Unless it has been, in order to wait."""
        if socket.application_state is WebSocketState.CONNECTING:
            await socket.accept(subprotocol=_subprotocol(socket.scope.get("subprotocols", [])))

    def _session(
        self, socket: WebSocket, live: LiveSession, connection: Connection, kept: Snapshot | None
    ) -> SessionThread:
        """A new one, attached to `connection`, or one that goes on and is not attached yet."""
        options, journal = self._options, self._options.journal
        template = options.session
        offered: Sequence[str] = socket.scope.get("subprotocols", [])
        beta = BETA_PROTOCOL in offered or socket.headers.get("openai-beta") == "realtime=v1"
        grant = grant_of(socket.scope)
        begins = grant.session
        now_s = time.time()
        if kept is None:
            self._metrics.sessions_total.inc()
            live.connection = connection
            session = replace(
                template,
                model=socket.query_params.get("model") or (begins and begins.model) or template.model,
                begins_with=begins and begins.settings,
                expires_at=int(now_s + template.lifetime_s),
            )
        else:
            ends_at_s, model = kept.state.expires_at, kept.state.model
            session = replace(template, model=model, expires_at=ends_at_s, lifetime_s=ends_at_s - now_s, kept=kept)
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
            (*self._observers, *metering(grant, live.audio_used_up)),
            live,
            None if journal is None else SessionKeeper(journal, live.identity, lambda: live.token_hash),
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
                if was_lost and live.may_be_resumed and not self._is_stopping:
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
            self._watchdog.forget(session.id)
            session.stop()
            stopped = await asyncio.to_thread(session.join)
            log.info("session %s: closed%s", session.id, "" if stopped else ", an engine is still busy with it")
            if self._options.journal is not None and not self._is_stopping:
                self._options.journal.forget(session.id)
        finally:
            live.stop_waiting()
            self._leave(live.ticket)

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
        await self._accept(socket)
        await socket.close(*TOKEN_REFUSED)

    def _refusal(self, socket: WebSocket) -> JSONResponse | None:
        """Why the handshake fails, if it does."""
        if "call_id" in socket.query_params or socket.query_params.get("intent") == "transcription":
            return _error(400, "invalid_value", "call_id and intent=transcription are not offered by this server")
        return None


def _subprotocol(offered: Sequence[str]) -> str | None:
    """`realtime` when offered; the key is never echoed."""
    return "realtime" if "realtime" in offered else None


def _identity(socket: WebSocket) -> str:
    """Whose session it is, by the name of the key: only the same may come back to it."""
    key = grant_of(socket.scope).key
    return "" if key is None else key.name


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)
