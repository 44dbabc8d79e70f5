"""Who is connected, for operators: `GET /v1/sessions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter


def sessions_router(snapshot: Callable[[], dict[str, Any]]) -> APIRouter:
    """`snapshot`: a JSON object with a row for each session; bounded, as sessions are, and without anybody's words."""
    router = APIRouter(tags=["operation"])

    @router.get("/v1/sessions", summary="Live sessions, latencies of the last minutes, queues, and the process")
    async def list_sessions() -> dict[str, Any]:
        return snapshot()

    return router
