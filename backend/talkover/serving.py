"""The port: the app served with its limits and certificates, drained on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from talkover.access.addresses import networks
from talkover.access.connections import ConnectionTable
from talkover.access.exposure import exposure
from talkover.access.http_protocol import WRITE_TIMEOUT_S, GuardedHttpProtocol, Patience
from talkover.app import create_app
from talkover.config import ConfigError, Settings
from talkover.engines import Engines, voice_library
from talkover.garbage import give_memory_back, keep_what_is_loaded, use_few_heaps
from talkover.loading import build_engines, chosen_engines
from talkover.log_format import configure_logging
from talkover.loop_lag import watch_loop_lag
from talkover.metrics import Metrics
from talkover.realtime.server import RealtimeServer
from talkover.realtime.transport import LingeringProtocol
from talkover.rest.clip_transcripts import fill_transcripts

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.001
"""how long a busy Python thread may keep others waiting; the default of 5 ms adds up over the stages of a turn"""


class _Server(uvicorn.Server):
    """uvicorn that lets conversations end before it stops on SIGTERM; on SIGINT or a second signal they end at once."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, started_at_s: float, drain_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._started_at_s = started_at_s
        self._chores: tuple[asyncio.Task[None], ...] = ()
        self._drain_s = drain_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        first = not self.should_exit and self._draining is None
        super().handle_exit(sig, frame)
        if first and sig == signal.SIGTERM and self.started and self._loop is not None and self._drain_s > 0:
            self.should_exit = False
            self._draining = self._loop.create_task(self._drain())
            self._loop.call_soon_threadsafe(lambda: None)  # a signal does not wake the loop; this does

    async def _drain(self) -> None:
        realtime: RealtimeServer = self._app.state.realtime
        await realtime.drain(self._drain_s)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            metrics: Metrics = self._app.state.metrics
            lag = watch_loop_lag(metrics.event_loop_lag_seconds.observe)
            self._chores = (asyncio.create_task(lag), asyncio.create_task(give_memory_back()))
            log.info("ready after %.1f s", time.monotonic() - self._started_at_s)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        realtime: RealtimeServer = self._app.state.realtime
        if self._draining is not None:
            self._draining.cancel()
        await realtime.shutdown()
        await asyncio.to_thread(self._app.state.toolbox.close)
        for store in (self._app.state.memory, self._app.state.journal):
            if store is not None:
                store.close()
        await super().shutdown(sockets)
        for chore in self._chores:
            chore.cancel()
        await asyncio.to_thread(self._app.state.observing.close)


def asgi_server(app: FastAPI, settings: Settings, started_at_s: float) -> uvicorn.Server:
    """The server of `app` with the limits and certificates of `settings`; it is given a bound socket to serve on.

    `started_at_s`: monotonic time at which the start began, for the log.
    """
    access, tls = settings.access, settings.server.tls_certificate is not None
    table = ConnectionTable(
        access.connections_per_address,
        access.max_connections,
        networks((*access.unlimited_addresses, *access.trusted_proxies)),
    )
    http: Any = partial(GuardedHttpProtocol, table, Patience(access.read_timeout_s, WRITE_TIMEOUT_S))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # talkover.access reads X-Forwarded-For, of proxies that are configured
        http=http,
        ws=LingeringProtocol,
        ws_max_size=settings.server.max_frame_mib << 20,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        ws_per_message_deflate=False,
        ssl_certfile=settings.server.tls_certificate,
        ssl_keyfile=settings.server.tls_key,
        ssl_context_factory=_tls_context if tls else None,
        timeout_graceful_shutdown=5,
    )
    return _Server(config, app, started_at_s, settings.server.drain_s)


def _tls_context(_config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Whatever the system's OpenSSL still speaks: TLS 1.2 and newer (RFC 8996)."""
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def serve(settings: Settings, build: Callable[[Settings], Engines] = build_engines) -> None:
    """Load the engines by `build`, then open the port, until SIGINT or SIGTERM.

    Raises ConfigError when the port is taken or a setting does not fit the engines, EngineUnavailable.
    """
    started_at_s = time.monotonic()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    configure_logging(settings.server.log_level, settings.server.log_format)
    listener = _bind(settings.server.host, settings.server.port)
    use_few_heaps()
    engines = build(settings)
    try:
        if (library := voice_library(engines.tts)) is not None:
            fill_transcripts(library, engines.asr)
        app = create_app(settings, engines, measure=True)
        for slot, (name, reason) in chosen_engines(settings).items():
            log.info("%s: %s (%s)", slot, name, reason)
        scheme = "https" if settings.server.tls_certificate else "http"
        host, port = listener.getsockname()[:2]
        if (warning := exposure(settings, app.state.access.has_keys)) is not None:
            log.warning("%s", warning)
        keep_what_is_loaded()
        log.info("open %s://%s:%d", scheme, "127.0.0.1" if host in ("0.0.0.0", "::") else host, port)
        asyncio.run(asgi_server(app, settings, started_at_s).serve([listener]))
    finally:
        engines.close()


def _bind(host: str, port: int) -> socket.socket:
    """The port, taken but not listening yet: connections are accepted only when the engines are warm."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that say they are TCP; with it, the second of two frames
    # waits for the client's next packet, up to 20 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            [f"server.port: {port} on {host} cannot be used ({error.strerror}); choose another: --port {port + 1}"]
        ) from error
    return listener
