"""The WebSocket shell: handshake, who is let in, and a session for each who is. Decides nothing."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketState

from talkover.engines import Engines
from talkover.metrics import Metrics, Stage
from talkover.realtime.admission import Admission, AdmissionLimits, Admitted, Reason, Refused
from talkover.realtime.beta import to_beta
from talkover.realtime.connection import CLOSE_TIMEOUT_S, Connection
from talkover.realtime.departure import LONGEST_S
from talkover.realtime.lateness import LatenessWatch
from talkover.realtime.observer import MakeObserver
from talkover.realtime.session import SERVER_SHUTDOWN
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.session_thread import SessionThread
from talkover.realtime.waiting_room import WaitingRoom, can_wait

log = logging.getLogger(__name__)

KEY_PROTOCOL = "openai-insecure-api-key."
BETA_PROTOCOL = "openai-beta.realtime-v1"
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
    api_key: str | None
    origin_allowed: Callable[[str | None, str | None], bool]
    """(origin, host) -> may connect; asked only when no key is configured"""
    lead_ms: int | None
    admission: AdmissionLimits
    max_frame_bytes: int
    max_backlog_bytes: int
    decision_log: Path | None = None
    """folder for the decisions of every session"""
    observers: Sequence[MakeObserver] = ()
    """those that look on, one of each for every session"""
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
        self._connections: dict[Connection, SessionThread] = {}
        self._admission = Admission(options.admission)
        self._waiting_room = WaitingRoom(self._admission, self._observe)
        self._lateness = LatenessWatch(options.max_lag_s, options.local_stages)
        self._observers = (*options.observers, self._lateness.of_session)

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
        """`GET /v1/realtime`."""
        refusal = self._refusal(socket)
        if refusal is not None:
            await socket.send_denial_response(refusal)
            return
        self._observe()
        ticket, standing = self._admission.arrive(can_wait(socket), time.monotonic())
        if isinstance(standing, Refused):
            self._metrics.sessions_refused_total.inc()
            reason = REFUSALS[standing.reason].format(sessions=self.max_sessions)
            message = f"{reason}; try again in {standing.retry_after_s} s"
            headers = {"Retry-After": str(standing.retry_after_s)}
            await socket.send_denial_response(_error(503, "server_full", message, headers))
            return
        try:
            if not isinstance(standing, Admitted):
                self._count()
                await self._accept(socket)
                if not await self._waiting_room.wait(socket, ticket):
                    return
            self._count()
            await self._serve(socket)
        finally:
            self._admission.leave(ticket, time.monotonic())
            self._waiting_room.look_again()
            self._count()

    async def drain(self, seconds: float) -> None:
        """Let nobody new in, give running sessions so much time, then let them say goodbye; returns when none is left,
        or some do not end."""
        self._admission.drain()
        self._waiting_room.look_again()
        log.info("draining: %d sessions may go on for %g s", self.active_sessions, seconds)
        if not await self._until_empty(seconds):
            for session in tuple(self._connections.values()):
                await asyncio.to_thread(session.say_goodbye)
            await self._until_empty(LONGEST_S)

    async def shutdown(self) -> None:
        """Close every session with 1001; new ones are refused."""
        self._admission.drain()
        self._waiting_room.look_again()
        for connection in tuple(self._connections):
            connection.close(1001, SERVER_SHUTDOWN)
        await self._until_empty(CLOSE_TIMEOUT_S)

    async def _until_empty(self, timeout_s: float) -> bool:
        """Whether every session ended in time."""
        deadline = time.monotonic() + timeout_s
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return not self._connections

    def _observe(self) -> None:
        """Tell the admission whether running calls are late."""
        now_s = time.monotonic()
        self._admission.running_are_late(self._lateness.are_late(now_s), now_s)

    def _count(self) -> None:
        self._metrics.sessions_active.set(self._admission.active)
        self._metrics.sessions_waiting.set(self._admission.waiting)

    async def _accept(self, socket: WebSocket) -> None:
        await socket.accept(subprotocol=_subprotocol(socket.scope.get("subprotocols", [])))

    async def _serve(self, socket: WebSocket) -> None:
        offered: Sequence[str] = socket.scope.get("subprotocols", [])
        beta = BETA_PROTOCOL in offered or socket.headers.get("openai-beta") == "realtime=v1"
        if socket.application_state is WebSocketState.CONNECTING:
            await self._accept(socket)
        connection = Connection(socket, self._options.max_backlog_bytes)
        template = self._options.session
        session = SessionThread(
            replace(
                template,
                model=socket.query_params.get("model") or template.model,
                expires_at=int(time.time() + template.lifetime_s),
            ),
            self._engines,
            self._options.lead_ms,
            connection,
            self._metrics,
            self._options.max_frame_bytes,
            connection.resume_reading,
            to_beta if beta else None,
            self._options.decision_log,
            self._observers,
        )
        self._connections[connection] = session
        self._metrics.sessions_total.inc()
        log.info("session %s: opened", session.id)
        session.start()
        try:
            await connection.run(session)
        finally:
            session.stop()
            del self._connections[connection]
            stopped = await asyncio.to_thread(session.join)
            log.info("session %s: closed%s", session.id, "" if stopped else ", an engine is still busy with it")

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


def _subprotocol(offered: Sequence[str]) -> str | None:
    """`realtime` when offered; the key is never echoed."""
    return "realtime" if "realtime" in offered else None


def _presented_key(authorization: str | None, offered: Sequence[str]) -> str:
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return next((token.removeprefix(KEY_PROTOCOL) for token in offered if token.startswith(KEY_PROTOCOL)), "")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)
