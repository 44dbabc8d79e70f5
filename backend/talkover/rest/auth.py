"""Who may use the server: the key and the origin checks, shared by REST and the realtime socket."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from talkover.rest.errors import ApiError

_DEFAULT_PORT = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def authorized(header: str | None, key: str | None) -> bool:
    """Whether an `Authorization` header presents `key`; anything does when no key is configured.

    Compared in constant time, so that the time to refuse tells nothing about the key.
    """
    if not key:
        return True
    scheme, _, presented = (header or "").partition(" ")
    matches = hmac.compare_digest(presented.strip().encode(), key.encode())
    return matches and scheme.lower() == "bearer"


def origin_allowed(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """Whether a browser page of `origin` may talk to a server reached as `host` (the two request headers).

    Programs send no origin and pass. A page passes when it came from this server or its origin is in `allowed`; an
    opaque origin ("null": sandboxed frames, local files) only when listed.
    """
    if origin is None or origin in allowed:
        return True
    try:
        page = urlsplit(origin)
        server = urlsplit(f"//{host}")
        default_port = _DEFAULT_PORT.get(page.scheme)
        same_port = (page.port or default_port) == (server.port or default_port)
    except ValueError:
        return False
    return page.hostname is not None and page.hostname == server.hostname and same_port


class AccessControl:
    """ASGI middleware: refuses HTTP requests without the key, and those of foreign pages where no key protects.

    With a key, `/v1/` and `/metrics` ask for it; the page, the documentation and the health probes stay open. Without
    one, a page of another site could still make the user's browser post to a server on localhost, hence the origin
    check. The realtime socket passes through: its handshake has rules of its own.
    """

    def __init__(self, app: ASGIApp, key: str | None, allowed_origins: Sequence[str] = ()) -> None:
        self.app = app
        self.key = key
        self.allowed_origins = tuple(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal.response() if refusal else self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        # A cross-origin preflight carries no credentials by design; it is answered, the request behind it is checked.
        if scope["method"] == "OPTIONS":
            return None
        if not self.key:
            if origin_allowed(headers.get("origin"), headers.get("host"), self.allowed_origins):
                return None
            return ApiError(
                403,
                "This page is not served by this server and its origin is not in server.allowed_origins.",
                code="origin_not_allowed",
            )
        guarded = scope["path"].startswith("/v1/") or scope["path"] == "/metrics"
        if not guarded or authorized(headers.get("authorization"), self.key):
            return None
        return ApiError(
            401,
            "A key is required: send the header 'Authorization: Bearer <key>'.",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
