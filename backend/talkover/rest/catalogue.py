"""What can be asked for: `GET /v1/models`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from talkover.engines import Engine
from talkover.rest.errors import ApiError


def catalogue_router(engines: Mapping[str, Engine]) -> APIRouter:
    """`engines` by slot: what they are called is what clients see as models."""
    router = APIRouter(tags=["catalogue"])
    created = int(time.time())
    models = {
        engine.name: {
            "id": engine.name,
            "object": "model",
            "created": created,
            "owned_by": "talkover",
            "slot": slot,
        }
        for slot, engine in engines.items()
    }

    @router.get("/v1/models", summary="The engines in use")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": list(models.values())}

    @router.get("/v1/models/{model_id:path}", summary="One engine in use")
    async def retrieve_model(model_id: str) -> dict[str, Any]:
        if model_id not in models:
            raise ApiError(
                404,
                f"model must be one of {', '.join(models)}, got {model_id!r}",
                param="model",
                code="model_not_found",
            )
        return models[model_id]

    return router
