"""A searchable state of the documents. Never changed: a new one takes its place while searches in the old one end."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from talkover.engines import EngineFailed, IsStale
from talkover.knowledge.bm25 import WordIndex
from talkover.knowledge.chunking import Chunk, chunks_of, source_of
from talkover.knowledge.documents import Document
from talkover.knowledge.embedding import Embedder
from talkover.knowledge.fusion import Scores, best_of, fused_scores
from talkover.knowledge.reranking import Reranker
from talkover.knowledge.vectors import VectorStore
from talkover.messages import Source

log = logging.getLogger(__name__)

DENSE_CANDIDATES = 100
"""chunks that the search by meaning names; all others count as little as the last of them"""
RERANKED = 20
"""chunks that a cross-encoder reads with the question"""


class Index:
    """Chunks of the documents, their words, and where their vectors are."""

    def __init__(
        self,
        documents: Sequence[Document],
        embedder: Embedder | None = None,
        vectors: VectorStore | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        self.documents = tuple(documents)
        self.chunks = tuple(chunks_of(documents))
        self._words = WordIndex(self.chunks)
        self._embedder = embedder
        self._vectors = vectors
        self._reranker = reranker
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for at, chunk in enumerate(self.chunks):
            self._places[chunk.id].append(at)
        self._is_embedded = False

    def unembedded(self) -> list[Chunk]:
        """Chunks whose vector is missing, each once."""
        if self._vectors is None:
            return []
        known = self._vectors.known()
        return [self.chunks[places[0]] for name, places in self._places.items() if name not in known]

    def ids(self) -> frozenset[str]:
        return frozenset(self._places)

    def search(self, question: str, limit: int, is_stale: IsStale, min_score: float = 0.0) -> tuple[Source, ...]:
        """Passages of at least `min_score` (0 to 1), best first, one per section.

        By words alone until every chunk has a vector: those without one would stand behind all others. The same when
        the vectors cannot be searched.
        """
        if not self.chunks or not question.strip():
            return ()
        words = self.word_scores(question)
        if is_stale():
            return ()
        try:
            meaning = self.meaning_scores(question) if self._has_all_vectors() else None
        except EngineFailed as error:
            log.warning("documents: searched by words only, the vectors do not answer: %s", error)
            meaning = None
        scores = fused_scores(words, meaning)
        if is_stale():
            return ()
        best = best_of(scores, max(limit * 4, RERANKED), min_score)
        if self._reranker is not None and best:
            relevance = self._reranker.scores(question, [self.chunks[at].wording for at in best[:RERANKED]])
            best = [at for _, at in sorted(zip(relevance, best, strict=False), key=lambda pair: -pair[0])]
        found = self.sources(best, scores, limit)
        return () if is_stale() else found

    def word_scores(self, question: str) -> Scores:
        """(chunks,) see `WordIndex.scores`."""
        return self._words.scores(question)

    def meaning_scores(self, question: str) -> Scores | None:
        """(chunks,) cosine similarity; None where there is nothing to compare with. Raises EngineFailed."""
        if self._embedder is None or self._vectors is None:
            return None
        found = self._vectors.search(self._embedder.of_question(question), DENSE_CANDIDATES)
        if not found:
            return None
        least = max(0.0, found[-1][1]) if len(found) == DENSE_CANDIDATES else 0.0
        similarity = np.full(len(self.chunks), least, np.float32)
        for name, cosine in found:
            for at in self._places.get(name, ()):
                similarity[at] = cosine
        return similarity

    def _has_all_vectors(self) -> bool:
        self._is_embedded = self._is_embedded or (self._vectors is not None and not self.unembedded())
        return self._is_embedded

    def sources(self, best: Iterable[int], scores: Scores, limit: int) -> tuple[Source, ...]:
        """The first `limit` sections of the chunks `best`, each by its first chunk."""
        found: dict[tuple[str, int], Source] = {}
        for at in best:
            chunk = self.chunks[at]
            if len(found) < limit and chunk.section not in found:
                found[chunk.section] = source_of(chunk, float(scores[at]))
        return tuple(found.values())
