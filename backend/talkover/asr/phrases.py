"""The general conversational phrases: `phrases.txt` and its small pattern language, expanded.

A line is one pattern. `(a|b)` is one of several, `[a]` may be left out, `<name>` is an entry of the list that a line
`name = a | b` defines; all of them nest. Lines starting with `#` are comments.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

Words = tuple[str, ...]
Lists = Mapping[str, Sequence[Words]]
"""name of a list -> its entries"""

_TOKEN = re.compile(r"[()\[\]|]|<\w+>|[^\s()\[\]|<>]+")
_LIST = re.compile(r"(\w+)\s*=\s*(.+)")


@dataclass(frozen=True, slots=True)
class Phrases:
    """Expanded phrases, in lower case."""

    patterns: tuple[tuple[Words, ...], ...]
    """one tuple of expansions per pattern"""
    spellings: dict[str, str]
    """lower-case word -> how it is shown, for words that are always written with capitals"""


def builtin_phrases() -> Phrases:
    """The phrases of `phrases.txt`."""
    return parse_phrases((files("talkover.asr") / "phrases.txt").read_text(encoding="utf-8"))


def parse_phrases(text: str) -> Phrases:
    """The patterns of a text, in order. Raises ValueError naming the line that is not well formed."""
    lists: dict[str, tuple[Words, ...]] = {}
    patterns: list[tuple[Words, ...]] = []
    for number, untrimmed in enumerate(text.splitlines(), start=1):
        line = untrimmed.strip()
        if not line or line.startswith("#"):
            continue
        try:
            definition = _LIST.fullmatch(line)
            if definition:
                lists[definition[1]] = expand(definition[2], lists)
            else:
                patterns.append(tuple(words for words in expand(line, lists) if words))
        except ValueError as error:
            raise ValueError(f"phrases line {number}: {error}") from error
    vocabulary = {word for pattern in patterns for words in pattern for word in words}
    spellings = {word.lower(): word for word in vocabulary if word.lower() not in vocabulary}
    lowered = (tuple(tuple(word.lower() for word in words) for words in pattern) for pattern in patterns)
    return Phrases(tuple(lowered), spellings)


def expand(pattern: str, lists: Lists | None = None) -> tuple[Words, ...]:
    """All word sequences of one pattern, without repetitions. Raises ValueError for unbalanced or unknown parts."""
    tokens = _TOKEN.findall(pattern)
    position, expansions = _alternatives(tokens, 0, lists or {})
    if position != len(tokens):
        raise ValueError(f"unexpected {tokens[position]!r} in {pattern!r}")
    return tuple(dict.fromkeys(expansions))


def _alternatives(tokens: Sequence[str], position: int, lists: Lists) -> tuple[int, list[Words]]:
    """Expansions of `a | b | c` up to a closing bracket or the end, and the position of what ended it."""
    expansions: list[Words] = []
    while True:
        position, branch = _sequence(tokens, position, lists)
        expansions += branch
        if position == len(tokens) or tokens[position] != "|":
            return position, expansions
        position += 1


def _sequence(tokens: Sequence[str], position: int, lists: Lists) -> tuple[int, Iterator[Words]]:
    parts: list[Sequence[Words]] = []
    while position < len(tokens) and tokens[position] not in ("|", ")", "]"):
        token = tokens[position]
        position += 1
        if token in ("(", "["):
            position, inner = _alternatives(tokens, position, lists)
            if position == len(tokens) or tokens[position] != {"(": ")", "[": "]"}[token]:
                raise ValueError(f"{token!r} is not closed")
            position += 1
            parts.append([*inner, ()] if token == "[" else inner)
        elif token.startswith("<"):
            if token[1:-1] not in lists:
                raise ValueError(f"list {token} is not defined before it is used")
            parts.append(lists[token[1:-1]])
        else:
            parts.append([(token,)])
    return position, (tuple(itertools.chain.from_iterable(choice)) for choice in itertools.product(*parts))
