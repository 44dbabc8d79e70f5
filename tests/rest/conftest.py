"""REST on a real port, with whatever engines a test asks for."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from fakes import fake_engines
from talkover.access.keys import load_keys
from talkover.access.policy import Access
from talkover.config import Settings
from talkover.engines import Engines, TtsEngine
from talkover.metrics import Metrics
from talkover.registry import create_engine
from talkover.rest.api import create_api
from talkover.rest.health import Readiness
from talkover.sections.operation import AccessSettings, ServerSettings

KEY = "s3cret"
MakeClient = Callable[..., httpx.Client]


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The address of `app` on a free port of this machine."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        assert started.wait(10)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def api(engines: Engines, *, key: str | None = None, **changes: Any) -> FastAPI:
    options: dict[str, Any] = {
        "server": ServerSettings(),
        "metrics": Metrics(16),
        "readiness": lambda: Readiness(warm=True, sessions=0, max_sessions=16),
    }
    options |= changes
    keys = load_keys(key, AccessSettings(), {})
    return create_api(
        access=Access(options["server"], AccessSettings(), keys, time.monotonic, time.time),
        vad=engines.vad,
        asr=engines.asr,
        llm=engines.llm,
        tts=engines.tts,
        **options,
    )


@pytest.fixture
def connect() -> Iterator[MakeClient]:
    """A client of a server with the given engines, fakes by default; the rest as `create_api` takes it."""
    with ExitStack() as stack:

        def make(engines: Engines | None = None, prepare: Callable[[FastAPI], None] | None = None, **options: Any):
            app = api(engines or fake_engines(), **options)
            if prepare is not None:
                prepare(app)
            return stack.enter_context(httpx.Client(base_url=stack.enter_context(listening(app)), timeout=20))

        yield make


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """A client of a server with fakes, shared by tests that neither change it nor make it start threads."""
    with listening(api(fake_engines())) as address, httpx.Client(base_url=address, timeout=20) as shared:
        yield shared


@pytest.fixture(scope="session")
def guarded() -> Iterator[httpx.Client]:
    """The same with a key, which the client does not send by itself."""
    with listening(api(fake_engines(), key=KEY)) as address, httpx.Client(base_url=address, timeout=20) as shared:
        yield shared


@pytest.fixture(scope="session")
def espeak() -> Iterator[TtsEngine]:
    engine: TtsEngine = create_engine("tts", "espeak", Settings())
    engine.warmup()
    yield engine
    engine.close()
