"""Numbers and e-mail addresses in what was said, to be masked where recordings leave the house. Pure.

Found are: three digits or more in a row, written or spoken, with what people put between them (so telephone, card and
account numbers, IBANs, dates, prices and years), and e-mail addresses, written or spelled out. Languages of spoken
numbers: English, Chinese, German, Spanish and French, mixed as they come.

Not found are: names and addresses, letters spelled one by one, one or two digits alone, numbers that the recogniser
wrote as other words ("for", "to", "ate"), numbers of other languages, and an e-mail whose "at" was not understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["number", "e-mail"]

MIN_DIGITS = 3
"""a card's security code has three"""


@dataclass(frozen=True, slots=True)
class Masked:
    """A stretch of a text that is not to be shown."""

    start: int
    end: int
    kind: Kind


_UNITS = frozenset(
    """
    zero oh one two three four five six seven eight nine niner double triple
    null nul eins ein eine zwei zwo drei vier fünf fuenf sechs sieben acht neun
    cero uno una dos tres cuatro cinco seis siete ocho nueve
    zéro un une deux trois quatre cinq six sept huit neuf
    """.split()  # noqa: SIM905 - words in lines are easier to check than a list
)
_TEENS = frozenset(
    """
    ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
    zehn elf zwölf zwoelf dreizehn vierzehn fünfzehn fuenfzehn sechzehn siebzehn achtzehn neunzehn
    diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve
    dix onze douze treize quatorze quinze seize
    """.split()  # noqa: SIM905
)
_TENS = frozenset(
    """
    twenty thirty forty fourty fifty sixty seventy eighty ninety
    zwanzig dreißig dreissig vierzig fünfzig fuenfzig sechzig siebzig achtzig neunzig
    veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa
    vingt vingts trente quarante cinquante soixante septante huitante nonante
    """.split()  # noqa: SIM905
)
_HUNDREDS = frozenset(("hundred", "hundreds", "hundert", "cien", "ciento", "cientos", "cent", "cents"))
_THOUSANDS = frozenset(("thousand", "tausend", "mil", "mille", "million", "millionen", "millón"))

# German writes a number below a million as one word
_GERMAN_PART = (
    "(?:null|eins?|zwei|zwo|drei|vier|fünf|fuenf|sechs?|sieb(?:en)?|acht|neun|zehn|elf|zwölf|zwanzig|dreißig|dreissig"
    "|zig|hundert|tausend|und)"
)
_GERMAN_COMPOUND = re.compile(_GERMAN_PART + "{2,}")
_CHINESE_DIGITS = "零〇一二三四五六七八九幺两十百千万亿"

_TOKEN = re.compile(rf"\d+|[{_CHINESE_DIGITS}]|[^\W\d_{_CHINESE_DIGITS}]+", re.UNICODE)
_BETWEEN = re.compile(r"[\s.,，、。:;/()+\-–—'’·]*")
_LINKS = frozenset(
    """
    and und y et uh um er äh ähm eh euh
    dash minus plus space hyphen slash strich guion tiret
    """.split()  # noqa: SIM905
)
_MAX_LINKS = 2
"""words between two digits that do not end a number"""

