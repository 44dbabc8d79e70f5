"""What figures, dates, amounts, units and addresses in Chinese text are spoken as in Mandarin.

Rules are tried from the left of the text; of several that match at the same place the earlier one in
`MANDARIN_RULES` wins. Latin words stay as they are: the engine voices them in English.
"""

from __future__ import annotations

import re

from talkover.tts.address import EMAIL, FILE_NAME, URL, address_to_read
from talkover.tts.mandarin_numbers import cardinal, decimal, digits
from talkover.tts.spoken_text import Rule, Say

_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d+)?"
_SIGN = r"(?:(?<![A-Za-z\d)\]%％])[-−])?"
"""Han characters are word characters too, hence the letters by name"""
_RANGE = r"\s?(?:[-–—~～至到])\s?"
_MEASURE = (
    "个|位|名|只|条|张|次|天|年(?!代|级)|本|块|件|辆|台|部|家|种|双|对|杯|瓶|碗|份|间|座|层|页|章|篇|句|段|遍|趟|场|套|支|枝|"
    "根|颗|棵|粒|片|头|匹|把|架|艘|封|首|门|岁|周|星期|小时|分钟|秒钟|秒|点|倍|米|公里|千米|厘米|公斤|千克|克|斤|吨|升|元|块钱|"
    "人|国|者|万|亿|千|百万|些|半|年级|行|列|字|门课|道|组|批|代|股|节|款|步|方面|美元|欧元|英镑|日元"
)

_CURRENCIES = {
    "¥": "元",
    "￥": "元",
    "$": "美元",
    "US$": "美元",
    "HK$": "港元",
    "€": "欧元",
    "£": "英镑",
    "₩": "韩元",
    "₹": "卢比",
    "₽": "卢布",
    "RMB": "元",
    "CNY": "元",
    "USD": "美元",
    "EUR": "欧元",
    "GBP": "英镑",
    "JPY": "日元",
    "HKD": "港元",
}
_SYMBOL = r"US\$|HK\$|[¥￥$€£₩₹₽]"
_CODE = "RMB|CNY|USD|EUR|GBP|JPY|HKD"

_UNITS = {
    "℃": "摄氏度",
    "°C": "摄氏度",
    "℉": "华氏度",
    "°F": "华氏度",
    "°": "度",
    "km/h": "公里每小时",
    "m/s": "米每秒",
    "km²": "平方公里",
    "m²": "平方米",
    "㎡": "平方米",
    "m³": "立方米",
    "km": "公里",
    "cm": "厘米",
    "mm": "毫米",
    "nm": "纳米",
    "m": "米",
    "kg": "公斤",
    "mg": "毫克",
    "g": "克",
    "t": "吨",
    "mL": "毫升",
    "ml": "毫升",
    "L": "升",
    "l": "升",
    "ms": "毫秒",
    "s": "秒",
    "min": "分钟",
    "h": "小时",
    "GHz": "吉赫兹",
    "MHz": "兆赫兹",
    "kHz": "千赫兹",
    "Hz": "赫兹",
    "dB": "分贝",
    "Mbps": "兆比特每秒",
    "kWh": "千瓦时",
    "kW": "千瓦",
    "W": "瓦",
    "mAh": "毫安时",
    "V": "伏",
}
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))

_SYMBOLS = {
    "&": "和",
    "=": "等于",
    "≈": "约等于",
    "≠": "不等于",
    "×": "乘以",
    "÷": "除以",
    "±": "正负",
    "→": "到",
    "≤": "小于等于",
    "≥": "大于等于",
    "<=": "小于等于",
    ">=": "大于等于",
    "<": "小于",
    ">": "大于",
    "+": "加",
    "*": "乘以",
}
_FRACTIONS = {"½": "二分之一", "⅓": "三分之一", "⅔": "三分之二", "¼": "四分之一", "¾": "四分之三"}
_IN_ADDRESS = {
    ".": "点",
    "/": "斜杠",
    "-": "横杠",
    "_": "下划线",
    ":": "冒号",
    "?": "问号",
    "=": "等于",
    "&": "和",
    "#": "井号",
    "+": "加",
    "%": "百分号",
    "@": "艾特",
}


def _spell_address(text: str) -> str:
    """`example.com/a1` -> example点com斜杠a一"""
    tokens: list[str] = re.findall(r"[^\W\d_]+|\d+|.", text)
    return "".join(digits(token) if token.isdigit() else _IN_ADDRESS.get(token, token) for token in tokens)


def _signed(match: re.Match[str]) -> str:
    """The figure or range of a match with groups `sign`, `a`, `b`."""
    words = ("负" if match["sign"] else "") + decimal(match["a"])
    return f"{words}到{decimal(match['b'])}" if match["b"] else words


