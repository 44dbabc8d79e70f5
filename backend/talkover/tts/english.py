"""What English figures, dates, amounts, units, addresses and abbreviations are spoken as.

Rules are tried from the left of the text; of several that match at the same place the earlier one in
`ENGLISH_RULES` wins. Dates are read the American way, month before day, unless the day stands first.
"""

from __future__ import annotations

import re

from talkover.tts.address import EMAIL, FILE_NAME, IP_ADDRESS, URL, address_to_read, spell_address
from talkover.tts.english_numbers import cardinal, decimal, digits, ordinal, plural, year
from talkover.tts.english_words import (
    ABBREVIATIONS,
    CURRENCIES,
    DENOMINATORS,
    FRACTIONS,
    MONTHS,
    NUMBERED,
    SCALES,
    SYMBOLS,
    UNITS,
)
from talkover.tts.spoken_text import Rule, Say

_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d+)?"
_SIGN = r"(?:(?<![\w)\]])[-−])?"
_RANGE = r"\s?[-–~]\s?|\sto\s"
_END = r"(?![\w])"

_MONTH = "|".join([*MONTHS, *(f"{name[:3]}\\.?" for name in MONTHS if name != "May"), "Sept\\.?"])

_SCALE = r"(?:\s?(?:thousand|million|billion|trillion)|[kKmMbBtT]n?)"

_SYMBOL = r"US\$|[$€£¥￥₹₩₽]"
_CODE = "USD|EUR|GBP|JPY|CNY|RMB|CHF"

_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))

_ABBREVIATION = "|".join(re.escape(name) for name in sorted(ABBREVIATIONS, key=len, reverse=True))
_ROMAN = {"I": 1, "V": 5, "X": 10}


def roman_number(text: str) -> int | None:
    """Value of a Roman numeral of I, V and X, None when it is not one."""
    if not re.fullmatch(r"X{0,3}(?:IX|IV|V?I{0,3})", text) or not text:
        return None
    values = [_ROMAN[char] for char in text]
    return sum(-value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True))


def _month(text: str) -> str:
    return next(name for name in MONTHS if name.startswith(text.rstrip(".")[:3]))


def _amount(text: str) -> str:
    """A figure with sign: `-1,200.5`"""
    sign = "minus " if text[0] in "-−" else ""
    return sign + decimal(text.lstrip("-−"))


def _amounts(match: re.Match[str]) -> str:
    """The figure or range of figures of a match with groups `sign`, `a`, `b`."""
    words = _amount(match["sign"] + match["a"])
    return f"{words} to {decimal(match['b'])}" if match["b"] else words


_QUANTITY = rf"(?P<sign>{_SIGN})(?<![\d.,])(?P<a>{_NUMBER})(?:(?:{_RANGE})(?P<b>{_NUMBER}))?"


def _before(match: re.Match[str]) -> str:
    """The words just before a match."""
    return match.string[max(0, match.start() - 12) : match.start()]


def _at_end(match: re.Match[str], words: str) -> str:
    """Keep the full stop of an abbreviation that ends the text, for the voice falls there."""
    is_end = match.end() == len(match.string) or match.string[match.end()] == "\n"
    return words + "." if match.group().endswith(".") and is_end else words


def _say_url(match: re.Match[str]) -> str:
    return spell_address(address_to_read(match))


def _say_iso_date(match: re.Match[str]) -> str | None:
    return _date(int(match["y"]), int(match["m"]), int(match["d"]))


def _say_slash_date(match: re.Match[str]) -> str | None:
    first, second = int(match["a"]), int(match["b"])
    month, day = (second, first) if first > 12 else (first, second)
    number = int(match["y"])
    return _date(number + (2000 if number < 50 else 1900) if number < 100 else number, month, day)


def _date(number: int, month: int, day: int) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(number)}"


