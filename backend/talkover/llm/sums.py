"""Simple sums of two whole numbers: "what is two plus three". Pure."""

from __future__ import annotations

import re

from talkover.llm.dialogue import Reply, Request
from talkover.llm.numbers import number_words, parse_number

_ASKED = re.compile(r"^(?:(?:what|whats|how much)(?: is| are|s)? |calculate |compute |and )?(?P<sum>.+)$")
_OPERATORS = {
    "plus": "plus",
    "and": "plus",
    "minus": "minus",
    "less": "minus",
    "times": "times",
    "multiplied by": "times",
    "divided by": "divided by",
    "over": "divided by",
}
_SPLIT = re.compile(
    r"^(?P<left>.+?) (?P<operator>plus|and|minus|less|times|multiplied by|divided by|over) (?P<right>.+)$"
)
MAX_RESULT = 999_999


def reply(request: Request) -> Reply | None:
    """The result as a sentence, or None when the words are no sum."""
    asked = _ASKED.match(request.core)
    parts = _SPLIT.match(asked["sum"]) if asked else None
    if parts is None:
        return None
    left, right = (_whole_number(parts[side]) for side in ("left", "right"))
    if left is None or right is None:
        return None
    operator = _OPERATORS[parts["operator"]]
    result = _result(left, operator, right)
    sentence = f"{number_words(left)} {operator} {number_words(right)} is {result}."
    return Reply((sentence[:1].upper() + sentence[1:],))


def _whole_number(text: str) -> int | None:
    words = text.split()
    parsed = parse_number(words)
    return parsed[0] if parsed is not None and parsed[1] == len(words) and parsed[0] <= MAX_RESULT else None


def _result(left: int, operator: str, right: int) -> str:
    match operator:
        case "plus":
            value = left + right
        case "minus":
            value = left - right
        case "times":
            value = left * right
        case _:
            if right == 0:
                return "not defined"
            value, rest = divmod(left, right)
            if rest:
                return f"{number_words(value)}, remainder {number_words(rest)}" if value <= MAX_RESULT else "too big"
    return number_words(value) if abs(value) <= MAX_RESULT else "more than I can say"
