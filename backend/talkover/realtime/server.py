"""The WebSocket shell: handshake, admission, and bytes between a socket and a session's thread. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from talkover.access.policy import grant_of
from talkover.engines import Engines
from talkover.metrics import Metrics
from talkover.realtime.audio_meter import metering
from talkover.realtime.beta import to_beta
from talkover.realtime.connection import CLOSE_TIMEOUT_S, Connection
from talkover.realtime.observer import MakeObserver
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.session_thread import SessionThread
from talkover.realtime.watchdog import Watchdog

log = logging.getLogger(__name__)

BETA_PROTOCOL = "openai-beta.realtime-v1"
RETRY_AFTER_S = 5
REFUSED = {401: "key", 403: "origin"}
"""status of a failed handshake -> what it is counted under; any other one is the request's fault"""


@dataclass(frozen=True, slots=True)
class RealtimeOptions:
    """What the shell needs to know; `session` is the template of every session's options."""

    session: SessionOptions
    lead_ms: int | None
    max_sessions: int
    max_frame_bytes: int
    max_backlog_bytes: int
    decision_log: Path | None = None
    """folder for the decisions of every session"""
    stuck_after_s: float = 10.0
    """a session whose thread does not get on for so long is closed"""
    observers: Sequence[MakeObserver] = ()
    """those that look on, one of each for every session"""


class RealtimeServer:
    """Admits sessions and moves their frames."""

    def __init__(self, options: RealtimeOptions, engines: Engines, metrics: Metrics) -> None:
        self._options = options
        self._engines = engines
        self._metrics = metrics
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._admitted = 0
        self._draining = False
        self._watchdog = Watchdog(options.stuck_after_s, metrics)

    @property
    def active_sessions(self) -> int:
        return self._admitted

    async def endpoint(self, socket: WebSocket) -> None:
        """`GET /v1/realtime`, of a client that `talkover.access` has let in."""
        refusal = self._refusal(socket)
        if refusal is not None:
            self._metrics.sessions_refused_total.labels(REFUSED.get(refusal.status_code, "request")).inc()
            await socket.send_denial_response(refusal)
            return
        if not self._admit():
            self._metrics.sessions_refused_total.labels("draining" if self._draining else "full").inc()
            message = f"All {self._options.max_sessions} sessions are taken; try again in {RETRY_AFTER_S} s"
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            await socket.send_denial_response(_error(503, "server_full", message, headers))
            return
        try:
            await self._serve(socket)
        finally:
            with self._lock:
                self._admitted -= 1
            self._metrics.sessions_active.set(self._admitted)

    async def shutdown(self) -> None:
        """Close every session with 1001; new ones are refused."""
        self._draining = True
        for connection in tuple(self._connections):
            connection.close(1001, "server shutdown")
        self._watchdog.close()
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        while self._connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def _serve(self, socket: WebSocket) -> None:
        offered: Sequence[str] = socket.scope.get("subprotocols", [])
        beta = BETA_PROTOCOL in offered or socket.headers.get("openai-beta") == "realtime=v1"
        await socket.accept(subprotocol=_subprotocol(offered))
        connection = Connection(socket, self._options.max_backlog_bytes)
        template = self._options.session
        grant = grant_of(socket.scope)
        begins = grant.session
        session = SessionThread(
            replace(
                template,
                model=socket.query_params.get("model") or (begins and begins.model) or template.model,
                begins_with=begins and begins.settings,
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
            (*self._options.observers, *metering(grant, connection.audio_used_up)),
        )
        self._connections.add(connection)
        self._metrics.sessions_total.inc()
        log.info("session %s: opened", session.id)
        session.start()
        self._watchdog.watch(session)
        try:
            await connection.run(session)
        finally:
            self._watchdog.forget(session.id)
            session.stop()
            self._connections.discard(connection)
            stopped = await asyncio.to_thread(session.join)
            log.info("session %s: closed%s", session.id, "" if stopped else ", an engine is still busy with it")

    def _refusal(self, socket: WebSocket) -> JSONResponse | None:
        """Why the handshake fails, if it does."""
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


def _subprotocol(offered: Sequence[str]) -> str | None:
    """`realtime` when offered; the key is never echoed."""
    return "realtime" if "realtime" in offered else None


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)
