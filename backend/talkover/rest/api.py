"""All REST endpoints on one FastAPI app, with access control, limits and headers around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from talkover import __version__
from talkover.access.policy import Access
from talkover.engines import AsrEngine, Engine, LlmEngine, Retriever, TtsEngine, VadEngine
from talkover.metrics import Metrics
from talkover.rest.auth import AccessControl
from talkover.rest.catalogue import catalogue_router
from talkover.rest.client_secrets import BeginSession, client_secrets_router
from talkover.rest.docs import describe_api, docs_router
from talkover.rest.documents import documents_router
from talkover.rest.errors import install_error_handlers
from talkover.rest.headers import SecurityHeaders
from talkover.rest.health import Readiness, health_router
from talkover.rest.limits import BodyLimit
from talkover.rest.speech import speech_router
from talkover.rest.transcription import transcription_router
from talkover.rest.voices import voices_router
from talkover.sections.operation import ServerSettings


def create_api(
    *,
    server: ServerSettings,
    access: Access,
    vad: VadEngine,
    asr: AsrEngine,
    llm: LlmEngine,
    tts: TtsEngine,
    metrics: Metrics,
    readiness: Callable[[], Readiness],
    retriever: Retriever | None = None,
    max_document_bytes: int = 20 << 20,
    begin_session: BeginSession | None = None,
) -> FastAPI:
    """The app of everything but the realtime socket and the page, which the caller adds to it.

    `access` decides who is let in. `begin_session` makes sessions for client secrets; none: there are no such secrets.
    """
    app = FastAPI(title="Talkover", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    install_error_handlers(app)
    engines: dict[str, Engine] = {"vad": vad, "asr": asr, "llm": llm, "tts": tts}
    app.include_router(health_router(readiness, metrics))
    app.include_router(catalogue_router(engines))
    app.include_router(voices_router(tts, asr))
    app.include_router(documents_router(retriever, max_document_bytes))
    app.include_router(speech_router(tts))
    app.include_router(transcription_router(vad, asr))
    if begin_session is not None:
        app.include_router(client_secrets_router(access, begin_session))
    app.include_router(docs_router())

    document: dict[str, Any] = {}

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        if not document:  # made once, when every route is there
            document.update(describe_api(app, key_needed=access.has_keys))
        return document

    # The last one added is the outermost: headers go on every answer, also on those of the layers below.
    app.add_middleware(BodyLimit)
    app.add_middleware(AccessControl, access=access, metrics=metrics)
    if server.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(server.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
        )
    app.add_middleware(SecurityHeaders)
    return app
