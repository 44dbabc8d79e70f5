"""The shell around `talkover.access`: asks it about every request and handshake, and tells the client what it said."""

from __future__ import annotations

import logging
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from talkover.access.policy import GRANT, Access, Refusal, Request
from talkover.metrics import Metrics
from talkover.rest.errors import ApiError

log = logging.getLogger(__name__)


class AccessControl:
    """ASGI middleware: what `access` refuses is answered here; what it grants, it grants until the request ends.

    The page, its documentation and the health probes are open. A refused WebSocket gets its answer before the upgrade.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self.app = app
        self.access = access
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        decision = self.access.decide(_request(scope))
        if isinstance(decision, Refusal):
            log.debug("refused %s: %s", scope["path"], decision.code)
            if scope["type"] == "websocket":
                self.metrics.sessions_refused_total.labels(decision.code).inc()
            await refused(decision).response()(scope, receive, send)
            return
        scope[GRANT] = decision
        try:
            await self.app(scope, receive, send)
        finally:
            decision.release()


def refused(refusal: Refusal) -> ApiError:
    headers: dict[str, str] = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return ApiError(refusal.status, refusal.message, code=refusal.code, headers=headers)


def _request(scope: Scope) -> Request:
    headers = Headers(scope=scope)
    client: Any = scope.get("client")
    forwarded = headers.getlist("x-forwarded-for")
    return Request(
        kind=scope["type"],
        method=scope.get("method", "GET"),
        path=scope["path"],
        peer=client[0] if client else "",
        host=headers.get("host"),
        origin=headers.get("origin"),
        authorization=headers.get("authorization"),
        forwarded_for=", ".join(forwarded) if forwarded else None,
        protocols=scope.get("subprotocols", ()),
    )
