"""Counts aloud: "count to twenty", "count down from ten", "count from five to nine". Pure."""

from __future__ import annotations

import re

from talkover.llm.dialogue import Reply, Request
from talkover.llm.numbers import number_words, parse_number

MAX_NUMBERS = 300
MAX_NUMBER = 100_000
PER_PIECE = 5

_COUNT = re.compile(r"^(?:(?:let us|lets|start|please|you) )*(?:count|counting)\b(?P<how>.*)$")
_HOMOPHONES = {"won": "one", "for": "four", "fore": "four", "ate": "eight", "tin": "ten", "too": "two"}


def reply(request: Request) -> Reply | None:
    """Numbers in groups of five, or None when the user asked for something else."""
    match = _COUNT.match(request.core)
    if match is None:
        return None
    words = match["how"].split()
    down = any(word in ("down", "backwards", "backward") for word in words)
    numbers = _numbers(words)
    if not numbers:
        simple = not words or words[0] in ("slowly", "faster", "again", "something", "with", "up", "down", "backwards")
        if not simple:
            return None
        numbers = [10]
    if len(numbers) == 1:
        first, last = (numbers[0], 1) if down else (1, numbers[0])
    else:
        first, last = numbers[0], numbers[1]
    if max(first, last) > MAX_NUMBER:
        return Reply((f"I only count up to {number_words(MAX_NUMBER)}.",))
    step = 1 if first <= last else -1
    counted = list(range(first, last + step, step))
    pieces = tuple(_piece(counted[at : at + PER_PIECE]) for at in range(0, min(len(counted), MAX_NUMBERS), PER_PIECE))
    if len(counted) > MAX_NUMBERS:
        pieces = (*pieces, f"I stop here, because I count {number_words(MAX_NUMBERS)} numbers at most.")
    return Reply(pieces)


def _numbers(words: list[str]) -> list[int]:
    """Up to two numbers; the recogniser's "to" between them and "for" in their place are heard as what they are."""
    found: list[int] = []
    at = 0
    while at < len(words) and len(found) < 2:
        previous = words[at - 1] if at else ""
        if words[at] in _HOMOPHONES and previous in ("to", "from", "two"):
            rest = [_HOMOPHONES[words[at]], *words[at + 1 :]]
        elif words[at] == "two" and parse_number(words[at + 1 :]) is not None:
            at += 1
            continue
        else:
            rest = words[at:]
        parsed = parse_number(rest)
        if parsed is None:
            at += 1
            continue
        found.append(parsed[0])
        at += parsed[1]
    return found


def _piece(numbers: list[int]) -> str:
    text = ", ".join(number_words(number) for number in numbers)
    return f"{text[:1].upper()}{text[1:]}."