def _say_day_month(match: re.Match[str]) -> str | None:
    if not 1 <= int(match["d"]) <= 31:
        return None
    has_article = re.search(r"\bthe\s+$", _before(match), re.IGNORECASE)
    words = f"{'' if has_article else 'the '}{ordinal(int(match['d']))} of {_month(match['m'])}"
    return f"{words}, {year(int(match['y']))}" if match["y"] else words


def _say_month_day(match: re.Match[str]) -> str | None:
    if not 1 <= int(match["d"]) <= 31:
        return None
    words = f"{_month(match['m'])} {ordinal(int(match['d']))}"
    return f"{words}, {year(int(match['y']))}" if match["y"] else words


def _say_time(match: re.Match[str]) -> str:
    hour, minute = int(match["h"]), int(match["m"])
    half = f" {_half(match)}" if match["half"] else ""
    if match["s"]:
        return f"{cardinal(hour)} {_minutes(minute)} and {cardinal(int(match['s']))} seconds{half}"
    if minute == 0:
        full = f"{cardinal(hour)} hundred" if hour > 12 else f"{cardinal(hour)} o'clock"
        return f"{cardinal(hour)}{half}" if half else full
    return f"{cardinal(hour)} {_minutes(minute)}{half}"


def _minutes(minute: int) -> str:
    if minute == 0:
        return "hundred"
    return f"oh {cardinal(minute)}" if minute < 10 else cardinal(minute)


def _say_hour(match: re.Match[str]) -> str:
    return f"{cardinal(int(match['h']))} {_half(match)}"


def _half(match: re.Match[str]) -> str:
    """a.m. or p.m., which leaves its last full stop to the text when there is one"""
    return f"{match['half'].lower()}.m" + ("" if match.string.startswith(".", match.end()) else ".")


def _say_currency(match: re.Match[str]) -> str:
    one, many, minor_one, minor_many = CURRENCIES[match["symbol"]]
    per = f" per {match['per']}" if match["per"] else ""
    sign = "minus " if match["sign"] else ""
    if match["scale"]:
        scale = match["scale"].strip()
        return f"{sign}{_range_of(match)} {SCALES.get(scale.lower(), scale)} {many}{per}"
    whole, _, minor = match["a"].replace(",", "").partition(".")
    if match["b"] or not minor_one or len(minor) not in {0, 2}:
        return f"{sign}{_range_of(match)} {one if match['a'] == '1' and not match['b'] else many}{per}"
    parts: list[str] = []
    if int(whole) or not int(minor or 0):
        parts.append(f"{cardinal(int(whole))} {one if int(whole) == 1 else many}")
    if int(minor or 0):
        parts.append(f"{cardinal(int(minor))} {minor_one if int(minor) == 1 else minor_many}")
    return sign + " and ".join(parts) + per


def _range_of(match: re.Match[str]) -> str:
    words = decimal(match["a"])
    return f"{words} to {decimal(match['b'])}" if match["b"] else words


def _say_unit(match: re.Match[str]) -> str:
    one, many = UNITS[match["unit"]]
    per = f" per {match['per']}" if match["per"] else ""
    return f"{_amounts(match)} {one if match['a'] == '1' and not match['b'] else many}{per}"


def _say_feet(match: re.Match[str]) -> str:
    inches = f" {cardinal(int(match['in']))}" if match["in"] else ""
    return f"{cardinal(int(match['ft']))} foot{inches}"


def _say_phone(match: re.Match[str]) -> str:
    plus = "plus " if match.group().startswith("+") else ""
    return plus + ", ".join(digits(group) for group in re.findall(r"\d+", match.group()))


def _say_decade(match: re.Match[str]) -> str:
    century = year(int(match["c"]) * 100).removesuffix(" hundred") + " " if match["c"] else ""
    if match["c"] and match["d"] == "0":
        return plural(year(int(match["c"]) * 100))
    return century + plural(cardinal(int(match["d"]) * 10))


