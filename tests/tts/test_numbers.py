from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.tts import english_numbers, mandarin_numbers

_UNITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2}
_SCALES = {"十": 10, "百": 100, "千": 1000}


def parsed_mandarin(words: str) -> int:
    """An independent reading of a Mandarin numeral."""
    for name, scale in (("亿", 10**8), ("万", 10**4)):
        head, found, tail = words.rpartition(name)
        if found:
            return parsed_mandarin(head) * scale + parsed_mandarin(tail)
    total, digit = 0, 0
    for char in words:
        if char in _SCALES:
            total += (digit or 1) * _SCALES[char]
            digit = 0
        else:
            digit = _UNITS[char]
    return total + digit


def parsed_english(words: str) -> int:
    """An independent reading of an English cardinal."""
    small = {english_numbers.cardinal(n): n for n in range(20)} | {
        english_numbers.cardinal(n): n for n in range(20, 100, 10)
    }
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    total = group = 0
    for word in words.replace("-", " ").replace(" and ", " ").split():
        if word == "hundred":
            group *= 100
        elif word in scales:
            total, group = total + group * scales[word], 0
        else:
            group += small[word]
    return total + group


@given(st.integers(0, 10**15 - 1))
def test_cardinals_can_be_read_back(number: int) -> None:
    assert parsed_english(english_numbers.cardinal(number)) == number
    assert parsed_mandarin(mandarin_numbers.cardinal(number)) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "first"),
        (12, "twelfth"),
        (20, "twentieth"),
        (22, "twenty-second"),
        (100, "one hundredth"),
        (105, "one hundred and fifth"),
    ],
)
def test_ordinals(number: int, words: str) -> None:
    assert english_numbers.ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1900, "nineteen hundred"),
        (1905, "nineteen oh five"),
        (2000, "two thousand"),
        (2005, "two thousand and five"),
        (2010, "twenty ten"),
        (1066, "ten sixty-six"),
    ],
)
def test_years(number: int, words: str) -> None:
    assert english_numbers.year(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (10, "十"),
        (12, "十二"),
        (110, "一百一十"),
        (1001, "一千零一"),
        (2222, "两千二百二十二"),
        (10010, "一万零一十"),
        (100_000, "十万"),
        (100_000_001, "一亿零一"),
        (1_2000_0000, "一亿两千万"),
    ],
)
def test_mandarin_cardinals(number: int, words: str) -> None:
    assert mandarin_numbers.cardinal(number) == words
