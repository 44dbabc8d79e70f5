"""Finding the passage that answers a question: BM25 over small passages, tolerant of what a weak recogniser writes.

A question becomes groups of alternatives (see `vocabulary`), and a passage scores the sum over the groups of its best
alternative. The confidence, by which the caller decides between answering and saying that it does not know, is the mean
of two things: how much of the question the passage explains, rare words counting more, and how much the whole wording
resembles a heading or a sentence of it. Either alone separates questions that the documents answer from others with an
area under the curve of 0.94 and 0.96, both together with 0.98 (187 questions, tests/data/llm).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import log
from pathlib import Path

import numpy as np
from bm25s import BM25
from numpy.typing import NDArray

from talkover.knowledge.documents import Document, Passage, passages
from talkover.knowledge.folder import Limits, load_folder
from talkover.knowledge.words import (
    STOPWORDS,
    contains_cjk,
    plain_words,
    stem,
    tokens,
)
from talkover.llm.resuming import Script
from talkover.llm.vocabulary import Notion, Vocabulary

logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library sets its logger to DEBUG when imported

MAX_QUESTION_WORDS = 60
HEADING_REPEATS = 3
"""a word of the heading counts as often as that many in the text: a heading names the subject"""

BODY_ONLY = 0.8
"""how much a word found in the text counts for the confidence, against one found in a heading"""
UNKNOWN = 0.7
"""weight of a word that no document has, against one that a single passage has: it may be the recogniser's mistake"""
MISHEARD = 0.4
"""weight of an unknown word that sounds like a stopword"""
SAME_QUESTION_FORM = 1.15
"""factor on the score of a heading that asks in the same form, e.g. "how do" """
RERANKED = 12
"""passages by BM25 that are looked at once more, by confidence and wording"""
COVERAGE_PRIOR = 0.4
"""keeps a passage with a good BM25 score in the running that explains little of a long question"""
CONTEXT = 0.45
"""how much a word of the previous question counts in a follow-up"""
STOPWORD_WEIGHT = 0.25
"""of a word without a subject when the wording of two questions is compared"""

_STOPWORD_STEMS = frozenset(map(stem, STOPWORDS))


@dataclass(frozen=True, slots=True)
class Group:
    """One notion of the question."""

    alternatives: Mapping[str, float]
    """stem of the documents' vocabulary -> how well it fits, 0 to 1; empty: no document has the word"""
    weight: float
    """how telling it is: the inverse document frequency of its rarest alternative"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that may answer."""

    passage: Passage
    score: float
    confidence: float
    """0 to 1: how much of the question the passage explains"""
    groups: tuple[Group, ...]


