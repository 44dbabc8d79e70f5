"""Trigram language models estimated from small texts and written as ARPA files.

Each source of text gets its own model with interpolated Witten-Bell smoothing (Witten and Bell 1991; Chen and Goodman
1998, section 2.6), which needs no held-out data and works with the fractional counts of weighted sentences. The
sources are then mixed linearly, so that a long document cannot drown the short phrases.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

Words = tuple[str, ...]

ORDER = 3
BEGIN, END = "<s>", "</s>"
IMPOSSIBLE_LOG10 = -99.0
"""ARPA's way to write the probability of `<s>`, which is never predicted"""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A training sentence: lower-case words, and how often it counts."""

    words: Words
    weight: float = 1.0


class NgramSource(Protocol):
    """One part of a mixture: which n-grams it lists, and a probability for every one."""

    @property
    def followers(self) -> Mapping[Words, Collection[str]]:
        """history of 0 to 2 words -> the words worth listing after it; after () the source's vocabulary"""
        ...

    def probability(self, word: str, history: Words, vocabulary_size: int) -> float:
        """P(word | history) > 0, also for words and histories that are not listed."""
        ...


class SmoothedCounts:
    """Counts of one source of text and the smoothed probabilities that follow from them."""

    def __init__(self, sentences: Iterable[Sentence]) -> None:
        self.followers: defaultdict[Words, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
        """history of 0 to 2 words -> next word -> count"""
        for sentence in sentences:
            padded = (BEGIN, *sentence.words, END)
            for end in range(1, len(padded)):
                for start in range(max(0, end - ORDER + 1), end + 1):
                    self.followers[padded[start:end]][padded[end]] += sentence.weight
        self._totals = {history: math.fsum(counts.values()) for history, counts in self.followers.items()}

    def probability(self, word: str, history: Words, vocabulary_size: int) -> float:
        """P(word | history) > 0, smoothed down to a uniform distribution over the vocabulary."""
        lower = self.probability(word, history[1:], vocabulary_size) if history else 1 / vocabulary_size
        counts = self.followers.get(history)
        if not counts:
            return lower
        types = len(counts)
        return (counts.get(word, 0.0) + types * lower) / (self._totals[history] + types)


@dataclass(frozen=True, slots=True)
class TrigramModel:
    """A back-off model: explicit log10 probabilities and log10 back-off weights per history."""

    probabilities: Mapping[Words, float]
    """n-gram of 1 to 3 words -> log10 P(last word | words before)"""
    backoffs: Mapping[Words, float]
    """history of 1 to 2 words -> log10 weight of the shorter history for words not listed after it"""

    def log10_probability(self, word: str, history: Words) -> float:
        """log10 P(word | history). Raises KeyError for a word outside the vocabulary."""
        ngram = (*history, word)
        if ngram in self.probabilities or not history:
            return self.probabilities[ngram]
        return self.backoffs.get(history, 0.0) + self.log10_probability(word, history[1:])

    def sentence_log10(self, words: Sequence[str]) -> float:
        """log10 probability of a whole sentence, its end included."""
        padded = (BEGIN, *words, END)
        return math.fsum(
            self.log10_probability(padded[end], padded[max(0, end - ORDER + 1) : end]) for end in range(1, len(padded))
        )


def mixture(sources: Sequence[tuple[float, NgramSource]]) -> TrigramModel:
    """The linear mixture of sources, given as pairs of share and source, over the words of all of them.

    The shares of the sources that list anything are scaled to sum to 1. Raises ValueError when none does.
    """
    models = [(share, source) for share, source in sources if source.followers and share > 0]
    if not models:
        raise ValueError("a language model needs at least one sentence")
    total = math.fsum(share for share, _ in models)
    models = [(share / total, source) for share, source in models]

    vocabulary = {word for _, model in models for word in model.followers[()]}
    followers: defaultdict[Words, set[str]] = defaultdict(set)
    for _, model in models:
        for history, listed in model.followers.items():
            followers[history].update(listed)
    followers[()] = vocabulary

    linear: dict[Words, float] = {}
    backoffs: dict[Words, float] = {}
    for history in sorted(followers, key=len):
        explicit_mass = shorter_mass = 0.0
        for word in followers[history]:
            p = math.fsum(share * model.probability(word, history, len(vocabulary)) for share, model in models)
            linear[(*history, word)] = p
            explicit_mass += p
            if history:
                shorter_mass += linear[(*history[1:], word)]
        if history:
            left, left_shorter = max(1 - explicit_mass, 1e-9), max(1 - shorter_mass, 1e-9)
            backoffs[history] = math.log10(left / left_shorter)
    return TrigramModel({ngram: math.log10(p) for ngram, p in linear.items()}, backoffs)


def write_arpa(model: TrigramModel, out: TextIO) -> None:
    """The model as ARPA text, n-grams sorted."""
    levels: list[list[Words]] = [[], [], []]
    for ngram in model.probabilities:
        levels[len(ngram) - 1].append(ngram)
    levels[0].append((BEGIN,))
    out.write("\\data\\\n")
    for order, ngrams in enumerate(levels, start=1):
        out.write(f"ngram {order}={len(ngrams)}\n")
    for order, ngrams in enumerate(levels, start=1):
        out.write(f"\n\\{order}-grams:\n")
        for ngram in sorted(ngrams):
            log10_p = model.probabilities.get(ngram, IMPOSSIBLE_LOG10)
            backoff = f"\t{model.backoffs.get(ngram, 0.0):.4f}" if order < ORDER else ""
            out.write(f"{log10_p:.4f}\t{' '.join(ngram)}{backoff}\n")
    out.write("\n\\end\\\n")
