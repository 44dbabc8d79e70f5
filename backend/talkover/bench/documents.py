"""What documents add to an answer: the same questions, asked of a server that searches and of one that does not.

Engines that answer at once leave the search as the only difference. The recogniser of this bench writes the words down
as they are spoken, one behind, so that the documents are looked up while the question is still being asked, as they are
in a real conversation. Run as a module it serves: `python -m talkover.bench.documents PORT PASSAGES`.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from statistics import median

import numpy as np

from talkover.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, ms_to_samples
from talkover.bench.caller import Caller
from talkover.bench.figures import Figure, PartResult, summarize
from talkover.bench.instant import instant_engines
from talkover.bench.part import Setting
from talkover.bench.retrieval_set import corpus, questions
from talkover.client.recordings import Recording, recording
from talkover.client.server_process import ServerProcess
from talkover.config import Settings, load_settings
from talkover.engines import DocumentInfo, DocumentRefused, Engines, Hypothesis, IsStale
from talkover.knowledge.embedding import create_embedder
from talkover.knowledge.index import Index
from talkover.knowledge.store import Store
from talkover.knowledge.vector_stores import create_vectors
from talkover.messages import Samples, Source
from talkover.resources import cache_folder

PASSAGES = 10_000
ADDED_P50_MS = 30.0
"""what documents may add to voice-to-voice latency"""
BY_WORDS, BY_MEANING = "searched by words", "searched by words and by meaning"
"""told by the server in its log: vectors are there once `talkover bench retrieval` has made them"""
MS_PER_WORD = 370
"""of unhurried speech"""


class SpokenAsr:
    """Understands the questions of the set one after the other, word by word as time goes on."""

    name = "spoken"

    def __init__(self) -> None:
        self._questions = itertools.cycle(one.question for one in questions())

    def warmup(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to free."""

    def stream(self, language: str | None = None, hint: str = "") -> SpokenQuestion:
        return SpokenQuestion(next(self._questions))


class SpokenQuestion:
    """One of them being asked."""

    def __init__(self, question: str) -> None:
        self._words = question.split()
        self._heard_ms = 0.0
        self._told = 0

    def feed(self, samples: Samples) -> Hypothesis | None:
        self._heard_ms += samples.size * 1000 / INPUT_RATE_HZ
        return self.partial()

    def partial(self) -> Hypothesis | None:
        heard = min(len(self._words), int(self._heard_ms / MS_PER_WORD))
        if heard <= self._told:
            return None
        self._told = heard
        stable = " ".join(self._words[: heard - 1])
        return Hypothesis(" ".join(self._words[:heard]), len(stable))

    def finish(self, is_stale: IsStale) -> Hypothesis:
        text = " ".join(self._words)
        return Hypothesis(text, len(text), 1.0)

    def close(self) -> None:
        """Holds nothing."""


class IndexRetriever:
    """An index as it is, to which nothing can be added."""

    def __init__(self, index: Index, min_score: float) -> None:
        self._index = index
        self._min_score = min_score
        self._info = DocumentInfo("corpus", "corpus", "corpus", 0, len(index.chunks), removable=False)

    def search(self, question: str, limit: int, is_stale: IsStale) -> tuple[Source, ...]:
        return self._index.search(question, limit, is_stale, self._min_score)

    def documents(self) -> tuple[DocumentInfo, ...]:
        return (self._info,)

    def add(self, path: str, content: bytes) -> DocumentInfo:
        raise DocumentRefused("full", f"{path} cannot be added here")

    def remove(self, document_id: str) -> None:
        raise DocumentRefused("fixed", f"{document_id} cannot be removed here")

    def close(self) -> None:
        """Nothing to free."""


def spoken_noise(n_words: int) -> Recording:
    """As long as so many words, and speech to a detector that goes by level."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, ms_to_samples(n_words * MS_PER_WORD, OUTPUT_RATE_HZ))
    return recording("question", noise.astype(np.float32), OUTPUT_RATE_HZ)


def measure(setting: Setting) -> PartResult:
    n_turns = setting.count(len(questions()), 8)
    asked = [one.question for one in questions()[:n_turns]]
    times_ms: dict[int, list[float]] = {}
    unanswered, searched = 0, BY_WORDS
    for at, n_passages in enumerate((0, PASSAGES)):
        command = (sys.executable, "-m", "talkover.bench.documents", "{port}", str(n_passages))
        with ServerProcess(command=command, environ=setting.environ) as server:
            server.wait_ready()
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


def searched_index(settings: Settings, n_passages: int) -> tuple[Index, bool]:
    """(index of `talkover bench retrieval`, whether it searches by meaning): it does once that has made all vectors."""
    documents = corpus(n_passages)
    embedder = create_embedder(settings)
    if embedder is not None:
        embedder.warmup()
        vectors = create_vectors(settings, Store(cache_folder() / "bench" / "retrieval.sqlite"), embedder.name, None)
        index = Index(documents, embedder, vectors)
        if not index.unembedded():
            return index, True
    return Index(documents), False


def serve_documents(port: int, n_passages: int) -> None:
    from talkover.app import serve

    def build(settings: Settings) -> Engines:
        engines = replace(instant_engines(settings), asr=SpokenAsr())
        if n_passages:
            index, by_meaning = searched_index(settings, n_passages)
            print(BY_MEANING if by_meaning else BY_WORDS, flush=True)
            engines = replace(engines, retriever=IndexRetriever(index, settings.knowledge.min_score))
        return engines

    serve(load_settings(overrides=[f"server.port={port}"]), build)


if __name__ == "__main__":
    serve_documents(int(sys.argv[1]), int(sys.argv[2]))
