"""Search by words: BM25 over chunks, with everyday synonyms, English and Chinese."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from math import log

import numpy as np
from bm25s import BM25
from numpy.typing import NDArray

from talkover.knowledge.chunking import Chunk
from talkover.knowledge.words import STOPWORDS, SYNONYMS, stem, tokens

logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library sets its logger to DEBUG when imported

HEADING_REPEATS = 2
"""a word of the section's own heading counts as often as that many in the text"""
SYNONYM = 0.5
"""how much a word counts that may stand for the one asked for"""
SATURATION = 1.5
"""k1 of BM25: a word once in a chunk of average length scores 1 / (1 + k1) of its inverse document frequency"""
MAX_QUESTION_WORDS = 64

Scores = NDArray[np.float32]


class WordIndex:
    """Read-only once made, so any number of threads may search it."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._n_chunks = len(chunks)
        words = [_chunk_words(chunk) for chunk in chunks]
        self._frequency = Counter(word for own in words for word in set(own))
        self._index = BM25(method="lucene", k1=SATURATION) if chunks else None
        if self._index is not None:
            self._index.index([own or ["\0"] for own in words], show_progress=False)

    def scores(self, question: str) -> Scores:
        """(chunks,) how well each chunk fits: its BM25 score as a share of that of a chunk that has every word once.

        1 for such a chunk of average length, 0 for one without any of the words, rarely above 1. A word that no chunk
        has counts as the rarest, so that a question about something else gets low scores from what little it shares.
        """
        total = np.zeros(self._n_chunks, np.float32)
        words = list(dict.fromkeys(content_words(question)[:MAX_QUESTION_WORDS]))
        bound = sum(self._inverse_frequency(word) for word in words)
        if self._index is None or not bound:
            return total
        for word in words:
            best = self._word_scores(word)
            for other in SYNONYMS.get(word, ()):
                if other in self._frequency:
                    share = SYNONYM * min(1.0, self._inverse_frequency(word) / self._inverse_frequency(other))
                    np.maximum(best, self._word_scores(other) * np.float32(share), out=best)
            total += best
        return total * np.float32((1 + SATURATION) / bound)

    def _word_scores(self, word: str) -> Scores:
        if self._index is None or word not in self._frequency:
            return np.zeros(self._n_chunks, np.float32)
        return self._index.get_scores([word])

    def _inverse_frequency(self, word: str) -> float:
        frequency = self._frequency[word]
        return log(1 + (self._n_chunks - frequency + 0.5) / (frequency + 0.5))


def content_words(text: str) -> list[str]:
    """Stems of the words that carry a subject; Chinese as pairs of characters."""
    return [stem(word) for word in tokens(text) if word not in STOPWORDS]


def _chunk_words(chunk: Chunk) -> list[str]:
    passage = chunk.passage
    own = " ".join((passage.section.heading, *passage.section.asked))
    return content_words(own) * HEADING_REPEATS + content_words(chunk.wording)
