"""A limit on request bodies that holds before anything is parsed."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from talkover.rest.errors import ApiError

MAX_UPLOAD_MIB = 25
"""OpenAI's limit for transcriptions"""
_MAX_BODY_BYTES = (MAX_UPLOAD_MIB + 1) * 2**20  # the form around the file


class BodyLimit:
    """ASGI middleware: a body over the limit is answered 413, by its declared size or as soon as it got too long."""

    def __init__(self, app: ASGIApp, max_bytes: int = _MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        message = f"The request must be at most {self.max_bytes // 2**20} MiB."
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self.max_bytes:
            await ApiError(413, message, code="request_too_large").response()(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            part = await receive()
            if part["type"] == "http.request":
                received += len(part.get("body", b""))
                if received > self.max_bytes:
                    # The framework turns other exceptions inside body parsing into a 400.
                    raise HTTPException(413, message)
            return part

        await self.app(scope, receive_within_limit, send)
