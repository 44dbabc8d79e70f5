"""Which words of the documents a heard word may stand for. Pure.

A word meets the documents' vocabulary as it stands, by its everyday synonyms, by how it looks or sounds when it is
unknown ("nowledge"), joined with its neighbours ("web socket") or taken apart ("websocket").
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from talkover.knowledge.words import STOPWORDS, SYNONYMS, bigrams, likeness, phonetic_key, stem, tokens

SYNONYM = 0.75
SOUNDS_ALIKE = 0.7
PART_OF_JOINED = 0.5
"""how much an alternative counts against the word itself"""

MIN_LIKENESS = 0.68
"""Dice share of letter pairs above which two spellings are taken for one word"""

_STOPWORD_SOUNDS = frozenset(key for key in map(phonetic_key, STOPWORDS) if len(key) >= 2)


@dataclass(frozen=True, slots=True)
class Notion:
    """A word of a question as the documents' vocabulary sees it."""

    stems: Mapping[str, float]
    """stem -> how well it fits"""
    stopword: bool = False
    misheard: bool = False
    """unknown, and sounds like a word without a subject ("watt", "knead"): may be nothing but noise"""


class Vocabulary:
    """The stems the documents know, and which of them a heard word may stand for."""

    def __init__(self, stems: Iterable[str]) -> None:
        self._stems = frozenset(stems)
        self._sounds: defaultdict[str, list[str]] = defaultdict(list)
        self._pairs: defaultdict[str, list[str]] = defaultdict(list)
        self._beginnings: defaultdict[str, list[str]] = defaultdict(list)
        self._size: dict[str, int] = {}
        for word in sorted(self._stems):
            if not word.isascii() or not word.isalpha():
                continue
            self._sounds[phonetic_key(word)].append(word)
            self._beginnings[word[:5]].append(word)
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
            parts = {stem(part): PART_OF_JOINED for part in run if part not in STOPWORDS}
            meant = {word: 1.0} if word in self._stems else self._alike_joined(word) if length == 2 else {}
            if meant.keys() - parts.keys():
                known = {part: fit for part, fit in parts.items() if part in self._stems}
                return length, {**known, **meant}
        return None

    def _alike_joined(self, word: str) -> dict[str, float]:
        """Known stems that two heard words together resemble: "oh llama" is `ollama`, "deep sea" is `deepseek`."""
        if len(word) < 6 or not word.isascii() or not word.isalpha():
            return {}
        candidates = (*self._sounds.get(phonetic_key(word), ()), *self._beginnings.get(word[:5], ()))
        fits = {other: likeness(word, other) for other in candidates if abs(len(word) - len(other)) <= 2}
        return {other: fit for other, fit in fits.items() if fit >= SOUNDS_ALIKE}

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
        alike = {other: 2 * count / (len(pairs) + self._size[other]) for other, count in shared.items()}
        found = {
            other: share
            for other, share in alike.items()
            if share >= MIN_LIKENESS and abs(len(word) - len(other)) <= 2 and (len(word) > 5 or other[0] == word[0])
        }
        key = phonetic_key(word)
        if len(key) >= 3:
            for other in self._sounds.get(key, ()):
                if alike.get(other, 0.0) >= 0.3 and abs(len(word) - len(other)) <= 3:
                    found[other] = max(found.get(other, 0.0), SOUNDS_ALIKE)
        return found
