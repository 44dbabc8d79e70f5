"""Finding the passage that answers a question: BM25 over small passages, tolerant of what a weak recogniser writes.

A question becomes groups of alternatives: a word as it stands, its everyday synonyms, words of the documents that look
or sound like it, neighbours joined ("web socket") or a word taken apart ("websocket"). A passage scores the sum over
the groups of its best alternative. How much of the question it explains, weighted by how rare the words are, is the
confidence by which the caller decides between answering and saying that it does not know.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log
from pathlib import Path

import numpy as np
from bm25s import BM25
from numpy.typing import NDArray

from talkover.llm.documents import Document, Passage, load_documents, passages
from talkover.llm.resuming import Script
from talkover.llm.words import (
    STOPWORDS,
    SYNONYMS,
    bigrams,
    contains_cjk,
    phonetic_key,
    plain_words,
    stem,
    tokens,
)

MAX_QUESTION_WORDS = 60
HEADING_REPEATS = 3
"""a word of the heading counts as often as that many in the text: a heading names the subject"""

SYNONYM = 0.75
SOUNDS_ALIKE = 0.7
PART_OF_JOINED = 0.5
"""how much an alternative counts against the word itself"""

MIN_LIKENESS = 0.68
"""Dice share of letter pairs above which two spellings are taken for one word"""
BODY_ONLY = 0.8
"""how much a word found in the text counts for the confidence, against one found in a heading"""
MISHEARD = 0.4
"""weight of an unknown word that sounds like a stopword"""
SAME_QUESTION_FORM = 1.15
RERANKED = 12
"""passages by BM25 that are looked at once more, by confidence and wording"""
SAME_WORDING = 0.7
"""share of common words, stopwords too, from which a question counts as a heading in other words"""
ENOUGH_EVIDENCE = 2.5
"""summed weight that has to be explained for full confidence: one frequent word alone proves little"""
CONTEXT = 0.45
"""how much a word of the previous question counts in a follow-up"""


STOPWORD_WEIGHT = 0.25
"""of a word without a subject when the wording of two questions is compared"""

_STOPWORD_STEMS = frozenset(map(stem, STOPWORDS))
_STOPWORD_SOUNDS = frozenset(key for key in map(phonetic_key, STOPWORDS) if len(key) >= 2)


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


@dataclass(frozen=True, slots=True)
class Notion:
    """A word of a question as the documents' vocabulary sees it."""

    stems: Mapping[str, float]
    """stem -> how well it fits"""
    stopword: bool = False
    misheard: bool = False
    """unknown, and sounds like a word without a subject ("watt", "knead"): may be nothing but noise"""


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
        self._heading_stems = [_heading_stems(passage) for passage in self.passages]
        self._forms = [question_form(passage.section.heading) for passage in self.passages]
        self._frequency = Counter(word for stems in self._stems for word in set(stems))
        self._wordings = [
            tuple(self._wording(text) for text in (passage.section.heading, *passage.section.asked) if text)
            for passage in self.passages
        ]
        self._subjects: defaultdict[frozenset[str], list[int]] = defaultdict(list)
        for at, wordings in enumerate(self._wordings):
            for wording in wordings:
                self._subjects[wording - _STOPWORD_STEMS].append(at)
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
        notions = self._notions(question)
        own = self._groups(notions)
        groups = (*own, *self._groups(self._notions(context), CONTEXT if own else 1.0))
        if self._index is None or not any(group.alternatives for group in groups):
            return ()
        scores = self._scores(groups)
        form = question_form(question)
        if form:
            scores *= np.array([SAME_QUESTION_FORM if form == other else 1.0 for other in self._forms], np.float32)
        ranked: list[tuple[float, Hit]] = []
        for at in self._candidates(question, scores):
            likeness = max((_likeness(notions, wording) for wording in self._wordings[at]), default=0.0)
            confidence = self._confidence(groups, at)
            if likeness >= SAME_WORDING:
                confidence = max(confidence, likeness)
            hit = Hit(self.passages[at], float(scores[at]), confidence, groups)
            ranked.append((hit.score * (0.4 + confidence) * (1 + likeness), hit))
        ranked.sort(key=lambda pair: -pair[0])
        return tuple(hit for _, hit in ranked[:limit])

    def _candidates(self, question: str, scores: NDArray[np.float32]) -> list[int]:
        """The best by BM25, and those with a heading on the very same subject, whose long text may hide it."""
        best = [int(at) for at in np.argsort(-scores, kind="stable")[:RERANKED]]
        same = self._subjects.get(self._wording(question) - _STOPWORD_STEMS, ())
        return [at for at in dict.fromkeys((*best, *same)) if scores[at] > 0]

    def _notions(self, question: str) -> tuple[Notion, ...]:
        return tuple(self._vocabulary.notions(tokens(question)[:MAX_QUESTION_WORDS]))

    def _wording(self, text: str) -> frozenset[str]:
        return frozenset(
            max(notion.stems, key=notion.stems.__getitem__) for notion in self._notions(text) if notion.stems
        )

    def _groups(self, notions: Sequence[Notion], factor: float = 1.0) -> tuple[Group, ...]:
        return tuple(
            Group(notion.stems, self._weight(notion.stems) * factor * (MISHEARD if notion.misheard else 1.0))
            for notion in notions
            if not notion.stopword
        )

    def _weight(self, stems: Mapping[str, float]) -> float:
        best = max(stems.values(), default=0.0)
        rarest = min((self._frequency[word] for word, fit in stems.items() if fit == best), default=0)
        return self._inverse_frequency(rarest)

    def _inverse_frequency(self, documents: int) -> float:
        return log(1 + (len(self.passages) - documents + 0.5) / (documents + 0.5))

    def _scores(self, groups: Sequence[Group]) -> NDArray[np.float32]:
        """(passages,) BM25 of each passage, per group that of its best alternative."""
        index = self._index
        assert index is not None
        total = np.zeros(len(self.passages), np.float32)
        for group in groups:
            if not group.alternatives:
                continue
            full = group.weight / self._weight(group.alternatives)
            best = np.zeros_like(total)
            for word, fit in group.alternatives.items():
                np.maximum(best, index.get_scores([word]) * np.float32(fit * full), out=best)
            total += best
        return total

    def _confidence(self, groups: Sequence[Group], at: int) -> float:
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
        return explained / asked * min(1.0, explained / ENOUGH_EVIDENCE) if asked else 0.0


