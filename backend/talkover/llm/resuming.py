"""Where the user stopped hearing, and what they have not heard yet. Pure.

The heard ledger gives the words of an interrupted answer that were audible. Going on means: find their end in the text
that was being spoken, and begin again with the sentence of the first unheard word.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from talkover.llm.words import contains_cjk, plain_words

ANCHOR_WORDS = 8
"""how many of the last heard words identify the place"""
MIN_ANCHOR_WORDS = 2


def first_unheard(pieces: Sequence[str], heard: str) -> int | None:
    """Index of the piece that holds the first word after `heard`; len(pieces) when all was heard.

    None when the heard words do not occur in the pieces. Of several places the one is taken that lies nearest to where
    the number of heard words points.
    """
    spoken = [_units(piece) for piece in pieces]
    words = [word for piece in spoken for word in piece]
    ends = list(accumulate(len(piece) for piece in spoken))
    heard_words = _units(heard)
    if not heard_words:
        return 0
    end = _end_of(heard_words, words)
    if end is None:
        return None
    return bisect_right(ends, end)


def _end_of(heard: Sequence[str], words: Sequence[str]) -> int | None:
    """Number of `words` up to the end of what was heard; a last word that was cut in half may be missing."""
    for given_up in (0, 1):
        known = heard[: len(heard) - given_up]
        for length in range(min(ANCHOR_WORDS, len(known)), min(MIN_ANCHOR_WORDS, len(known)) - 1, -1):
            if length == 0:
                break
            anchor = list(known[-length:])
            places = [at + length for at in range(len(words) - length + 1) if list(words[at : at + length]) == anchor]
            if places:
                return min(places, key=lambda place: abs(place - len(known)))
    return None


def _units(text: str) -> list[str]:
    """Words to compare by; Chinese and Japanese text character by character."""
    return [unit for word in plain_words(text) for unit in (word if contains_cjk(word) else (word,))]
