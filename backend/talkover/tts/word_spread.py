"""When the words of a text sound in speech that comes without times: spread over what is audible of it. Pure.

A text is measured in syllables, speech in audible time: silence moves no word. How long a syllable takes is what it
took on average so far, since words must be placed before the end of the speech is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, level_dbfs, ms_to_samples, samples_to_ms
from talkover.messages import Samples, Word
from talkover.tts.language import script_of

USUAL_SYLLABLE_MS = 190.0
"""five syllables a second are usual for English and Mandarin alike (Pellegrino et al. 2011: 5.2 to 7.8, read fast)"""
FASTEST_SYLLABLE_MS, SLOWEST_SYLLABLE_MS = 80.0, 600.0
_BLOCK_MS = 20.0
_BLOCK_SAMPLES = ms_to_samples(_BLOCK_MS, OUTPUT_RATE_HZ)
_AUDIBLE_DBFS = -45.0
_LEARNING = 0.3
"""weight of the newest text"""
_MIN_LEARNED_SYLLABLES = 3

_WORD = re.compile(r"\S+")
_VOWELS = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿœ]+", re.IGNORECASE)
_SYLLABIC = {"Hani", "Kana", "Hang"}
"""scripts with a syllable per character, and no blanks between words"""


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a text and how long it is."""

    start: int
    end: int
    syllables: float


def words_of(text: str) -> list[TextWord]:
    """What is between blanks, and each character of scripts without them; punctuation belongs to no word."""
    return [word for match in _WORD.finditer(text) for word in _words_within(text, match.start(), match.end())]


class SpeakingRate:
    """How long a syllable of one voice takes, learned from text to text."""

    def __init__(self, syllable_ms: float = USUAL_SYLLABLE_MS) -> None:
        self.syllable_ms = syllable_ms

    def learn(self, syllables: float, audible_ms: float) -> None:
        """`audible_ms` of speech took `syllables`."""
        if syllables < _MIN_LEARNED_SYLLABLES:
            return
        heard_ms = min(max(audible_ms / syllables, FASTEST_SYLLABLE_MS), SLOWEST_SYLLABLE_MS)
        self.syllable_ms += _LEARNING * (heard_ms - self.syllable_ms)


class WordSpread:
    """The words of one text. Feed it the speech chunk by chunk, and `finish` with the last one."""

    def __init__(self, text: str, syllable_ms: float) -> None:
        self._waiting = words_of(text)[::-1]
        self._syllable_ms = syllable_ms
        self.syllables = sum(word.syllables for word in self._waiting)
        self.audible_ms = 0.0
        self._spoken_syllables = 0.0
        """of the words that have begun"""
        self._n_samples = 0
        self._last_start_ms = 0.0
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> tuple[Word, ...]:
        """The words that begin in (n,) float32 at 24 kHz more, as far as can be told."""
        placed: list[Word] = []
        joined = np.concatenate([self._rest, samples])
        n_whole = joined.size - joined.size % _BLOCK_SAMPLES
        self._rest = joined[n_whole:]
        for start in range(0, n_whole, _BLOCK_SAMPLES):
            block_ms = samples_to_ms(self._n_samples, OUTPUT_RATE_HZ)
            self._n_samples += _BLOCK_SAMPLES
            if level_dbfs(joined[start : start + _BLOCK_SAMPLES]) > _AUDIBLE_DBFS:
                placed += self._begun_within(block_ms)
                self.audible_ms += _BLOCK_MS
        return tuple(placed)

    def finish(self, samples: Samples) -> tuple[Word, ...]:
        """The words of the last chunk; those that speech came too early to an end for share what time there was."""
        placed = list(self.feed(samples))
        end_ms = samples_to_ms(self._n_samples + self._rest.size, OUTPUT_RATE_HZ)
        left = sum(word.syllables for word in self._waiting)
        start_ms = min(self._last_start_ms, end_ms) if self._waiting else end_ms
        syllable_ms = (end_ms - start_ms) / (left + 1) if left else 0.0  # the word before needs time as well
        start_ms += syllable_ms
        while self._waiting:
            word = self._waiting.pop()
            duration_ms = word.syllables * syllable_ms
            placed.append(Word(word.start, word.end, start_ms, min(start_ms + duration_ms, end_ms)))
            start_ms += duration_ms
        return tuple(placed)

    def _begun_within(self, block_ms: float) -> Iterator[Word]:
        """Words whose turn comes in the audible block that starts at `block_ms`."""
        while self._waiting:
            due_ms = self._spoken_syllables * self._syllable_ms - self.audible_ms
            if due_ms >= _BLOCK_MS:
                return
            word = self._waiting.pop()
            self._spoken_syllables += word.syllables
            self._last_start_ms = block_ms + max(0.0, due_ms)
            end_ms = self._last_start_ms + word.syllables * self._syllable_ms
            yield Word(word.start, word.end, self._last_start_ms, end_ms)


def _words_within(text: str, start: int, end: int) -> Iterator[TextWord]:
    """Of a stretch without blanks."""
    begin: int | None = None  # of a word in a script with blanks
    last = start  # after its last letter or digit
    for index in range(start, end):
        if script_of(text[index]) in _SYLLABIC:
            if begin is not None:
                yield TextWord(begin, last, _syllables(text[begin:last]))
                begin = None
            yield TextWord(index, index + 1, 1.0)
        elif text[index].isalnum():
            begin, last = (index if begin is None else begin), index + 1
    if begin is not None:
        yield TextWord(begin, last, _syllables(text[begin:last]))


def _syllables(word: str) -> float:
    """About how many: groups of vowels, without a silent e at the end; one for each digit."""
    groups = len(_VOWELS.findall(word))
    if groups > 1 and word[-1:] in "eE" and word[-2:].lower() not in ("le", "ee"):
        groups -= 1
    return float(max(1, groups + sum(char.isdigit() for char in word)))