class Vocabulary:
    """The stems the documents know, and which of them a heard word may stand for."""

    def __init__(self, stems: Iterable[str]) -> None:
        self._stems = frozenset(stems)
        self._sounds: defaultdict[str, list[str]] = defaultdict(list)
        self._pairs: defaultdict[str, list[str]] = defaultdict(list)
        self._size: dict[str, int] = {}
        for word in sorted(self._stems):
            if not word.isascii() or not word.isalpha():
                continue
            self._sounds[phonetic_key(word)].append(word)
            pairs = bigrams(word)
            self._size[word] = len(pairs)
            for pair in pairs:
                self._pairs[pair].append(word)

    def joined(self, text: str) -> list[str]:
        """Stems that neighbouring words of `text` are together: `talkover` in "when I talk over you"."""
        words = [stem(word) for word in tokens(text)]
        pairs = ("".join(pair) for pair in pairwise(words))
        return [word for word in pairs if word in self._stems]

    def notions(self, words: Sequence[str]) -> Iterator[Notion]:
        """What a question says, word by word where words were not torn apart."""
        at = 0
        while at < len(words):
            joined = self._joined(words, at)
            if joined is not None:
                length, fits = joined
                at += length
                yield Notion(fits)
                continue
            word = words[at]
            at += 1
            if word in STOPWORDS:
                yield Notion({stem(word): 1.0}, stopword=True)
            else:
                yield from self._of_word(word)

    def _joined(self, words: Sequence[str], at: int) -> tuple[int, dict[str, float]] | None:
        """The longest run of 2 to 4 words that is one word of the documents: (length of the run, fits)."""
        for length in range(min(4, len(words) - at), 1, -1):
            run = words[at : at + length]
            word = stem("".join(run))
            if len(word) < 3 or all(part in STOPWORDS for part in run):
                continue
            meant = {word: 1.0} if word in self._stems else self._alike_joined(word) if length == 2 else {}
            if meant:
                parts = {stem(part): PART_OF_JOINED for part in run if part not in STOPWORDS}
                known = {part: fit for part, fit in parts.items() if part in self._stems}
                return length, {**known, **meant}
        return None

    def _alike_joined(self, word: str) -> dict[str, float]:
        """Known stems that two heard words together both look and sound like: "oh llama" is `ollama`."""
        if len(word) < 6 or not word.isascii() or not word.isalpha():
            return {}
        key = phonetic_key(word)
        return {
            other: fit for other, fit in self._alike(word).items() if fit >= SOUNDS_ALIKE and phonetic_key(other) == key
        }

    def _of_word(self, word: str) -> Iterator[Notion]:
        own = stem(word)
        synonyms = {other: SYNONYM for other in SYNONYMS.get(own, ()) if other in self._stems}
        if own in self._stems:
            yield Notion({**synonyms, own: 1.0})
            return
        alike = self._alike(own) if own.isascii() and own.isalpha() else {}
        if not alike and not synonyms:
            split = self._split(word)
            if split:
                yield from (Notion({part: 1.0}) for part in split)
                return
        stems = {**alike, **synonyms}
        yield Notion(stems, misheard=not stems and len(word) <= 5 and phonetic_key(word) in _STOPWORD_SOUNDS)

    def _split(self, word: str) -> tuple[str, str] | None:
        for at in range(3, len(word) - 2):
            parts = stem(word[:at]), stem(word[at:])
            if parts[0] in self._stems and parts[1] in self._stems:
                return parts
        return None

    def _alike(self, word: str) -> dict[str, float]:
        """Known stems that look or sound like an unknown one."""
        if len(word) < 4:
            return {}
        pairs = bigrams(word)
        shared = Counter(other for pair in pairs for other in self._pairs.get(pair, ()))
        likeness = {other: 2 * count / (len(pairs) + self._size[other]) for other, count in shared.items()}
        found = {
            other: share
            for other, share in likeness.items()
            if share >= MIN_LIKENESS and abs(len(word) - len(other)) <= 2 and (len(word) > 5 or other[0] == word[0])
        }
        key = phonetic_key(word)
        if len(key) >= 3:
            for other in self._sounds.get(key, ()):
                if likeness.get(other, 0.0) >= 0.3 and abs(len(word) - len(other)) <= 2:
                    found[other] = max(found.get(other, 0.0), SOUNDS_ALIKE)
        return found


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


def load_library(folder: Path) -> Library:
    """Read and index a folder of Markdown files; a folder without any gives an empty library."""
    return Library(load_documents(folder) if folder.is_dir() else ())


def _passage_stems(passage: Passage) -> list[str]:
    heading = _heading_text(passage)
    body = " ".join(sentence.text for sentence in passage.sentences)
    counted = [*_content_stems(heading)] * HEADING_REPEATS + _content_stems(passage.document.title)
    return counted + _content_stems(body)


def _heading_text(passage: Passage) -> str:
    return " ".join((*passage.section.headings, *passage.section.asked))


def _heading_stems(passage: Passage) -> frozenset[str]:
    return frozenset(
        _content_stems(" ".join((*passage.section.headings, *passage.section.asked, passage.document.title)))
    )


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
