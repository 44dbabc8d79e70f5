"""What the pipeline itself adds: everything between the decision that a turn is over and sound at the client, with
engines that answer at once."""

from __future__ import annotations

import sys
import time

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.bench.caller import Caller
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.part import Setting
from talkover.client.recordings import Recording, recording
from talkover.client.server_process import ServerProcess

BURST_MS = 400
COMMAND = (sys.executable, "-m", "talkover.bench.instant", "{port}")


def burst() -> Recording:
    """A loud noise: speech to a detector that goes by level."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, ms_to_samples(BURST_MS, OUTPUT_RATE_HZ))
    return recording("burst", noise.astype(np.float32), OUTPUT_RATE_HZ)


def measure(setting: Setting) -> PartResult:
    spoken_ms: list[float] = []
    typed_ms: list[float] = []
    n_turns = setting.count(25, 6)
    with ServerProcess(command=COMMAND, environ=setting.environ) as server:
        server.wait_ready()
        with Caller(server.url, key=setting.key) as caller:
            for index in range(n_turns):
                setting.advance("turns with instant engines", index / n_turns)
                spoken_ms.append(spoken_overhead_ms(caller))
                typed_ms.append(typed_overhead_ms(caller))
    return PartResult(
        "overhead",
        "The pipeline's own share",
        (
            Figure("end of turn decided to first audio", "ms", summarize(spoken_ms), targets=(Target("p50", 15),)),
            Figure("typed turn sent to first audio", "ms", summarize(typed_ms)),
        ),
        ("from when the deciding 20 ms of audio leave the client, both ways of the wire included",),
        [{"spoken_ms": spoken, "typed_ms": typed} for spoken, typed in zip(spoken_ms, typed_ms, strict=True)],
    )


def spoken_overhead_ms(caller: Caller) -> float:
    """From the sending of the audio that decided the end of the turn to the first audible sample."""
    since = caller.client.cursor
    caller.ask(burst(), listen_s=0.0)
    turns = caller.turns(since)
    decided_ms = next(turn.ended_ms for turn in turns.user.values() if turn.ended_ms is not None)
    first_s = next(iter(turns.answers.values())).first_audible_s(caller.speaker.stretches)
    if first_s is None:
        raise RuntimeError("the instant engines did not answer")
    return (first_s - caller.microphone.sent_s(decided_ms)) * 1000


def typed_overhead_ms(caller: Caller) -> float:
    """From the sending of a typed turn to the first audible sample."""
    since = caller.client.cursor
    sent_s = time.monotonic()
    caller.client.say_text("Hello?")
    caller.client.wait("response.output_audio.delta", 5, since)
    first_s = next(iter(caller.turns(since).answers.values())).first_audible_s(caller.speaker.stretches)
    if first_s is None:
        raise RuntimeError("the instant engines did not answer")
    caller.stop(since)
    return (first_s - sent_s) * 1000
