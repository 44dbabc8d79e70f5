"""Where the user stopped hearing, and what they have not heard yet. Pure.

The heard ledger gives the words of an interrupted answer that were audible. Going on means: find their end in the text
that was being spoken, and begin again with the sentence of the first unheard word.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from talkover.knowledge.words import contains_cjk, plain_words

ANCHOR_WORDS = 8
"""how many of the last heard words identify the place"""


class Script:
    """A text in pieces, sentences as a rule, in which a place can be found by the words before it."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self.pieces = tuple(pieces)
        words = [_units(piece) for piece in self.pieces]
        self._ends = list(accumulate(len(piece) for piece in words))
        # one string with a space on both sides of every word: searching it is much faster than comparing lists
        self._text = f" {' '.join(word for piece in words for word in piece)} "

    def first_unheard(self, heard: str, min_anchor_words: int = 2) -> int | None:
        """Index of the piece that holds the first word after `heard`; the number of pieces when all was heard.

        None when the last heard words, at least `min_anchor_words` of them unless fewer were heard at all, do not stand
        together in the text. Of several places the one is taken nearest to where the number of heard words points. A
        last word that was cut in half does no harm.
        """
        words = _units(heard)
        if not words:
            return 0
        for known in (words, words[:-1]):
            shortest = max(1, min(min_anchor_words, len(known)))
            for length in range(min(ANCHOR_WORDS, len(known)), shortest - 1, -1):
                places = list(self._ends_of(known[-length:]))
                if places:
                    end = min(places, key=lambda place: abs(place - len(known)))
                    return bisect_right(self._ends, end)
        return None

    def _ends_of(self, anchor: Sequence[str]) -> Iterator[int]:
        """Number of words up to the end of each place where `anchor` stands."""
        wanted = f" {' '.join(anchor)} "
        at = self._text.find(wanted)
        while at >= 0:
            yield self._text.count(" ", 0, at + len(wanted) - 1)
            at = self._text.find(wanted, at + 1)


def _units(text: str) -> list[str]:
    """Words to compare by; Chinese and Japanese text character by character."""
    return [unit for word in plain_words(text) for unit in (word if contains_cjk(word) else (word,))]
