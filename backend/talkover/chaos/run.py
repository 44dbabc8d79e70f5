"""Runs a scenario: server, proxy, endpoint and callers are put up, the switch is turned, and what comes of it noted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from talkover.chaos.endpoint import ChaosEndpoint
from talkover.chaos.hostile import CLIENTS
from talkover.chaos.network import NetworkProxy
from talkover.chaos.scenarios import FOLDER, PATIENCE, Scenario
from talkover.chaos.system import children
from talkover.chaos.verdict import Heard, Outcome
from talkover.chaos.victim import Victim
from talkover.chaos.witness import WitnessCall
from talkover.client.recordings import Recording
from talkover.client.server_process import ServerProcess
from talkover.resources import knowledge_folder

LISTENS_WITHIN_S = 30.0
"""after a reply, in the old session or a new one"""
LOG_BYTES = 200_000
KILLED_AFTER_S = 1.2
"""from when the victim is about to speak: in the middle of the question"""
TROUBLE = re.compile(r"^\S+ \S+ (?:WARNING|ERROR) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Setup:
    """What every scenario is run with."""

    question: Recording
    key: str | None = None
    """what clients must present"""
    url: str | None = None
    """of a server that runs already; None: one is started for each scenario"""
    arguments: tuple[str, ...] = ()
    """for the server that is started"""
    environ: Mapping[str, str] | None = None


def run(scenario: Scenario, setup: Setup) -> Outcome:
    """Raises ServerFailed, ServerUnreachable, ConversationEnded, TimeoutError when it cannot even begin."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(ChaosEndpoint(scenario.endpoint)) if _needs_endpoint(scenario) else None
        server = None if setup.url is not None else stack.enter_context(_started(scenario, setup, endpoint, stack))
        url = setup.url if server is None else server.url
        assert url is not None
        proxy = None if scenario.network is None else stack.enter_context(NetworkProxy(url, scenario.network))
        witness = stack.enter_context(WitnessCall(url, setup.key, setup.question))
        witness.ask_before()
        victim = Victim(url if proxy is None else proxy.url, setup.key, setup.question)
        stack.callback(victim.close)

        def turn(on: bool) -> None:
            for part in (endpoint, proxy):
                if part is not None:
                    part.turn(on)
            if server is not None:
                os.kill(server.pid, signal.SIGUSR1 if on else signal.SIGUSR2)

        log_before = "" if server is None else server.log_tail(LOG_BYTES)
        turn(True)
        witness.start()
        with _killing(scenario, server) as killed:
            heard, noticed_s, note = _suffer(scenario, setup, victim, url)
        turn(False)
        again_s = victim.listened_to_again_s(LISTENS_WITHIN_S)
        outcome = Outcome(
            heard=heard,
            listens_after_ms=None if again_s is None else max(0.0, again_s - noticed_s) * 1000,
            reconnected=victim.reconnected,
            witness=witness.finish(),
            note="; ".join([*note, *killed, *_dropped(proxy)]),
        )
        if server is None:
            return outcome
        ended = server.returncode
        return replace(
            outcome,
            log_line=_first_trouble(server.log_tail(LOG_BYTES), log_before),
            server_died="" if ended is None else f"code {ended}",
        )


def _suffer(scenario: Scenario, setup: Setup, victim: Victim, url: str) -> tuple[Heard, float, list[str]]:
    """The fault as the victim sees it, when that was over, and what else was seen."""
    if scenario.client is None:
        heard, noticed_s = victim.ask(scenario.limits.silence_s)
        return heard, noticed_s, []
    note = CLIENTS[scenario.client](url, setup.key)
    return Heard(), time.monotonic(), [note]


def _needs_endpoint(scenario: Scenario) -> bool:
    return scenario.endpoint is not None or scenario.with_documents


def _started(scenario: Scenario, setup: Setup, endpoint: ChaosEndpoint | None, stack: ExitStack) -> ServerProcess:
    """A server with the scenario's faults inside, ready."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="talkover-chaos-"))
    settings = [*PATIENCE, *scenario.settings]
    if endpoint is not None:
        settings += ["llm.engine=openai", f"llm.base_url={endpoint.base_url}", "llm.model=chaos"]
    if scenario.with_documents:
        settings.append(f"knowledge.path={knowledge_folder(None)}")
    values = [argument for value in settings for argument in ("--set", value.replace(FOLDER, folder))]
    command = [sys.executable, "-m", "talkover.chaos.server", "{port}", scenario.plan.encode()]
    server = ServerProcess(command=[*command, *setup.arguments, *values], environ=setup.environ)
    try:
        server.wait_ready()
    except BaseException:
        server.stop()
        raise
    return server


@contextlib.contextmanager
def _killing(scenario: Scenario, server: ServerProcess | None) -> Generator[list[str]]:
    """Kill a worker process while the victim speaks. Yields what was killed, filled in at the end."""
    killed: list[str] = []
    if scenario.kills is None or server is None:
        yield killed
        return

    def kill(pattern: str = scenario.kills, pid: int = server.pid) -> None:
        for child, command in children(pid).items():
            if pattern in command:
                os.kill(child, signal.SIGKILL)
                killed.append(f"killed process {child}")
                return

    timer = threading.Timer(KILLED_AFTER_S, kill)
    timer.start()
    try:
        yield killed
    finally:
        timer.join()


def _dropped(proxy: NetworkProxy | None) -> list[str]:
    return [] if proxy is None or not proxy.dropped_messages else [f"{proxy.dropped_messages} messages never arrived"]


def _first_trouble(log: str, before: str) -> str:
    """The first warning or error that was not there before."""
    new = log.removeprefix(before)
    found = TROUBLE.search(new)
    return "" if found is None else new[found.start() :].splitlines()[0].split(" ", 2)[2]


def question(words: str = "What is Talkover?") -> Recording:
    """Spoken by espeak-ng, which every install has. Raises EngineUnavailable."""
    import numpy as np

    from talkover.audio import OUTPUT_RATE_HZ
    from talkover.client.recordings import recording
    from talkover.config import load_settings
    from talkover.engines import TtsEngine
    from talkover.messages import VoiceSettings
    from talkover.registry import create_engine
    from talkover.rest.offline import speak

    settings = load_settings(None, (), {})
    engine: TtsEngine = create_engine("tts", "espeak", settings)
    engine.warmup()
    try:
        speech = np.concatenate(list(speak(words, engine, VoiceSettings("default"), lambda: False)))
    finally:
        engine.close()
    return recording("question", speech, OUTPUT_RATE_HZ, words)
