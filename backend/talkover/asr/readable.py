"""Recognised words made pleasant to read: capitals and a closing mark. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_FIRST_PERSON = {"i": "I", "i'm": "I'm", "i'll": "I'll", "i've": "I've", "i'd": "I'd"}
_ASKING = frozenset({
    "what", "what's", "who", "who's", "whom", "whose", "where", "where's", "when", "why", "how", "how's", "which",
    "is", "are", "was", "were", "do", "does", "did", "can", "could", "will", "would", "shall", "should", "may",
    "must", "am", "has", "have", "had", "isn't", "aren't", "don't", "doesn't", "didn't", "can't", "couldn't",
    "won't", "wouldn't",
})  # fmt: skip
_LEADING = frozenset({
    "and", "so", "but", "well", "okay", "hello", "hi", "hey", "please", "then", "sorry", "oh", "um", "uh", "no",
    "yes",
})  # fmt: skip
"""words that may come before the question proper"""
_STATING = frozenset({("do", "not"), ("have", "a"), ("may", "be"), ("what", "a")})


def readable_words(words: Sequence[str], spellings: Mapping[str, str]) -> str:
    """The words joined, each as it is written: names, `I`, and a capital at the start.

    Every word depends on itself alone, so the reading of a prefix is a prefix of the reading.

    >>> readable_words(["can", "i", "use", "ollama"], {"ollama": "Ollama"})
    'Can I use Ollama'
    """
    shown = [_FIRST_PERSON.get(word) or _spelled(word, spellings) for word in words]
    if shown and shown[0].islower():
        shown[0] = shown[0][0].upper() + shown[0][1:]
    return " ".join(shown)


def _spelled(word: str, spellings: Mapping[str, str]) -> str:
    if word in spellings:
        return spellings[word]
    stem = word.removesuffix("'s")
    return spellings[stem] + "'s" if stem != word and stem in spellings else word


def readable_sentence(words: Sequence[str], spellings: Mapping[str, str]) -> str:
    """A whole utterance with its closing mark; "" without words.

    >>> readable_sentence("okay what is talkover".split(), {"talkover": "Talkover"})
    'Okay what is Talkover?'
    """
    text = readable_words(words, spellings)
    return f"{text}{'?' if is_question(words) else '.'}" if text else ""


def is_question(words: Sequence[str]) -> bool:
    """Whether the words open like an English question, after an interjection or two.

    >>> is_question("do not worry".split()), is_question("well how old are you".split())
    (False, True)
    """
    rest = list(words)
    while rest and rest[0] in _LEADING:
        rest = rest[1:]
    return bool(rest) and rest[0] in _ASKING and tuple(rest[:2]) not in _STATING
