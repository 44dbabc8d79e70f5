"""What can be done to a server, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from talkover.chaos.endpoint import EndpointFault
from talkover.chaos.network import NetworkFault
from talkover.chaos.plan import EngineFault, FaultPlan, SystemFault
from talkover.chaos.verdict import Limits

Kind = Literal["engine", "endpoint", "network", "client", "system"]

PATIENCE = ("llm.first_token_timeout_s=2", "llm.timeout_s=8", "asr.timeout_s=2", "tts.timeout_s=4")
"""of the server under test: an experiment is not to last minutes"""
WATCHDOG_S = 2 + 5
"""after which a response without any sign is given up, with these settings"""
FOLDER = "{folder}"
"""in a setting: a folder for this scenario alone"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment."""

    name: str
    what: str
    """what happens, in a line"""
    kind: Kind
    plan: FaultPlan = FaultPlan()
    """inside the server"""
    endpoint: EndpointFault | None = None
    """of the language model; any other scenario leaves the model that is configured"""
    network: NetworkFault | None = None
    client: str | None = None
    """name of a hostile client that does something beside the victim"""
    kills: str | None = None
    """part of the command line of the worker processes of which one is killed"""
    with_documents: bool = False
    """a model that does not search by itself answers, from the shipped documents"""
    settings: tuple[str, ...] = ()
    """for the server, over `PATIENCE`"""
    limits: Limits = field(default_factory=Limits)

    @property
    def is_outside(self) -> bool:
        """It needs nothing inside the server, so that it can be done to one that runs already."""
        return self.kind in ("network", "client")


def _engine(name: str, what: str, fault: EngineFault, limits: Limits | None = None) -> Scenario:
    return Scenario(
        name,
        what,
        "engine",
        FaultPlan((fault,)),
        with_documents=fault.slot == "retriever",
        limits=limits or Limits(),
    )


def _engines() -> Iterator[Scenario]:
    watched = Limits(silence_s=WATCHDOG_S + 4)
    second = 2
    yield _engine("vad-raises", "the voice detector raises at every frame", EngineFault("vad", "raise", session=second))
    yield _engine("vad-nan", "the voice detector gives NaN", EngineFault("vad", "nan", session=second))
    yield _engine("asr-fails", "the recogniser refuses an utterance", EngineFault("asr", "fail"))
    yield _engine("asr-out-of-memory", "the recogniser runs out of memory", EngineFault("asr", "out_of_memory"))
    yield _engine("asr-stuck", "the recogniser never returns", EngineFault("asr", "stuck"), watched)
    yield _engine("asr-nonsense", "the recogniser returns no hypothesis at all", EngineFault("asr", "nonsense"))
    yield _engine("asr-huge", "the recogniser hears five million characters", EngineFault("asr", "huge"))
    yield _engine(
        "asr-control-characters", "the recogniser hears control characters", EngineFault("asr", "control_characters")
    )
    yield _engine("llm-fails", "the model refuses", EngineFault("llm", "fail"))
    yield _engine("llm-breaks-off", "the model breaks in the middle", EngineFault("llm", "raise", after_results=1))
    yield _engine("llm-out-of-memory", "the model runs out of memory", EngineFault("llm", "out_of_memory"))
    yield _engine("llm-hangs", "the model says nothing", EngineFault("llm", "hang"), watched)
    yield _engine("llm-stuck", "the model never returns, cancelled or not", EngineFault("llm", "stuck"), watched)
    yield _engine("llm-slow", "the model thinks a second about each word", EngineFault("llm", "slow", pause_s=1.0))
    yield _engine("llm-silent", "the model answers with nothing", EngineFault("llm", "silent"))
    yield _engine("llm-endless", "the model never stops talking", EngineFault("llm", "endless"))
    yield _engine("llm-huge", "the model answers with a word of 5 MB", EngineFault("llm", "huge"))
    yield _engine(
        "llm-control-characters", "the model writes control characters", EngineFault("llm", "control_characters")
    )
    yield _engine("tts-fails-once", "the synthesiser fails at one segment", EngineFault("tts", "fail", times=1))
    yield _engine("tts-fails", "the synthesiser fails at everything", EngineFault("tts", "fail"))
    yield _engine(
        "tts-cuda-out-of-memory",
        "the synthesiser's GPU is out of memory once",
        EngineFault("tts", "cuda_out_of_memory", times=1),
    )
    yield _engine("tts-stuck", "the synthesiser never returns, once", EngineFault("tts", "stuck", times=1), watched)
    yield _engine("tts-nan", "the synthesiser gives NaN once", EngineFault("tts", "nan", times=1))
    yield _engine("tts-infinite", "the synthesiser gives infinities once", EngineFault("tts", "infinite", times=1))
    yield _engine("tts-loud", "the synthesiser gives 32768 times too much once", EngineFault("tts", "loud", times=1))
    yield _engine("tts-silent", "the synthesiser gives no sound at all", EngineFault("tts", "silent"))
    yield _engine("tts-wrong-shape", "the synthesiser gives stereo once", EngineFault("tts", "wrong_shape", times=1))
    yield _engine("tts-endless", "the synthesiser does not stop", EngineFault("tts", "endless", times=1))
    yield _engine("retriever-raises", "the search of documents breaks", EngineFault("retriever", "raise"))
    yield _engine(
        "retriever-stuck", "the search of documents never returns", EngineFault("retriever", "stuck", times=1)
    )
    yield Scenario(
        "recogniser-killed",
        "a worker process of the recogniser is killed",
        "engine",
        kills="pocketsphinx_worker",
    )


