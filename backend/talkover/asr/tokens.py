"""What a recogniser emits, token by token, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SPECIAL = frozenset({"<blank>", "<s>", "</s>", "<unk>", "<OOV>", "<pad>"})
_CONTINUES = "@@"
"""mark of subword-nmt: the word goes on in the next token"""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a hypothesis."""

    text: str
    """a character, a word, or a piece of one that ends in `@@`"""
    probability: float
    """0 to 1"""


def written(tokens: Iterable[str]) -> str:
    """Tokens as text: English words parted by blanks, characters not; spelt-out letters joined to one abbreviation.

    `tokens` such as `talk@@ over 是 什 么`; the marks of the vocabulary (`<unk>` and the like) are left out.
    """
    text = ""
    for word in _abbreviations(_words(tokens)):
        text += f" {word}" if text and _is_latin(text[-1]) and _is_latin(word[0]) else word
    return text


def confidence(tokens: Sequence[Token]) -> float | None:
    """How sure the model is of them all: the geometric mean of their probabilities; None when there are none."""
    if not tokens:
        return None
    return math.exp(sum(math.log(max(token.probability, 1e-6)) for token in tokens) / len(tokens))


def lowest(tokens: Sequence[Token]) -> float:
    """Probability of the token the model is least sure of; 0 when there is none."""
    return min((token.probability for token in tokens), default=0.0)


def _words(tokens: Iterable[str]) -> list[str]:
    words: list[str] = []
    begun = ""
    for token in tokens:
        if token in _SPECIAL or not token:
            continue
        if token.endswith(_CONTINUES):
            begun += token.removesuffix(_CONTINUES)
        elif begun and not _is_latin(token[0]):
            words += [begun, token]
            begun = ""
        else:
            words.append(begun + token)
            begun = ""
    return [*words, begun] if begun else words


def _abbreviations(words: Sequence[str]) -> list[str]:
    """Two or more single letters in a row are one abbreviation: `a p i` is API. A lone `i` is I."""
    joined: list[str] = []
    letters = ""
    for word in [*words, ""]:
        if len(word) == 1 and word.isascii() and word.isalpha():
            letters += word
            continue
        if letters:
            joined.append(letters.upper() if len(letters) > 1 or letters == "i" else letters)
            letters = ""
        if word:
            joined.append(word)
    return joined


def _is_latin(character: str) -> bool:
    """Whether a blank parts it from its like: everything but the scripts written without blanks."""
    return character < "\u2e80" and not character.isspace()
