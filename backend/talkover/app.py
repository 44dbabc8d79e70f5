"""The only place where everything is put together: engines, sessions, REST, page, and the port."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from talkover.access.addresses import networks
from talkover.access.client_secrets import SecretSession
from talkover.access.connections import ConnectionTable
from talkover.access.exposure import exposure
from talkover.access.http_protocol import WRITE_TIMEOUT_S, GuardedHttpProtocol, Patience
from talkover.access.keys import load_keys
from talkover.access.policy import Access
from talkover.agent.call_tools import call_tools
from talkover.agent.desk_responder import at_desk, configured_hours, desk_clock
from talkover.agent.memory_tools import memory_tools
from talkover.agent.persona import with_persona
from talkover.config import ConfigError, Settings
from talkover.engines import Engine, Engines, EngineUnavailable, LlmEngine, TtsEngine, voice_library
from talkover.knowledge.retriever import DocumentRetriever, create_retriever
from talkover.memory.store import MemoryStore, MemoryUnavailable, memory_file
from talkover.metrics import Metrics
from talkover.pipeline.passages import PassageOptions
from talkover.realtime.behaviour import Manners
from talkover.realtime.errors import ProtocolError
from talkover.realtime.fields import JsonObject
from talkover.realtime.secret_session import secret_session
from talkover.realtime.server import RealtimeOptions, RealtimeServer
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.settings import SessionSettings, TurnDetection
from talkover.realtime.tool_runs import ToolLimits
from talkover.realtime.transport import LingeringProtocol
from talkover.registry import Slot, create_engine
from talkover.resources import knowledge_folder, resource
from talkover.rest.api import create_api
from talkover.rest.clip_transcripts import fill_transcripts
from talkover.rest.errors import ApiError
from talkover.rest.health import Readiness
from talkover.tools.tool import Toolbox
from talkover.tools.toolbox import load_toolbox
from talkover.vad.echo import webrtc_echo_cancellers
from talkover.vad.endpointing import TurnOptions
from talkover.vad.speaker_model import load_speaker_model
from talkover.vad.turn_model import load_turn_model

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.001
"""how long a busy Python thread may keep others waiting; the default of 5 ms adds up over the stages of a turn"""


NO_MODEL_NOTE = (
    "No language model is connected: answers come from the documents. "
    "Set OPENAI_API_KEY or OPENAI_BASE_URL and restart."
)


def chosen_engines(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[Slot, tuple[str, str]]:
    """slot -> (engine, why it)."""
    environ = os.environ if environ is None else environ
    llm, reason = settings.llm.engine, "llm.engine"
    if llm == "auto":
        variable = next((name for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY") if environ.get(name)), None)
        if settings.llm.base_url:
            llm, reason = "openai", "llm.base_url is set"
        elif settings.llm.endpoints:
            llm, reason = "openai", "llm.endpoints is set"
        elif variable:
            llm, reason = "openai", f"{variable} is set"
        else:
            llm, reason = "embedded", "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"
    return {
        "vad": (settings.vad.engine, "vad.engine"),
        "asr": (settings.asr.engine, "asr.engine"),
        "llm": (llm, reason),
        "tts": (settings.tts.engine, "tts.engine"),
    }


def build_engines(settings: Settings) -> Engines:
    """Load and warm every engine, side by side. Raises EngineUnavailable, with a line for each one that is missing."""

    def build(slot: Slot) -> Engine:
        engine: Engine = create_engine(slot, chosen[slot][0], settings)
        engine.warmup()
        return engine

    chosen = chosen_engines(settings)
    built: dict[Slot, Engine] = {}
    problems: list[str] = []
    with ThreadPoolExecutor(len(chosen), thread_name_prefix="load") as pool:
        futures: dict[Slot, Future[Engine]] = {slot: pool.submit(build, slot) for slot in chosen}
        for slot, future in futures.items():
            try:
                built[slot] = future.result()
            except EngineUnavailable as error:
                problems.append(str(error))
    if problems:
        for engine in built.values():
            engine.close()
        raise EngineUnavailable("\n".join(problems))
    engines = Engines(**built)  # pyright: ignore[reportArgumentType]
    try:
        vad = settings.vad
        turn = None if vad.turn_model is None else load_turn_model(vad.turn_model)
        speaker = None if vad.speaker_model is None else load_speaker_model(vad.speaker_model)
        return replace(engines, retriever=build_retriever(settings, engines.llm), turn=turn, speaker=speaker)
    except EngineUnavailable:
        engines.close()
        raise


def build_retriever(settings: Settings, llm: LlmEngine) -> DocumentRetriever:
    """The documents that answers of `llm` are given from, ready to be searched. Raises EngineUnavailable.

    An engine that searches by itself does so in the shipped documents, too, and is told of every change.
    """
    use_documents = getattr(llm, "use_documents", None)
    folder = settings.knowledge.path if use_documents is None else knowledge_folder(settings.knowledge.path)
    retriever = create_retriever(settings, folder, words_only=use_documents is not None)
    try:
        retriever.warmup()
    except EngineUnavailable:
        retriever.close()
        raise
    if use_documents is not None:
        retriever.on_change(use_documents)
    return retriever


def create_app(settings: Settings, engines: Engines, environ: Mapping[str, str] | None = None) -> FastAPI:
    """The ASGI app: page, Realtime socket, REST endpoints, health and metrics.

    `app.state.realtime` is the socket side.
    """
    environ = os.environ if environ is None else environ
    settings = with_persona(settings)
    engines = replace(engines, llm=at_desk(engines.llm, settings.agent))
    server = settings.server
    keys = load_keys(environ.get(server.api_key_env), settings.access, environ)
    access = Access(server, settings.access, keys, time.monotonic, time.time)
    metrics = Metrics(server.max_sessions)
    if voice_called(engines.tts, settings.session.voice) is None:
        names = ", ".join([*(voice.id for voice in engines.tts.voices()), *engines.tts.aliases()])
        raise ConfigError([f"session.voice: must be one of {names}, got {settings.session.voice!r}"])
    toolbox = build_toolbox(settings)
    memory = open_memory(settings)
    session = _session_options(settings, engines, toolbox, memory)
    realtime = RealtimeServer(
        RealtimeOptions(
            session=session,
            lead_ms=settings.session.output_lead_ms,
            max_sessions=server.max_sessions,
            max_frame_bytes=server.max_frame_mib << 20,
            max_backlog_bytes=int(server.max_backlog_mib * (1 << 20)),
            decision_log=settings.vad.decision_log,
        ),
        engines,
        metrics,
    )

    def begin_session(wanted: JsonObject) -> SecretSession:
        try:
            return secret_session(wanted, session)
        except ProtocolError as error:
            raise ApiError(400, f"{error.message}.", param=error.param, code=error.code) from error

    app = create_api(
        server=server,
        access=access,
        vad=engines.vad,
        asr=engines.asr,
        llm=engines.llm,
        tts=engines.tts,
        metrics=metrics,
        retriever=engines.retriever,
        max_document_bytes=settings.knowledge.max_upload_mib << 20,
        begin_session=begin_session,
        readiness=lambda: Readiness(True, realtime.active_sessions, server.max_sessions),
    )
    app.state.access = access
    app.state.realtime = realtime
    app.state.toolbox = toolbox
    app.state.memory = memory

    async def realtime_endpoint(websocket: WebSocket) -> None:
        await realtime.endpoint(websocket)

    app.add_api_websocket_route("/v1/realtime", realtime_endpoint)
    app.add_api_websocket_route("/realtime", realtime_endpoint)
    app.mount("/", StaticFiles(directory=resource("frontend"), html=True), name="page")
    return app


def voice_called(tts: TtsEngine, name: str) -> str | None:
    """Id of the voice called `name`, or aliased by it, among those there are now; None when there is none."""
    return name if any(voice.id == name for voice in tts.voices()) else tts.aliases().get(name)


def build_toolbox(settings: Settings) -> Toolbox:
    """What the server runs for the model. Raises ConfigError."""
    agent = settings.agent
    own = call_tools(agent, configured_hours(agent), desk_clock(agent))
    return load_toolbox(settings, (*own, *(memory_tools() if settings.memory.enabled else ())))


def open_memory(settings: Settings) -> MemoryStore | None:
    """Where callers are remembered; None when nobody is. Raises ConfigError."""
    memory = settings.memory
    if not memory.enabled:
        return None
    try:
        return MemoryStore(memory_file(memory.path), memory.keep_days, memory.max_notes)
    except MemoryUnavailable as error:
        raise ConfigError([str(error)]) from error


def _session_options(
    settings: Settings, engines: Engines, toolbox: Toolbox, memory: MemoryStore | None
) -> SessionOptions:
    for_callers = {tool.name for tool in memory_tools()} if memory is not None else set[str]()
    vad, knowledge = settings.vad, settings.knowledge
    named = {"vad": engines.vad, "asr": engines.asr, "llm": engines.llm, "tts": engines.tts}
    return SessionOptions(
        model=engines.llm.name,
        expires_at=0,
        lifetime_s=settings.server.max_session_minutes * 60,
        settings=SessionSettings(
            instructions=settings.session.instructions,
            voice=settings.session.voice,
            server_tools=tuple(tool.definition for tool in toolbox.tools if tool.name not in for_callers),
            turn_detection=TurnDetection(
                threshold=vad.threshold,
                silence_duration_ms=vad.silence_duration_ms,
            ),
        ),
        vad_options=TurnOptions(
            threshold=vad.threshold,
            min_speech_ms=vad.min_speech_ms,
            barge_in_ms=vad.barge_in_ms,
            max_utterance_ms=round(vad.max_utterance_s * 1000),
        ),
        pre_roll_ms=vad.prefix_padding_ms,
        asr_timeout_s=settings.asr.timeout_s + 2,
        passages=PassageOptions(
            limit=knowledge.passages,
            timeout_s=knowledge.timeout_ms / 1000,
            only_documents=knowledge.path is not None if knowledge.only is None else knowledge.only,
        ),
        response_timeout_s=settings.llm.first_token_timeout_s + 5,
        toolbox=toolbox,
        tool_limits=ToolLimits(settings.tools.timeout_s, settings.tools.max_steps, settings.tools.max_calls),
        memory=memory,
        memory_tools=tuple(tool.definition for tool in toolbox.tools if tool.name in for_callers),
        history_tokens=None if engines.llm.name == "embedded" else settings.llm.history_tokens,
        greeting=settings.agent.greeting,
        resolve_voice=lambda name: voice_called(engines.tts, name),
        info={
            "engines": {slot: engine.name for slot, engine in named.items()},
            "notes": [NO_MODEL_NOTE] if engines.llm.name == "embedded" else [],
        },
        echo_canceller=webrtc_echo_cancellers() if vad.echo_canceller == "webrtc" else None,
        turn_model=None if engines.turn is None else "hears" if engines.turn.hears else "reads",
        knows_voices=engines.speaker is not None,
        manners=_manners(settings),
    )


def _manners(settings: Settings) -> Manners:
    manners = settings.manners
    return Manners(
        filler_after_ms=manners.filler_after_ms,
        reprompt_after_ms=None if manners.reprompt_after_s is None else round(manners.reprompt_after_s * 1000),
        max_reprompts=manners.max_reprompts,
        hangs_up=manners.when_silent == "hang_up",
        backchannels=manners.backchannels,
    )


# --------------------------------------------------------------------------------------------------------- the port


class _Server(uvicorn.Server):
    """uvicorn that says goodbye to realtime sessions with 1001 before it stops."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, started_at_s: float) -> None:
        super().__init__(config)
        self._app = app
        self._started_at_s = started_at_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("ready after %.1f s", time.monotonic() - self._started_at_s)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        realtime: RealtimeServer = self._app.state.realtime
        await realtime.shutdown()
        await asyncio.to_thread(self._app.state.toolbox.close)
        if self._app.state.memory is not None:
            self._app.state.memory.close()
        await super().shutdown(sockets)


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
    return _Server(config, app, started_at_s)


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
    logging.basicConfig(level=settings.server.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("httpx", "httpx2", "uvicorn.error"):  # the last one writes addresses with their query
        logging.getLogger(chatty).setLevel(logging.WARNING)
    listener = _bind(settings.server.host, settings.server.port)
    engines = build(settings)
    try:
        if (library := voice_library(engines.tts)) is not None:
            fill_transcripts(library, engines.asr)
        app = create_app(settings, engines)
        for slot, (name, reason) in chosen_engines(settings).items():
            log.info("%s: %s (%s)", slot, name, reason)
        scheme = "https" if settings.server.tls_certificate else "http"
        host, port = listener.getsockname()[:2]
        if (warning := exposure(settings, app.state.access.has_keys)) is not None:
            log.warning("%s", warning)
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
