"""`/docs` and `/openapi.json`, served from this machine and under the strict content policy."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from starlette.responses import FileResponse
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

from talkover import __version__
from talkover.rest.errors import ApiError

_OPENAPI_VERSION = "3.0.3"  # the newest that the bundled Swagger UI 4 renders

_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "favicon-32x32.png": "image/png"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Talkover API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

# A file of its own because the content policy allows no inline script.
_START = """SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
"""

_REALTIME: dict[str, Any] = {
    "get": {
        "tags": ["realtime"],
        "summary": "The conversation: a WebSocket of JSON events",
        "description": (
            "OpenAI's Realtime protocol (GA) over a WebSocket upgrade of this URL. Any OpenAI Realtime client works: "
            "point its base URL at `http://<host>/v1`. The first event is `session.created`; audio goes both ways as "
            "base64 in `input_audio_buffer.append` and `response.output_audio.delta`, 24 kHz PCM or 8 kHz G.711. "
            "Speaking over a response ends it. Opting in with `session.s2s` adds partial transcripts, sources and "
            "timings of every turn."
        ),
        "parameters": [
            {
                "name": "model",
                "in": "query",
                "required": False,
                "schema": {"type": "string"},
                "description": "accepted and echoed; the configured engines answer",
            }
        ],
        "responses": {
            "101": {"description": "the socket is open"},
            "401": {"description": "the key is missing or wrong"},
            "403": {"description": "a page of another origin, a name that is not allowed, a key without this scope"},
            "429": {"description": "as many sessions or requests as the key or the address may have; Retry-After"},
            "503": {"description": "every session is taken; Retry-After says when to try again"},
        },
    }
}


def docs_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript")

    @router.get("/docs/{name}")
    async def bundled(name: str) -> FileResponse:
        if name not in _FILES:
            raise ApiError(404, f"there is no /docs/{name}", code="not_found")
        return FileResponse(swagger_ui_path / name, media_type=_FILES[name])

    return router


def describe_api(app: FastAPI, key_needed: bool) -> dict[str, Any]:
    """The OpenAPI document of `app` and of the realtime socket, which the framework leaves out."""
    document: dict[str, Any] = as_openapi_30(
        get_openapi(
            title="Talkover",
            version=__version__,
            openapi_version=_OPENAPI_VERSION,
            description="A full-duplex speech-to-speech voice agent. Shapes and errors are OpenAI's.",
            routes=app.routes,
        )
    )
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        operation["responses"].pop("422", None)  # what the framework would answer; here it is a 400
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    document["paths"]["/v1/realtime"] = _REALTIME
    if key_needed:
        document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
    return document


def as_openapi_30(schema: Any) -> Any:
    """What pydantic writes as JSON Schema 2020-12 (OpenAPI 3.1), in the words of OpenAPI 3.0."""
    if isinstance(schema, list):
        return [as_openapi_30(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {key: as_openapi_30(value) for key, value in schema.items()}
    choices = result.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest: list[Any] = [choice for choice in choices if choice != {"type": "null"}]
        del result["anyOf"]
        result |= rest[0] if len(rest) == 1 else {"anyOf": rest}
        result["nullable"] = True
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if result.get("contentMediaType") == "application/octet-stream":
        del result["contentMediaType"]
        result["format"] = "binary"
    return result