class Library:
    """Documents and their index. Read-only once made, so any number of threads may search it."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = tuple(documents)
        self.passages = passages(documents)
        stems = [_passage_stems(passage) for passage in self.passages]
        self._vocabulary = Vocabulary(word for words in stems for word in words)
        self._stems = [
            words + self._vocabulary.joined(_heading_text(passage))
            for words, passage in zip(stems, self.passages, strict=True)
        ]
        self._heading_stems = [frozenset(_content_stems(_heading_text(passage))) for passage in self.passages]
        self._forms = [question_form(passage.section.heading) for passage in self.passages]
        self._frequency = Counter(word for stems in self._stems for word in set(stems))
        self._subjects: defaultdict[frozenset[str], list[int]] = defaultdict(list)
        self._wordings: list[tuple[frozenset[str], ...]] = []
        for at, passage in enumerate(self.passages):
            section = passage.section
            headings = [_meant(self._notions(text)) for text in (section.heading, *section.asked) if text]
            for wording in headings:
                self._subjects[wording - _STOPWORD_STEMS].append(at)
            sentences = (_meant(self._notions(sentence.text)) for sentence in passage.sentences)
            self._wordings.append((*headings, *sentences))
        # one array of all passages per word, 16 MiB of them at most: a conversation asks for the same words again
        entries = max(16, 4_000_000 // max(1, len(self.passages)))
        self._word_scores = lru_cache(maxsize=entries)(self._computed_word_scores)
        self._index = BM25(method="lucene") if self.passages else None
        if self._index is not None:
            self._index.index([stems or ["\0"] for stems in self._stems], show_progress=False)

    @cached_property
    def stories(self) -> tuple[Document, ...]:
        return tuple(document for document in self.documents if document.story)

    @cached_property
    def topics(self) -> tuple[Document, ...]:
        """Documents that questions are answered from."""
        return tuple(document for document in self.documents if not document.story)

    @cached_property
    def scripts(self) -> tuple[Script, ...]:
        """Every document as it is read aloud."""
        return tuple(Script(document.spoken()) for document in self.documents)

    @cached_property
    def has_cjk(self) -> bool:
        """Whether some of the documents are written in Chinese or Japanese."""
        return any(contains_cjk(sentence.text) for passage in self.passages for sentence in passage.sentences)

    def search(self, question: str, context: str = "", limit: int = 3) -> tuple[Hit, ...]:
        """The passages that fit best, best first; `context` is the question before, for a follow-up."""
        notions, context_notions = self._notions(question), self._notions(context)
        own = self._groups(notions)
        groups = (*own, *self._groups(context_notions, CONTEXT if own else 1.0))
        if self._index is None or not any(group.alternatives for group in groups):
            return ()
        scores = self._scores(groups)
        form = question_form(question)
        if form:
            scores *= np.array([SAME_QUESTION_FORM if form == other else 1.0 for other in self._forms], np.float32)
        ranked: list[tuple[float, Hit]] = []
        for at in self._candidates(notions, scores):
            said = notions if own else context_notions
            likeness = max((_likeness(said, wording) for wording in self._wordings[at]), default=0.0)
            coverage = self._coverage(groups, at)
            hit = Hit(self.passages[at], float(scores[at]), (coverage + likeness) / 2, groups)
            # squared, because the wording has to decide between passages on the same words
            ranked.append((hit.score * (COVERAGE_PRIOR + coverage) * (1 + likeness) ** 2, hit))
        ranked.sort(key=lambda pair: -pair[0])
        return tuple(hit for _, hit in ranked[:limit])

    def _candidates(self, notions: Sequence[Notion], scores: NDArray[np.float32]) -> list[int]:
        """The best by BM25, and those with a heading on the very same subject, whose long text may hide it."""
        best = [int(at) for at in np.argsort(-scores, kind="stable")[:RERANKED]]
        same = self._subjects.get(_meant(notions) - _STOPWORD_STEMS, ())
        return [at for at in dict.fromkeys((*best, *same)) if scores[at] > 0]

    def _notions(self, question: str) -> tuple[Notion, ...]:
        return tuple(self._vocabulary.notions(tokens(question)[:MAX_QUESTION_WORDS]))

    def _groups(self, notions: Sequence[Notion], factor: float = 1.0) -> tuple[Group, ...]:
        return tuple(
            Group(notion.stems, self._weight(notion.stems) * factor * (MISHEARD if notion.misheard else 1.0))
            for notion in notions
            if not notion.stopword
        )

    def _weight(self, stems: Mapping[str, float]) -> float:
        if not stems:
            return UNKNOWN * self._inverse_frequency(0)
        best = max(stems.values())
        rarest = min((self._frequency[word] for word, fit in stems.items() if fit == best), default=0)
        return self._inverse_frequency(rarest)

    def _inverse_frequency(self, documents: int) -> float:
        return log(1 + (len(self.passages) - documents + 0.5) / (documents + 0.5))

    def _scores(self, groups: Sequence[Group]) -> NDArray[np.float32]:
        """(passages,) BM25 of each passage, per group that of its best alternative."""
        total = np.zeros(len(self.passages), np.float32)
        for group in groups:
            if not group.alternatives:
                continue
            full = group.weight / self._weight(group.alternatives)
            best = np.zeros_like(total)
            for word, fit in group.alternatives.items():
                np.maximum(best, self._word_scores(word) * np.float32(fit * full), out=best)
            total += best
        return total

    def _computed_word_scores(self, word: str) -> NDArray[np.float32]:
        assert self._index is not None
        return self._index.get_scores([word])

    def _coverage(self, groups: Sequence[Group], at: int) -> float:
        stems, heading = frozenset(self._stems[at]), self._heading_stems[at]
        explained = asked = 0.0
        for group in groups:
            asked += group.weight
            explained += group.weight * max(
                (
                    fit if word in heading else BODY_ONLY * fit
                    for word, fit in group.alternatives.items()
                    if word in stems
                ),
                default=0.0,
            )
        return explained / asked if asked else 0.0


def question_form(text: str) -> str:
    """What kind of question it is by its first words, e.g. "how do", "what is"; empty for none."""
    words = plain_words(text)
    for at, word in enumerate(words[:6]):
        if word in ("how", "what", "which", "why", "who", "where", "when", "whats", "hows"):
            following = words[at + 1] if at + 1 < len(words) else ""
            head = {"whats": "what is", "hows": "how is"}.get(word)
            if head:
                return head
            if word in ("how", "what"):
                kind = {"can": "do", "could": "do", "should": "do", "would": "do", "to": "do", "are": "is"}
                return f"{word} {kind.get(following, following)}"
            return word
    return "yes or no" if words and words[0] in ("is", "does", "do", "can", "could", "are", "will") else ""


def load_library(folder: Path, limits: Limits | None = None) -> Library:
    """Read and index a folder of documents; a folder without any gives an empty library."""
    return Library(load_folder(folder, limits) if folder.is_dir() else ())


def _passage_stems(passage: Passage) -> list[str]:
    heading = _heading_text(passage)
    body = " ".join(sentence.text for sentence in passage.sentences)
    counted = [*_content_stems(heading)] * HEADING_REPEATS + _content_stems(passage.document.title)
    return counted + _content_stems(body)


def _heading_text(passage: Passage) -> str:
    return " ".join((*passage.section.headings, *passage.section.asked))


def _meant(notions: Sequence[Notion]) -> frozenset[str]:
    """Per notion the stem that fits best."""
    return frozenset(max(notion.stems, key=notion.stems.__getitem__) for notion in notions if notion.stems)


def _likeness(notions: Sequence[Notion], wording: frozenset[str]) -> float:
    """Jaccard index of a question and the wording of a heading, in which a stopword counts a quarter."""
    shared = asked = 0.0
    met: set[str] = set()
    for notion in notions:
        weight = STOPWORD_WEIGHT if notion.stopword else 1.0
        asked += weight
        meant = max((word for word in notion.stems if word in wording), key=notion.stems.__getitem__, default=None)
        if meant is not None:
            met.add(meant)
            shared += weight * notion.stems[meant]
    missed = sum(STOPWORD_WEIGHT if word in _STOPWORD_STEMS else 1.0 for word in wording - met)
    return shared / (asked + missed) if asked else 0.0


def _content_stems(text: str) -> list[str]:
    return [stem(word) for word in tokens(text) if word not in STOPWORDS]