_IBAN = re.compile(r"(?<![^\W\d_])[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]{4}){2,7}(?:[ \-]?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
# Addresses begin where a word does, and words are taken whole (`++`): else the time taken grows with the square of a
# text's length, or doubles with every "dot" of "adotadotadot".
_WRITTEN_EMAIL = re.compile(r"(?<![\w.+\-])[\w.+\-]++@[\w\-]++(?:\.[\w\-]++)+")
_AT = r"(?:at|@|ät|ett|arroba|arobase|艾特|圈a)"
_DOT = r"(?:dot|point|punkt|punto|point|点|點)"
_PART = r"(?:(?!艾特|圈a|[点點]|下划线)[^\W_])++"
_IN_LOCAL = rf"(?:{_DOT}|underscore|unterstrich|guion bajo|dash|minus|hyphen|plus|bindestrich|下划线|-|_|\.)"
_SPOKEN_EMAIL = re.compile(
    rf"(?:(?<![^\W_])|(?<=[点點]))(?:(?:\b[^\W_]\b[\s,\-]*+){{1,64}}+|{_PART}(?:\s*{_IN_LOCAL}\s*{_PART}){{0,16}})"
    rf"\s*{_AT}\s*(?!(?:the|a|an|this|that|der|die|das)\b){_PART}(?:[\s\-]{_PART}){{0,2}}?(?:\s*(?:{_DOT}|\.)\s*{_PART})+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Number:
    start: int
    end: int
    digits: int
    is_tens: bool = False
    is_unit: bool = False


def masked(text: str) -> list[Masked]:
    """What is to be masked in a text, in order and apart from each other."""
    found = [Masked(match.start(), match.end(), "e-mail") for match in _WRITTEN_EMAIL.finditer(text)]
    found += [Masked(match.start(), match.end(), "e-mail") for match in _SPOKEN_EMAIL.finditer(text)]
    found += _numbers(text)
    # a number that is masked ends a word, and what is left of that may be an account then
    for shown in (text, _blanked(text, found)):
        found += [Masked(_word_start(shown, match.start()), match.end(), "number") for match in _IBAN.finditer(shown)]
    joined: list[Masked] = []
    for stretch in sorted(found, key=lambda stretch: stretch.start):
        last = joined[-1] if joined else None
        if last is None or stretch.start >= last.end:
            joined.append(stretch)
        else:
            joined[-1] = Masked(last.start, max(last.end, stretch.end), last.kind)
    return joined


def _blanked(text: str, stretches: Sequence[Masked]) -> str:
    characters = list(text)
    for stretch in stretches:
        characters[stretch.start : stretch.end] = "|" * (stretch.end - stretch.start)
    return "".join(characters)


def _word_start(text: str, position: int) -> int:
    """Where the letters and digits begin in the middle of which a position lies."""
    while position and text[position - 1].isalnum():
        position -= 1
    return position


def redacted(text: str, stretches: Sequence[Masked] | None = None) -> str:
    """The text with a word in brackets for each stretch; by itself it finds them."""
    parts: list[str] = []
    shown = 0
    for stretch in masked(text) if stretches is None else stretches:
        parts += [text[shown : stretch.start], f"[{stretch.kind}]"]
        shown = stretch.end
    return "".join([*parts, text[shown:]])


def _numbers(text: str) -> list[Masked]:
    found: list[Masked] = []
    run: list[_Number] = []
    end, links = 0, 0
    for token in _TOKEN.finditer(text):
        number = _number(token)
        apart = _BETWEEN.fullmatch(text, end, token.start()) is None
        if run and (apart or (number is None and (token[0].lower() not in _LINKS or links == _MAX_LINKS))):
            found += _long_enough(run)
            run, links = [], 0
        if number is not None:
            run.append(number)
            links = 0
        elif run:
            links += 1
        end = token.end()
    return [*found, *_long_enough(run)]


def _number(token: re.Match[str]) -> _Number | None:
    """What a word or a group of digits stands for; None when it is no number."""
    text, (start, end) = token[0].lower(), token.span()
    if text[0].isdigit():
        return _Number(start, end, len(text))
    if text in _CHINESE_DIGITS or text in _UNITS:
        return _Number(start, end, 1, is_unit=True)
    if text in _TENS:
        return _Number(start, end, 2, is_tens=True)
    if text in _TEENS:
        return _Number(start, end, 2)
    if text in _HUNDREDS:
        return _Number(start, end, 2)
    if text in _THOUSANDS:
        return _Number(start, end, 3)
    if _GERMAN_COMPOUND.fullmatch(text):
        return _Number(start, end, 4 if "tausend" in text else 3 if "hundert" in text else 2)
    return None


def _long_enough(run: Sequence[_Number]) -> list[Masked]:
    """The run as one number when it has the digits for it; "twenty one" has two."""
    pairs = pairwise(run)
    digits = sum(number.digits for number in run) - sum(one.is_tens and two.is_unit for one, two in pairs)
    return [Masked(run[0].start, run[-1].end, "number")] if run and digits >= MIN_DIGITS else []
