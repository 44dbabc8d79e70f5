"""English numbers as words, both ways. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
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
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return f"{head}{dash}{last}"


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
    total = group = used = 0
    seen = False
    scale = 1000
    for at, word in enumerate(words):
        if word.isascii() and word.isdigit() and len(word) <= 9:
            if seen:
                break
            return int(word), at + 1
        if word in _VALUES:
            value = _VALUES[word]
            tens_open = group % 100 >= 20 and group % 10 == 0
            if seen and group % 100 != 0 and not (tens_open and 0 < value < 10):
                break
            group, seen, used = group + value, True, at + 1
        elif word == "hundred" and (not seen or 0 < group < 10):
            group, seen, used = max(group, 1) * 100, True, at + 1
        elif word == "thousand" and scale == 1000:
            total, group, scale, seen, used = max(group, 1) * 1000, 0, 1, True, at + 1
        elif (word == "a" and not seen and at + 1 < len(words) and words[at + 1] in ("hundred", "thousand")) or (
            word == "and" and seen and at + 1 < len(words) and words[at + 1] in _VALUES and group % 100 == 0
        ):
            continue
        else:
            break
    return (total + group, used) if seen else None


def find_number(words: Sequence[str]) -> int | None:
    """The first number anywhere in `words`."""
    for at in range(len(words)):
        parsed = parse_number(words[at:])
        if parsed is not None:
            return parsed[0]
    return None