def _say_fraction(match: re.Match[str]) -> str | None:
    top, bottom = int(match["a"]), int(match["b"])
    name = DENOMINATORS.get(bottom)
    if name is None or not 0 < top < bottom:
        return None if match["whole"] else f"{cardinal(top)} {'out of' if top <= bottom else 'over'} {cardinal(bottom)}"
    words = f"{cardinal(top)} {name if top == 1 else {'half': 'halves'}.get(name, name + 's')}"
    if match["whole"] is None:
        return words
    return f"{cardinal(int(match['whole']))} and {'a half' if words == 'one half' else words}"


def _say_plain_year(match: re.Match[str]) -> str | None:
    number = int(match["y"])
    before = _before(match)
    is_after_cue = re.search(
        r"\b(?:in|since|by|until|till|year|from|of|before|after|during|around|circa)\s+$", before, re.I
    )
    is_range = match["to"] is not None
    if not (1900 <= number <= 2099 or (1000 <= number < 1900 and (is_after_cue or is_range))):
        return None
    return f"{year(number)} to {year(_full_year(number, match['to']))}" if match["to"] else year(number)


def _full_year(start: int, end: str) -> int:
    return int(end) if len(end) == 4 else start // 100 * 100 + int(end)


def _say_digits(match: re.Match[str]) -> str:
    return digits(match.group())


def _say_version(match: re.Match[str]) -> str:
    prefix = "version " if match["v"] else ""
    return prefix + " point ".join(cardinal(int(part)) for part in match["n"].split("."))


def _say_roman_part(match: re.Match[str]) -> str | None:
    number = roman_number(match["n"])
    return None if number is None else f"{match['what']} {cardinal(number)}"


def _say_roman_ruler(match: re.Match[str]) -> str | None:
    number = roman_number(match["n"])
    return None if number is None else f"{match['who']} the {ordinal(number)}"


def _say_number(match: re.Match[str]) -> str:
    text = match["n"]
    if len(text) > 1 and text[0] == "0" and text.isdigit():
        return digits(text)
    scale = f" {SCALES[match['scale'].lower()]}" if match["scale"] else ""
    sign = {"-": "minus ", "−": "minus ", "+": "plus ", "~": "about ", "≈": "about "}.get(match["sign"] or "", "")
    return sign + decimal(text) + scale


def _rule(pattern: str, say: Say | str, flags: int = 0) -> Rule:
    return Rule(re.compile(pattern, flags), say if callable(say) else lambda _match: say)


