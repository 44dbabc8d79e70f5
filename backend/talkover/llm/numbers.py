"""English numbers as words, both ways. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_VALUES = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * value for value, word in enumerate(_TENS) if word
}


def number_words(number: int) -> str:
    """`number`, from -999 999 to 999 999, as it is said: 142 is "one hundred and forty-two"."""
    if number < 0:
        return f"minus {number_words(-number)}"
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{_TENS[tens]}-{_ONES[ones]}" if ones else _TENS[tens]
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_ONES[hundreds]} hundred" + (f" and {number_words(rest)}" if rest else "")
    if number < 1_000_000:
        thousands, rest = divmod(number, 1000)
        link = " and " if 0 < rest < 100 else " "
        return f"{number_words(thousands)} thousand" + (f"{link}{number_words(rest)}" if rest else "")
    raise ValueError(f"number must be below 1000000, got {number}")


def ordinal_words(number: int) -> str:
    """1 is "first", 21 is "twenty-first"."""
    words = number_words(number)
    head, dash, last = words.rpartition("-") if "-" in words else words.rpartition(" ")
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head}{dash}{_ORDINALS.get(last, regular)}"


def year_words(year: int) -> str:
    """2026 is "twenty twenty-six", 2005 is "two thousand and five"."""
    century, rest = divmod(year, 100)
    if not 1000 <= year <= 9999 or (century % 10 == 0 and rest < 10):
        return number_words(year)
    if rest == 0:
        return f"{number_words(century)} hundred"
    return f"{number_words(century)} {'oh ' if rest < 10 else ''}{number_words(rest)}"


def parse_number(words: Sequence[str]) -> tuple[int, int] | None:
    """The number that `words` begins with: (value, how many words it takes); None when it begins with no number."""
    if words and words[0].isascii() and words[0].isdigit() and len(words[0]) <= 9:
        return int(words[0]), 1
    total = group = used = 0
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _VALUES and _fits(group, _VALUES[word], is_first=not used):
            group += _VALUES[word]
        elif word == "hundred" and group < 10:
            group = max(group, 1) * 100
        elif word == "thousand" and not total and group < 1000:
            total, group = max(group, 1) * 1000, 0
        elif (word == "a" and not used and following in ("hundred", "thousand")) or (
            word == "and" and used and following in _VALUES and group % 100 == 0
        ):
            continue
        else:
            break
        used = at + 1
    return (total + group, used) if used else None


def _fits(group: int, value: int, is_first: bool) -> bool:
    """Whether `value` can follow in one number: "twenty five" is one, "five twenty" and "two three" are two."""
    if group % 100 == 0:
        return is_first or value > 0
    return group % 10 == 0 and group % 100 >= 20 and 0 < value < 10


def find_number(words: Sequence[str]) -> int | None:
    """The first number anywhere in `words`."""
    for at in range(len(words)):
        parsed = parse_number(words[at:])
        if parsed is not None:
            return parsed[0]
    return None
