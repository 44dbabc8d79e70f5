"""The server of the part `documents`: it understands a set of questions and answers at once, over passages or none.

Its recogniser writes a question down as it is spoken, one word behind, so that the documents are looked up meanwhile.
Run as a module it serves: `python -m talkover.bench.documents_server PORT PASSAGES`.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

from talkover.audio import INPUT_RATE_HZ
from talkover.bench.documents import BY_MEANING, BY_WORDS, MS_PER_WORD
from talkover.bench.instant import instant_engines
from talkover.bench.retrieval_set import corpus, questions
from talkover.config import Settings, load_settings
from talkover.engines import DocumentInfo, DocumentRefused, Engines, Hypothesis, IsStale
from talkover.knowledge.embedding import create_embedder
from talkover.knowledge.index import Index
from talkover.knowledge.store import Store
from talkover.knowledge.vector_stores import create_vectors
from talkover.messages import Samples, Source
from talkover.resources import cache_folder


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
    from talkover.serving import serve

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
