"""Mandarin words for numbers."""

from __future__ import annotations

_DIGITS = "零一二三四五六七八九"
_TELEPHONE_DIGITS = "零幺二三四五六七八九"
_MAX_DIGITS = 16


def digits(text: str, telephone: bool = False) -> str:
    """`2024` -> 二零二四; on the telephone 1 is 幺. Other characters are left out."""
    return "".join((_TELEPHONE_DIGITS if telephone else _DIGITS)[int(char)] for char in text if char.isdigit())


def cardinal(number: int, counts: bool = False) -> str:
    """`105` -> 一百零五. `counts`: a measure word follows, 2 is 两. Beyond 16 digits they are read one by one."""
    if number == 2 and counts:
        return "两"
    if number < 0:
        return "负" + cardinal(-number, counts)
    if number >= 10**_MAX_DIGITS:
        return digits(str(number))
    if number < 10_000:
        words = _below_ten_thousand(number)
        return words.removeprefix("一") if 10 <= number < 20 else words
    scale, name = (10**8, "亿") if number >= 10**8 else (10**4, "万")
    count, rest = divmod(number, scale)
    head = cardinal(count, counts=True) + name
    if rest == 0:
        return head
    gap = "零" if rest < scale // 10 else ""
    return head + gap + (cardinal(rest) if rest >= 10_000 else _below_ten_thousand(rest))


def _below_ten_thousand(number: int) -> str:
    """0 to 9999, with 两千 but 二百, and 一十 where it stands inside of a number"""
    if number < 10:
        return _DIGITS[number]
    for scale, name in ((1000, "千"), (100, "百"), (10, "十")):
        if number >= scale:
            count, rest = divmod(number, scale)
            head = ("两" if count == 2 and scale == 1000 else _DIGITS[count]) + name
            if rest == 0:
                return head
            return head + ("零" if rest < scale // 10 else "") + _below_ten_thousand(rest)
    return ""


def decimal(text: str, counts: bool = False) -> str:
    """`1,234.50` -> 一千二百三十四点五零"""
    whole, point, fraction = text.replace(",", "").replace("，", "").partition(".")
    if not (point and fraction):
        return cardinal(int(whole or "0"), counts)
    return f"{cardinal(int(whole or '0'))}点{digits(fraction)}"
