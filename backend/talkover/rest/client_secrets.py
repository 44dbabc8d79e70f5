"""`POST /v1/realtime/client_secrets`: a short-lived secret for a client that must not hold a key, as OpenAI has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from talkover.access.client_secrets import SecretSession
from talkover.access.policy import Access, Refusal, grant_of
from talkover.rest.auth import refused

BeginSession = Callable[[dict[str, Any]], SecretSession]
"""What a session object of a client makes of a session. Raises ApiError."""


class ExpiresAfter(BaseModel):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=10, le=7200)] = 600


class ClientSecretRequest(BaseModel):
    """Keys it does not know are ignored."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: dict[str, Any] = Field(
        default_factory=dict[str, Any],
        description="what its sessions begin with, as in `session.update`; the client may change it",
    )


def client_secrets_router(access: Access, begin: BeginSession) -> APIRouter:
    router = APIRouter(tags=["realtime"])

    @router.post(
        "/v1/realtime/client_secrets",
        summary="A short-lived secret for a browser",
        responses={
            200: {"description": "the secret, when it expires, and the session it begins"},
            400: {"description": "a key of the session is unknown here or out of range"},
            403: {"description": "the key has no scope `realtime`, or is itself a client secret"},
            429: {"description": "as many as allowed are still valid; Retry-After says when one expires"},
        },
    )
    async def create(request: Request, body: ClientSecretRequest) -> dict[str, Any]:
        session = begin(body.session)
        issued = access.issue(grant_of(request.scope), body.expires_after.seconds, session)
        if isinstance(issued, Refusal):
            raise refused(issued)
        value, expires_at = issued
        return {"value": value, "expires_at": expires_at, "session": dict(session.wire)}

    return router