def _endpoints() -> Iterator[Scenario]:
    for name, what, fault in (
        ("llm-429", "HTTP 429 once, Retry-After 1", EndpointFault("too_many_requests", times=1)),
        ("llm-429-for-long", "HTTP 429, Retry-After 30", EndpointFault("too_many_requests", retry_after_s=30)),
        ("llm-500", "HTTP 500 every time", EndpointFault("server_error")),
        ("llm-half-stream", "the stream is cut in the middle", EndpointFault("half_stream")),
        ("llm-trickles", "a token every half second, for ever", EndpointFault("trickle")),
        ("llm-never-begins", "headers, and then nothing", EndpointFault("silent")),
        ("llm-not-json", "lines that are neither JSON nor events", EndpointFault("not_json")),
        ("llm-huge-line", "one line that grows for ever", EndpointFault("huge_line")),
        ("llm-reset", "the connection is reset at every request", EndpointFault("reset")),
    ):
        yield Scenario(name, what, "endpoint", endpoint=fault)


def _networks() -> Iterator[Scenario]:
    yield Scenario(
        "jitter",
        "every packet comes up to 500 ms late, both ways",
        "network",
        network=NetworkFault(delay_ms=20, jitter_ms=500),
    )
    for percent in (1, 5, 10):
        yield Scenario(
            f"packet-loss-{percent}",
            f"{percent} % of TCP segments are sent again after a timeout",
            "network",
            network=NetworkFault(delay_ms=20, loss=percent / 100),
        )
    for percent in (1, 10):
        yield Scenario(
            f"frame-loss-{percent}",
            f"{percent} % of the microphone's messages never arrive",
            "network",
            network=NetworkFault(message_loss=percent / 100),
        )
    yield Scenario(
        "reset",
        "the connection is reset in the middle of an answer",
        "network",
        network=NetworkFault(reset_after_bytes=40_000),
        limits=Limits(may_end=True),
    )
    yield Scenario(
        "half-open",
        "nothing goes through any more and nobody is told",
        "network",
        network=NetworkFault(freeze_after_bytes=40_000),
        limits=Limits(may_end=True, must_reply=False),
    )


def _clients() -> Iterator[Scenario]:
    own_fault = Limits(may_end=True, must_reply=False)
    yield Scenario(
        "client-stops-reading",
        "a client asks and reads no answer",
        "client",
        client="stop_reading",
        settings=("session.output_lead_ms=none", "server.max_backlog_mib=0.05"),
        limits=own_fault,
    )
    yield Scenario(
        "client-floods", "a client sends audio 100 times too fast", "client", client="flood", limits=own_fault
    )
    yield Scenario("client-garbage", "a client sends what is no event", "client", client="garbage", limits=own_fault)


def _systems() -> Iterator[Scenario]:
    yield Scenario(
        "disk-full",
        "no file of the server can grow any more",
        "system",
        FaultPlan(system=SystemFault("disk_full")),
        settings=(
            f"vad.decision_log={FOLDER}/decisions",
            "memory.enabled=true",
            f"memory.path={FOLDER}/memory.sqlite",
            f"knowledge.uploads={FOLDER}/uploads",
        ),
    )
    for name, hours in (("clock-forwards", 6), ("clock-backwards", -6)):
        yield Scenario(
            name,
            f"the wall clock steps by {hours:+d} hours",
            "system",
            FaultPlan(system=SystemFault("clock_jump", hours * 3600.0)),
        )
    yield Scenario(
        "no-descriptors",
        "the server can open no file and no socket",
        "system",
        FaultPlan(system=SystemFault("no_descriptors")),
        client="newcomer",
        limits=Limits(may_end=True, must_reply=False),
    )


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenarios in (_engines(), _endpoints(), _networks(), _clients(), _systems())
    for scenario in scenarios
}
