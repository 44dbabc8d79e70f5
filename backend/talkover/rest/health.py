"""Probes and numbers for whoever operates the server: `/healthz`, `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from talkover.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a new session would be served now."""

    warm: bool
    """engines are loaded and warmed"""
    sessions: int
    max_sessions: int
    refuses: str | None = None
    """why a new session would not be served: full, busy (running ones are late) or draining (the server stops)"""


def health_router(readiness: Callable[[], Readiness], metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="A new session would be served",
        responses={
            503: {
                "description": "engines are still loading (`starting`), every session is taken (`full`), running ones "
                "are late (`busy`), or the server stops (`draining`)"
            }
        },
    )
    async def readyz() -> JSONResponse:
        state = readiness()
        if not state.warm:
            return JSONResponse({"status": "starting"}, 503, headers={"Retry-After": "1"})
        status = state.refuses or "ready"
        return JSONResponse(
            {"status": status, "sessions": state.sessions, "max_sessions": state.max_sessions},
            200 if status == "ready" else 503,
            headers={} if status == "ready" else {"Retry-After": "10"},
        )

    @router.get("/metrics", summary="Numbers for Prometheus", response_class=Response)
    async def prometheus() -> Response:
        page, content_type = metrics.render()
        return Response(page, headers={"Content-Type": content_type})

    return router
