"""A text as it is read and as it is spoken, and which part of one is which part of the other."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Say = Callable[[re.Match[str]], str | None]
"""the words for a match, or None when it is not what the rule is for"""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to say instead of what matches."""

    pattern: re.Pattern[str]
    say: Say


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of the display text that is spoken as something else; either side may be empty."""

    display_start: int
    display_end: int
    spoken_start: int
    spoken_end: int


@dataclass(frozen=True, slots=True)
class SpokenText:
    """One segment for reading and for speaking."""

    display: str
    """what transcript and captions show: no Markdown, emoji or citations, but figures as they were written"""
    spoken: str
    """what the TTS gets: figures, dates, symbols as words"""
    changes: tuple[Change, ...]
    """in order; between them both texts are the same"""
    language: str
    """base language, e.g. en, zh"""

    def to_display(self, start: int, end: int) -> tuple[int, int]:
        """The display range that spoken[start:end] speaks; a word of a changed stretch stands for all of it.

        Monotone: a later word never maps to an earlier range.
        """
        return self._to_display(start, is_end=False), self._to_display(max(start, end), is_end=True)

    def _to_display(self, position: int, is_end: bool) -> int:
        # a range ends in the change its last character belongs to, so an end is looked up one character earlier
        reference = position - 1 if is_end else position
        index = bisect_right(self.changes, reference, key=lambda change: change.spoken_start) - 1
        if index < 0:
            return min(max(position, 0), len(self.display))
        change = self.changes[index]
        if reference < change.spoken_end:
            return change.display_end if is_end else change.display_start
        return min(change.display_end + position - change.spoken_end, len(self.display))


def rewrite(display: str, rules: Sequence[Rule], language: str) -> SpokenText:
    """`display` with each match of a rule replaced: the leftmost first, of several there the earliest rule.

    Words put next to Latin letters or digits are set off with a blank.
    """
    pieces: list[str] = []
    changes: list[Change] = []
    spoken_length = 0
    position = 0
    matches = [rule.pattern.search(display) for rule in rules]
    while True:
        best: re.Match[str] | None = None
        best_index = -1
        for index, rule in enumerate(rules):
            match = matches[index]
            if match is not None and match.start() < position:
                match = matches[index] = rule.pattern.search(display, position)
            if match is not None and (best is None or match.start() < best.start()):
                best, best_index = match, index
        if best is None:
            break
        words = rules[best_index].say(best)
        if words is None or not best.group():
            matches[best_index] = rules[best_index].pattern.search(display, best.start() + 1)
            continue
        kept = display[position : best.start()]
        before = kept[-1:] or (pieces[-1][-1:] if pieces else "")
        after = display[best.end() : best.end() + 1]
        if _is_word(before) and _is_word(words[:1]):
            words = " " + words
        if _is_word(words[-1:]) and _is_word(after):
            words += " "
        pieces += [kept, words] if kept else [words]
        spoken_length += len(kept)
        changes.append(Change(best.start(), best.end(), spoken_length, spoken_length + len(words)))
        spoken_length += len(words)
        position = best.end()
    pieces.append(display[position:])
    return SpokenText(display, "".join(pieces), tuple(changes), language)


def _is_word(char: str) -> bool:
    return char.isascii() and char.isalnum()