def _say_date(match: re.Match[str]) -> str | None:
    month, day = int(match["m"]), int(match["d"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{digits(match['y'])}年{cardinal(month)}月{cardinal(day)}日"


def _say_time(match: re.Match[str]) -> str:
    hour, minute = int(match["h"]), int(match["m"])
    words = f"{cardinal(hour, counts=True)}点"
    if minute:
        words += f"{'零' if minute < 10 else ''}{cardinal(minute)}分"
    elif match["s"]:
        words += "零分"
    return words + (f"{cardinal(int(match['s']))}秒" if match["s"] else "")


def _say_percent(match: re.Match[str]) -> str:
    sign = "负" if match["sign"] else ""
    kind = "千分之" if match["unit"] == "‰" else "百分之"
    words = sign + kind + decimal(match["a"])
    return f"{words}到{kind}{decimal(match['b'])}" if match["b"] else words


def _say_currency(match: re.Match[str]) -> str:
    figure = re.sub(r"(\.\d*?)0+$", r"\1", match["a"]).rstrip(".") if "." in match["a"] else match["a"]
    scale = match["scale"] or ""
    name = _CURRENCIES[match["symbol"]]
    second = f"到{decimal(match['b'], counts=True)}" if match["b"] else ""
    return f"{'负' if match['sign'] else ''}{decimal(figure, counts=True)}{second}{scale}{name}"


def _say_unit(match: re.Match[str]) -> str:
    name = _UNITS[match["unit"]]
    if match["sign"] and name.endswith("度") and name != "度":
        return f"零下{decimal(match['a'])}{name}"
    if match["a"] == "2" and not match["b"]:
        return ("负" if match["sign"] else "") + "两" + name
    return _signed(match) + name


def _say_telephone(match: re.Match[str]) -> str:
    text = match.group()
    if re.fullmatch(r"1[3-9]\d{9}", text):
        text = f"{text[:3]}-{text[3:7]}-{text[7:]}"
    plus = "加" if text.startswith("+") else ""
    return plus + "，".join(digits(group, telephone=True) for group in re.findall(r"\d+", text))


def _say_ratio(match: re.Match[str]) -> str:
    return f"{decimal(match['a'])}比{decimal(match['b'])}"


def _say_fraction(match: re.Match[str]) -> str | None:
    if int(match["b"]) == 0:
        return None
    return f"{cardinal(int(match['b']))}分之{cardinal(int(match['a']))}"


def _say_range(match: re.Match[str]) -> str:
    return f"{decimal(match['a'])}到{decimal(match['b'])}"


def _say_number(match: re.Match[str]) -> str:
    text = match["n"]
    if len(text) > 1 and text[0] == "0" and text.isdigit():
        return digits(text)
    sign = {"-": "负", "−": "负", "+": "加", "~": "约", "～": "约", "≈": "约"}.get(match["sign"] or "", "")
    return sign + decimal(text)


def _rule(pattern: str, say: Say) -> Rule:
    return Rule(re.compile(pattern), say)


MANDARIN_RULES: tuple[Rule, ...] = (
    Rule(EMAIL, lambda match: _spell_address(match.group())),
    Rule(URL, lambda match: _spell_address(address_to_read(match))),
    Rule(FILE_NAME, lambda match: _spell_address(match.group())),
    # digits to dial or to write down; the numbers of all other rules have at most 15
    _rule(r"\d{16,}", lambda match: digits(match.group())),
    _rule(r"(?<![\d.])\+\d{1,3}[ -]?\d{2,4}(?:[ -]?\d{3,4}){1,3}(?!\d)", _say_telephone),
    _rule(r"(?<![\d.])1[3-9]\d{9}(?!\d)", _say_telephone),
    _rule(r"(?<![\d.])0\d{2,3}-\d{7,8}(?:-\d{1,4})?(?!\d)", _say_telephone),
    _rule(r"(?<![\d.])[48]00-\d{3}-\d{4}(?!\d)", _say_telephone),
    _rule(
        r"(?:(?<=拨打)|(?<=致电)|(?<=电话)|(?<=热线)|(?<=呼叫)|(?<=电话：)|(?<=号码是))\s?\d{3,12}(?!\d)",
        _say_telephone,
    ),
    _rule(
        r"(?:(?<=号码)|(?<=房间)|(?<=密码是)|(?<=验证码是)|(?<=编号)|(?<=代码))\s?\d{3,}(?!\d)",
        lambda m: digits(m.group()),
    ),
    _rule(r"(?<![\d.,])\d{10,}(?![\d,.])", lambda match: digits(match.group())),
    # versions and IP addresses
    _rule(
        r"(?<![\d.])\d{1,15}(?:\.\d{1,15}){2,}(?![\d.]*\d)",
        lambda m: "点".join(cardinal(int(n)) for n in m.group().split(".")),
    ),
    # dates and times
    _rule(r"(?<!\d)(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)", _say_date),
    _rule(
        r"(?<![\d.,])(?P<a>\d{4})(?:\s?年?\s?(?:[-–—~～至到])\s?(?P<b>\d{4}))?(?=\s?年(?!前|后|来|间|级))",
        lambda match: digits(match["a"]) + (f"到{digits(match['b'])}" if match["b"] else ""),
    ),
    _rule(r"(?<!\d)(?P<h>[01]?\d|2[0-4])[:：](?P<m>[0-5]\d)(?:[:：](?P<s>[0-5]\d))?(?!\d)", _say_time),
    _rule(r"(?<![\d.,])\d0(?=后)", lambda match: digits(match.group())),
    # amounts
    _rule(
        rf"(?P<sign>{_SIGN})(?<![\d.,])(?P<a>{_NUMBER})(?:[%％‰]?(?:{_RANGE})(?P<b>{_NUMBER}))?\s?(?P<unit>[%％‰])",
        _say_percent,
    ),
    _rule(
        rf"(?P<sign>{_SIGN})(?P<symbol>{_SYMBOL})\s?(?P<a>{_NUMBER})(?:(?:{_RANGE})(?:{_SYMBOL})?(?P<b>{_NUMBER}))?"
        r"\s?(?P<scale>百万|千万|[万亿千])?(?:美元|元)?",
        _say_currency,
    ),
    _rule(
        rf"(?P<sign>{_SIGN})(?<![\d.,])(?P<a>{_NUMBER})(?P<b>)\s?(?P<scale>百万|千万|[万亿千])?\s?"
        rf"(?P<symbol>[€£₩₹₽]|(?:{_CODE})(?![A-Za-z]))",
        _say_currency,
    ),
    _rule(
        r"(?<![\d.,])(?P<a>(?:\d{1,3}(?:,\d{3})+|\d{1,15})\.\d*?[1-9])0+(?=\s?(?:美元|欧元|英镑|元|块))",
        lambda match: decimal(match["a"]),
    ),
    _rule(
        r"(?<![\d.,])(?P<a>\d{1,15})\.0+(?=\s?(?:美元|欧元|英镑|元|块))", lambda match: decimal(match["a"], counts=True)
    ),
    _rule(
        rf"(?P<sign>{_SIGN})(?<![A-Za-z\d.,])(?P<a>{_NUMBER})(?:(?:{_RANGE})(?P<b>{_NUMBER}))?\s?(?P<unit>{_UNIT})"
        r"(?![A-Za-z\d²³])",
        _say_unit,
    ),
    # other figures
    _rule(
        r"(?:(?<=比分)|(?<=比分是)|(?<=比分为)|(?<=以))\s?(?P<a>\d{1,3})[-:：](?P<b>\d{1,3})(?!\d)",
        _say_ratio,
    ),
    _rule(r"(?<![\d:：])(?P<a>\d{1,15}(?:\.\d{1,15})?)[:：](?P<b>\d{1,15}(?:\.\d{1,15})?)(?![\d:：])", _say_ratio),
    _rule(r"(?<![\d/.])(?P<a>\d{1,3})/(?P<b>\d{1,4})(?![\d/])", _say_fraction),
    _rule(r"[½⅓⅔¼¾]", lambda match: _FRACTIONS[match.group()]),
    _rule(rf"(?<![A-Za-z\d.,-])(?P<a>{_NUMBER}){_RANGE}(?P<b>{_NUMBER})(?![\d-])", _say_range),
    _rule(rf"(?<![\d.,第])2(?=\s?(?:{_MEASURE}))(?![月日号])", lambda _match: "两"),
    _rule(r"(?<=[A-Za-z])[\s-]?\d{3,}(?![\d,.]\d|\d)", lambda match: digits(match.group())),
    _rule(r"(?<=[A-Za-z])-(?=\d)", lambda _match: ""),
    _rule(rf"(?P<sign>(?<![A-Za-z\d)\]%％])[-−+~～≈]\s?)?(?P<n>{_NUMBER})", _say_number),
    # symbols
    _rule(r"\s?(?:<=|>=|[&=≈≠×÷±→≤≥])\s?", lambda match: _SYMBOLS[match.group().strip()]),
    _rule(r"\s[<>+*]\s|(?<=\d)[*+](?=\d)", lambda match: _SYMBOLS[match.group().strip()]),
    _rule(r"(?<=\w)/(?=\w)", lambda _match: "，"),
    _rule(r"--+", lambda _match: "，"),
    _rule(r"[_|\\{}\[\]<>^*#/]", lambda _match: " "),
)
