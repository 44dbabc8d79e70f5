"""The only place where everything is put together: sessions, REST, page, and what looks on."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from talkover.access.client_secrets import SecretSession
from talkover.access.keys import load_keys
from talkover.access.policy import Access
from talkover.agent.call_tools import call_tools
from talkover.agent.desk_responder import at_desk, configured_hours, desk_clock
from talkover.agent.memory_tools import memory_tools
from talkover.agent.persona import with_persona
from talkover.config import ConfigError, Settings
from talkover.engines import Engine, Engines, TtsEngine, slots
from talkover.memory.store import MemoryStore, MemoryUnavailable, memory_file
from talkover.metrics import Metrics, Stage
from talkover.observing import Observing
from talkover.pipeline.passages import PassageOptions
from talkover.realtime.admission import AdmissionLimits
from talkover.realtime.behaviour import Manners
from talkover.realtime.calibration import calibrated
from talkover.realtime.errors import ProtocolError
from talkover.realtime.fields import JsonObject
from talkover.realtime.journal import Journal, JournalUnavailable
from talkover.realtime.secret_session import secret_session
from talkover.realtime.server import RealtimeOptions, RealtimeServer
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.settings import SessionSettings, TurnDetection
from talkover.realtime.tool_runs import ToolLimits
from talkover.resources import resource
from talkover.rest.api import create_api
from talkover.rest.errors import ApiError
from talkover.rest.health import Readiness
from talkover.rest.sessions import sessions_router
from talkover.tools.tool import Toolbox
from talkover.tools.toolbox import load_toolbox
from talkover.vad.echo import webrtc_echo_cancellers
from talkover.vad.endpointing import TurnOptions

log = logging.getLogger(__name__)

SESSIONS_UNMEASURED = 16

NO_MODEL_NOTE = (
    "No language model is connected: answers come from the documents. "
    "Set OPENAI_API_KEY or OPENAI_BASE_URL and restart."
)


def create_app(
    settings: Settings, engines: Engines, environ: Mapping[str, str] | None = None, measure: bool = False
) -> FastAPI:
    """The ASGI app: page, Realtime socket, REST endpoints, health and metrics.

    `app.state.realtime` is the socket side. `measure`: find out how many sessions this machine carries, where the
    settings do not say it.
    """
    environ = os.environ if environ is None else environ
    settings = with_persona(settings)
    engines = replace(engines, llm=at_desk(engines.llm, settings.agent))
    server = settings.server
    keys = load_keys(environ.get(server.api_key_env), settings.access, environ)
    access = Access(server, settings.access, keys, time.monotonic, time.time)
    if voice_called(engines.tts, settings.session.voice) is None:
        names = ", ".join([*(voice.id for voice in engines.tts.voices()), *engines.tts.aliases()])
        raise ConfigError([f"session.voice: must be one of {names}, got {settings.session.voice!r}"])
    toolbox = build_toolbox(settings)
    memory = open_memory(settings)
    session = _session_options(settings, engines, toolbox, memory)
    max_sessions = SESSIONS_UNMEASURED if server.max_sessions == "auto" else server.max_sessions
    if server.max_sessions == "auto" and measure:
        carried = calibrated(engines, session)
        log.info("%s", carried)
        max_sessions = carried.sessions
    metrics = Metrics(max_sessions)
    named = {"vad": engines.vad, "asr": engines.asr, "llm": engines.llm, "tts": engines.tts}
    observing = Observing(settings, {slot: engine.name for slot, engine in named.items()}, metrics, max_sessions)
    journal = open_journal(settings, metrics)
    realtime = RealtimeServer(
        RealtimeOptions(
            session=session,
            lead_ms=settings.session.output_lead_ms,
            admission=AdmissionLimits(max_sessions, server.max_waiting, server.max_wait_s),
            max_lag_s=None if server.max_lag_ms is None else server.max_lag_ms / 1000,
            local_stages=_local_stages(engines),
            max_frame_bytes=server.max_frame_mib << 20,
            max_backlog_bytes=int(server.max_backlog_mib * (1 << 20)),
            decision_log=settings.vad.decision_log,
            stuck_after_s=server.stuck_after_s,
            observers=observing.makers,
            resume_window_s=settings.resume.window_s,
            journal=journal,
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
        readiness=lambda: Readiness(True, realtime.active_sessions, max_sessions, realtime.refuses),
    )
    app.state.access = access
    app.state.realtime = realtime
    app.state.toolbox = toolbox
    app.state.memory = memory
    app.state.journal = journal
    app.state.observing = observing
    app.state.metrics = metrics
    app.include_router(sessions_router(observing.sessions.snapshot))

    async def realtime_endpoint(websocket: WebSocket) -> None:
        await realtime.endpoint(websocket)

    app.add_api_websocket_route("/v1/realtime", realtime_endpoint)
    app.add_api_websocket_route("/realtime", realtime_endpoint)
    app.mount("/", StaticFiles(directory=resource("frontend"), html=True), name="page")
    return app


def _local_stages(engines: Engines) -> tuple[Stage, ...]:
    """What this machine answers for in a turn."""
    at_work: dict[Stage, Engine] = {"asr": engines.asr, "tts_ttfb": engines.tts}
    return tuple(stage for stage, engine in at_work.items() if slots(engine) is not None)


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


def open_journal(settings: Settings, metrics: Metrics) -> Journal | None:
    """What keeps calls beyond this process; None when they end with it. Raises ConfigError."""
    resume = settings.resume
    if resume.path is None or not resume.window_s:
        return None
    try:
        return Journal(resume.path, resume.window_s, metrics.errors_total.labels("journal").inc)
    except JournalUnavailable as error:
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
        recording=None if settings.recording.path is None else settings.recording.consent,
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
