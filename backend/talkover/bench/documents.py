"""What documents add to an answer: the same questions, asked of a server that searches and of one that does not.

Engines that answer at once leave the search as the only difference (`documents_server.py`). The documents are looked up
while the question is still being asked, as they are in a real conversation.
"""

from __future__ import annotations

import sys
from statistics import median

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.bench.caller import Caller
from talkover.bench.figures import Figure, PartResult, summarize
from talkover.bench.part import Setting
from talkover.bench.retrieval_set import questions
from talkover.client.recordings import Recording, recording
from talkover.client.server_process import ServerProcess

PASSAGES = 10_000
ADDED_P50_MS = 30.0
"""what documents may add to voice-to-voice latency"""
READY_TIMEOUT_S = 600.0
"""reading ten thousand passages and a model"""
BY_WORDS, BY_MEANING = "searched by words", "searched by words and by meaning"
"""told by the server in its log: vectors are there once `talkover bench retrieval` has made them"""
MS_PER_WORD = 370
"""of unhurried speech"""


def spoken_noise(n_words: int) -> Recording:
    """As long as so many words, and speech to a detector that goes by level."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, ms_to_samples(n_words * MS_PER_WORD, OUTPUT_RATE_HZ))
    return recording("question", noise.astype(np.float32), OUTPUT_RATE_HZ)


def measure(setting: Setting) -> PartResult:
    n_turns = setting.count(40, 8)
    asked = [one.question for one in questions()[:n_turns]]
    times_ms: dict[int, list[float]] = {}
    unanswered, searched = 0, BY_WORDS
    for at, n_passages in enumerate((0, PASSAGES)):
        command = (sys.executable, "-m", "talkover.bench.documents_server", "{port}", str(n_passages))
        with ServerProcess(command=command, environ=setting.environ) as server:
            server.wait_ready(READY_TIMEOUT_S)
            searched = BY_MEANING if BY_MEANING in server.log_tail(1 << 20) else BY_WORDS
            with Caller(server.url, key=setting.key) as caller:
                found: list[float] = []
                for index, question in enumerate(asked):
                    setting.advance(f"{n_passages} passages", (at + index / n_turns) / 2)
                    exchange = caller.ask(spoken_noise(len(question.split())), listen_s=0.0)
                    if exchange.voice_to_voice_ms is None:
                        unanswered += 1
                    else:
                        found.append(exchange.voice_to_voice_ms)
                times_ms[n_passages] = found
    if not all(times_ms.values()):
        raise RuntimeError("the instant engines did not answer")
    added_ms = median(times_ms[PASSAGES]) - median(times_ms[0])
    return PartResult(
        "documents",
        "What documents add to an answer",
        (
            Figure("voice to voice, no documents", "ms", summarize(times_ms[0])),
            Figure(f"voice to voice, {PASSAGES} passages", "ms", summarize(times_ms[PASSAGES])),
            Figure("added by the documents, p50", "ms", value=added_ms, note=f"at most {ADDED_P50_MS:g}"),
        ),
        (
            f"{n_turns} questions, looked up while they are spoken; {searched}",
            *([f"{unanswered} without an answer"] if unanswered else []),
        ),
        [{"passages": n_passages, "voice_to_voice_ms": found} for n_passages, found in times_ms.items()],
    )
