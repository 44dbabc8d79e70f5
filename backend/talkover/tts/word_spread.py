"""When the words of a text sound in speech that comes without times: spread over what is audible of it. Pure.

A text is measured in syllables, speech in audible time: silence moves no word. How long a syllable takes is what it
took on average so far, since words must be placed before the end of the speech is known. Pauses put that right: after
one, speech goes on behind the nearest punctuation mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
"""least weight of the newest text"""
_MIN_LEARNED_SYLLABLES = 3
_PAUSE_MS = 80.0
"""silence that may be punctuation; the closures of consonants are shorter"""
_WAITED_FOR_PAUSE_MS = 250.0
"""how long the word after a mark waits for the pause there, before it is taken to be spoken without one"""
_NEAR_SYLLABLES, _NEAR_SHARE = 3.0, 0.4
"""how far from where the rate puts it a mark may be, at least and as a share of the syllables since the last one"""
_ROUNDING = 1e-6
"""syllables: a word that is due at the very end of a block begins with the next audible one"""

_WORD = re.compile(r"\S+")
_VOWELS = re.compile(r"[aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿœ]+", re.IGNORECASE)
_MARKS = frozenset(",.;:!?…，。；：！？、—")
_SYLLABIC = {"Hani", "Kana", "Hang"}
"""scripts with a syllable per character, and no blanks between words"""


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a text and how long it is."""

    start: int
    end: int
    syllables: float
    after_mark: bool = False
    """whether punctuation stands before it, where speakers pause"""


def words_of(text: str) -> list[TextWord]:
    """What is between blanks, and each character of scripts without them; punctuation belongs to no word."""
    words = [word for match in _WORD.finditer(text) for word in _words_within(text, match.start(), match.end())]
    for index in range(1, len(words)):
        between = text[words[index - 1].end : words[index].start]
        words[index] = replace(words[index], after_mark=not _MARKS.isdisjoint(between))
    return words


class SpeakingRate:
    """How long a syllable of one voice takes, learned from text to text."""

    def __init__(self, syllable_ms: float = USUAL_SYLLABLE_MS) -> None:
        self.syllable_ms = syllable_ms
        self._n_texts = 0

    def learn(self, syllables: float, audible_ms: float) -> None:
        """`audible_ms` of speech took `syllables`."""
        if syllables < _MIN_LEARNED_SYLLABLES:
            return
        heard_ms = min(max(audible_ms / syllables, FASTEST_SYLLABLE_MS), SLOWEST_SYLLABLE_MS)
        self._n_texts += 1
        self.syllable_ms += max(_LEARNING, 1 / self._n_texts) * (heard_ms - self.syllable_ms)


class WordSpread:
    """The words of one text. Feed it the speech chunk by chunk, and `finish` with the last one."""

    def __init__(self, text: str, syllable_ms: float) -> None:
        self._words = words_of(text)
        self._ends = [0.0]
        """syllables before each word, and after the last one"""
        for word in self._words:
            self._ends.append(self._ends[-1] + word.syllables)
        self._next = 0
        """the first word that has not begun"""
        self._position = 0.0
        """syllables that have sounded"""
        self._syllable_ms = syllable_ms
        self._mark = 0
        """the word before which the last pause was"""
        self._waited_ms = 0.0
        """audible time since the word after a mark was due"""
        self._silent_ms = 0.0
        self._n_samples = 0
        self._last_start_ms = 0.0
        self._rest = np.zeros(0, np.float32)
        self.audible_ms = 0.0

    @property
    def syllables(self) -> float:
        """Of the whole text."""
        return self._ends[-1]

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
                placed += self._sounded(block_ms)
            else:
                self._silent_ms += _BLOCK_MS
        return tuple(placed)

    def finish(self, samples: Samples) -> tuple[Word, ...]:
        """The words of the last chunk; those that speech came too early to an end for share what time there was."""
        placed = list(self.feed(samples))
        end_ms = samples_to_ms(self._n_samples + self._rest.size, OUTPUT_RATE_HZ) - self._silent_ms
        start_ms = min(self._last_start_ms, end_ms)
        placed += self._shared_out(len(self._words), start_ms, max(end_ms, start_ms))
        return tuple(placed)

    def _sounded(self, block_ms: float) -> Iterator[Word]:
        """Words that begin in the audible block that starts at `block_ms`."""
        if self._silent_ms >= _PAUSE_MS and self.audible_ms:
            yield from self._after_pause(block_ms - self._silent_ms)
        self._silent_ms = 0.0
        self.audible_ms += _BLOCK_MS
        self._position += _BLOCK_MS / self._syllable_ms
        while self._next < len(self._words) and self._ends[self._next] < self._position - _ROUNDING:
            if self._words[self._next].after_mark and self._next != self._mark:
                self._waited_ms += _BLOCK_MS
                if self._waited_ms < _WAITED_FOR_PAUSE_MS:
                    return
            self._waited_ms = 0.0
            late_ms = min((self._position - self._ends[self._next]) * self._syllable_ms, _BLOCK_MS)
            yield self._begin(block_ms + _BLOCK_MS - late_ms)

    def _after_pause(self, silent_from_ms: float) -> Iterator[Word]:
        """Go on behind the nearest mark, if one is near: words before it have sounded when the pause began."""
        since = max(self._position - self._ends[self._mark], 0.0)
        near = max(_NEAR_SYLLABLES, _NEAR_SHARE * since)
        marks = [
            index
            for index, word in enumerate(self._words)
            if word.after_mark and index > self._mark and abs(self._ends[index] - self._position) <= near
        ]
        if not marks:
            return
        mark = min(marks, key=lambda index: abs(self._ends[index] - self._position))
        spoken = self._ends[mark] - self._ends[self._mark]
        if since and spoken >= _MIN_LEARNED_SYLLABLES:  # the rate of what was just heard holds for the rest
            heard_ms = self._syllable_ms * since / spoken
            self._syllable_ms = min(max(heard_ms, FASTEST_SYLLABLE_MS), SLOWEST_SYLLABLE_MS)
        yield from self._shared_out(mark, self._last_start_ms, silent_from_ms)
        self._mark, self._position, self._waited_ms = mark, self._ends[mark], 0.0

    def _shared_out(self, until: int, from_ms: float, to_ms: float) -> Iterator[Word]:
        """The words before `until` that have not begun, in the time that the last one before them leaves."""
        if self._next >= until:
            return
        before = self._words[self._next - 1].syllables if self._next else 0.0
        syllable_ms = max(0.0, to_ms - from_ms) / (before + self._ends[until] - self._ends[self._next])
        start_ms = from_ms + before * syllable_ms
        self._syllable_ms, kept_ms = max(syllable_ms, 1.0), self._syllable_ms
        while self._next < until:
            word = self._begin(start_ms)
            start_ms += self._words[self._next - 1].syllables * syllable_ms
            yield word
        self._syllable_ms = kept_ms

    def _begin(self, start_ms: float) -> Word:
        """The next word begins."""
        word = self._words[self._next]
        self._next += 1
        self._last_start_ms = max(start_ms, self._last_start_ms)
        end_ms = self._last_start_ms + word.syllables * self._syllable_ms
        return Word(word.start, word.end, self._last_start_ms, end_ms)


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