ENGLISH_RULES: tuple[Rule, ...] = (
    Rule(EMAIL, lambda match: spell_address(match.group())),
    Rule(URL, _say_url),
    Rule(FILE_NAME, lambda match: spell_address(match.group())),
    Rule(IP_ADDRESS, lambda match: spell_address(match.group())),
    # digits to dial or to write down; the numbers of all other rules have at most 15
    _rule(r"\d{16,}", _say_digits),
    _rule(r"(?<![\w+])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}(?!\d)", _say_phone),
    _rule(r"(?<![\w(])\(\d{3}\)\s?\d{3}[-. ]\d{4}(?!\d)", _say_phone),
    _rule(r"(?<![\w.,-])(?:1[-. ])?\d{3}([-. ])\d{3}\1\d{4}(?![\w-])", _say_phone),
    _rule(r"(?<![\w.,-])\d{3}-\d{4}(?![\w-])", _say_phone),
    _rule(r"(?<![\w.,])\d{10,}(?![\w.,]\d)", _say_digits),
    _rule(
        r"(?:(?<=\bcode )|(?<=\bdial )|(?<=\bDial )|(?<=\bcall )|(?<=\bCall )|(?<=\bcode is )|(?<=\bPIN is ))"
        r"\d{3,}\b(?![.,:/-]\d)",
        _say_digits,
    ),
    # dates and times
    _rule(r"(?<![\w-])(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?![\w-])", _say_iso_date),
    _rule(r"(?<![\w/])(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>\d{4}|\d{2})(?![\w/])", _say_slash_date),
    _rule(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<m>{_MONTH})(?![a-z])(?:,?\s(?P<y>\d{{4}})\b)?",
        _say_day_month,
    ),
    _rule(rf"\b(?P<m>{_MONTH})\s(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:%])(?:,?\s(?P<y>\d{{4}})\b)?", _say_month_day),
    _rule(
        r"(?<![\d:.])(?P<h>[01]?\d|2[0-3]):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?![\d:])"
        r"(?:\s?(?P<half>[aApP])(?:\.m\.|\.?[mM]\b))?",
        _say_time,
    ),
    _rule(r"(?<![\w:.])(?P<h>1[0-2]|0?[1-9])\s?(?P<half>[aApP])(?:\.m\.|[mM]\b)", _say_hour),
    _rule(r"(?:(?<=\b[Tt]he )['’]?|['’])(?P<c>)(?P<d>\d)0s\b", _say_decade),
    _rule(r"\b(?P<c>1\d|20)(?P<d>\d)0['’]?s\b", _say_decade),
    _rule(
        r"(?<![\w.,/-])(?P<y>\d{4})(?:[-–](?P<to>\d{4}|\d{2}))?(?![\w/%°-]|[.,]\d|\s?[€£%°]|\s(?:" + _UNIT + r")\b)",
        _say_plain_year,
    ),
    _rule(r"(?<=[aApP][mM])\s?[-–]\s?(?=\d)|(?<=\d)\s?[-–]\s?(?=\d{1,2}:\d\d)", " to "),
    # amounts
    _rule(
        rf"(?P<sign>{_SIGN})(?P<symbol>{_SYMBOL})\s?(?P<a>{_NUMBER})(?:(?:{_RANGE})(?:{_SYMBOL})?(?P<b>{_NUMBER}))?"
        rf"(?P<scale>{_SCALE}{_END})?(?:/(?P<per>[a-z]+))?",
        _say_currency,
    ),
    _rule(
        rf"(?P<sign>{_SIGN})(?<![\d.,])(?P<a>{_NUMBER})(?:(?:{_RANGE})(?P<b>{_NUMBER}))?(?P<scale>{_SCALE}(?=\s))?"
        rf"\s?(?P<symbol>[€£¥₹₽]|(?:{_CODE}){_END})(?:/(?P<per>[a-z]+))?",
        _say_currency,
    ),
    _rule(r"(?<![\w])(?P<ft>\d)['′’](?:\s?(?P<in>\d{1,2})[\"″”])", _say_feet),
    _rule(rf"(?<![A-Za-z]){_QUANTITY}\s?(?P<unit>{_UNIT})(?![A-Za-z\d²³])(?:/(?P<per>[a-z]+))?", _say_unit),
    # other figures
    _rule(r"(?<!\w)24/7(?!\w)", "twenty-four seven"),
    _rule(r"(?<!\w)50/50(?!\w)", "fifty fifty"),
    _rule(
        rf"(?<![\w/.,])(?P<a>{_NUMBER})/(?P<b>5|10|100)(?![\w/]|\.\d)",
        lambda match: f"{decimal(match['a'])} out of {cardinal(int(match['b']))}" if "." in match["a"] else None,
    ),
    _rule(r"(?<![\w/.])(?:(?P<whole>\d{1,15})\s)?(?P<a>\d{1,2})/(?P<b>\d{1,3})(?![\w/])", _say_fraction),
    _rule(r"(?<=\d)½", " and a half"),
    _rule(r"(?<=\d)[⅓⅔¼¾]", lambda match: f" and {FRACTIONS[match.group()]}"),
    _rule(r"[½⅓⅔¼¾]", lambda match: FRACTIONS[match.group()]),
    _rule(
        r"\b(?P<n>\d{1,3}(?:,\d{3})+|\d{1,15})(?:st|nd|rd|th)\b",
        lambda match: ordinal(int(match["n"].replace(",", ""))),
    ),
    _rule(rf"\b(?P<n>{_NUMBER})[x×](?![\w])", lambda match: f"{decimal(match['n'])} times"),
    _rule(r"(?<=\d)\s[x×]\s(?=\d)", " times "),
    _rule(
        r"\b(?P<a>\d{3,4})\s?[x×]\s?(?P<b>\d{3,4})\b",
        lambda match: f"{year(int(match['a']))} by {year(int(match['b']))}",
    ),
    _rule(r"\b(?P<n>\d{3,4})(?=[pi]\b)", lambda match: year(int(match["n"]))),
    _rule(r"(?<![\w.])(?P<v>[vV])?(?P<n>\d{1,15}(?:\.\d{1,15}){2,3})(?![\w.]*\d)", _say_version),
    _rule(r"\b(?P<v>[vV])(?P<n>\d{1,15}(?:\.\d{1,15})*)\b", _say_version),
    _rule(rf"(?<![\w.,])(?P<a>{_NUMBER})\s?[-–]\s?(?P<b>{_NUMBER})(?![\w-])", _range_of),
    # names and abbreviations
    _rule(
        r"\b(?P<what>War|Chapter|Part|Volume|Act|Phase|Type|Section|Article|Book|Level|Class|Stage|Bowl)\s(?P<n>[IVX]+)\b",
        _say_roman_part,
    ),
    _rule(
        r"\b(?P<who>Louis|Henry|Charles|George|Edward|William|James|Richard|Philip|Elizabeth|Catherine|Napoleon|Pius|"
        r"Benedict|Francis|Frederick|Alexander|Nicholas|Peter|Ivan)\s(?P<n>[IVX]+)\b",
        _say_roman_ruler,
    ),
    _rule(
        rf"(?<![\w.])(?:{'|'.join(re.escape(name) for name in NUMBERED)})\s?(?=\d)",
        lambda match: NUMBERED[match.group().strip().lower()] + " ",
        re.IGNORECASE,
    ),
    _rule(r"\bSt\.(?=\s[A-Z])(?!\s(?:The|It|In|He|She|They|We|I)\b)", "saint"),
    _rule(r"(?<=[A-Za-z]\s)\bSt\.", lambda match: _at_end(match, "street")),
    _rule(r"(?<=[A-Za-z]\s)\bAve\.", lambda match: _at_end(match, "avenue")),
    _rule(rf"(?<![\w.])(?:{_ABBREVIATION})(?!\w)", lambda match: _at_end(match, ABBREVIATIONS[match.group()])),
    _rule(
        rf"\b(?:{'|'.join(name[:3] for name in MONTHS if name != 'May')}|Sept)\.(?=\s|$)",
        lambda match: _at_end(match, _month(match.group())),
    ),
    # any other figure, also next to letters
    _rule(rf"(?<=[A-Za-z])-(?P<n>{_NUMBER})(?P<sign>)(?P<scale>)", lambda match: " " + _say_number(match)),
    _rule(
        rf"(?P<sign>(?<![\w)\]])[-−+~≈]\s?)?(?<![\w.,])(?P<n>{_NUMBER})(?P<scale>[kKMB])(?!\w)",
        _say_number,
    ),
    _rule(rf"(?P<sign>(?<![\w)\]])[-−+~≈]\s?)?(?P<n>{_NUMBER})(?P<scale>)", _say_number),
    # symbols
    _rule(r"#(?=[A-Za-z])", "hashtag "),
    _rule(r"\s?(?:<=|>=|[&=≈≠×÷±→⇒≤≥^@])\s?", lambda match: f" {SYMBOLS[match.group().strip()]} "),
    _rule(r"\s[<>+*]\s|(?<=\d)[*+](?=\d)", lambda match: f" {SYMBOLS[match.group().strip()]} "),
    _rule(r"\s?%", " percent"),
    _rule(r"(?<=\w)/(?=\w)", " "),
    _rule(r"--+", ", "),
    _rule(r"[_|\\{}\[\]<>^*~#/]", " "),
    _rule(r"[’ʼ＇]", "'"),
)
