"""Web and e-mail addresses in a text, and how they are read aloud."""

from __future__ import annotations

import re
from collections.abc import Mapping

from talkover.tts.english_numbers import cardinal, digits

ENGLISH_MARKS = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    ":": "colon",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "+": "plus",
    "%": "percent",
    "~": "tilde",
    "@": "at",
}
_MAX_SPOKEN_PATH_CHARS = 40
"""a longer path is noise to the ear: the host alone is read"""

_TLD = "com|org|net|edu|gov|io|ai|dev|app|co|uk|de|fr|eu|cn|us|info|tv|ch|ca|au|jp|xyz|gg|sh"
_FILE_TYPE = (
    "py|js|ts|md|txt|toml|json|yaml|yml|csv|pdf|html|css|sh|exe|zip|wav|mp3|mp4|png|jpg|docx?|xlsx?|cfg|ini|log"
)

URL = re.compile(
    r"(?<![A-Za-z0-9_@.-])(?:(?:https?|ftp|wss?)://(?P<rest>[!#-;=?-~]*[\w/])"
    rf"|(?P<bare>(?:www\.)?(?:[A-Za-z0-9-]+\.)+(?:{_TLD})(?![\w-])(?::\d+)?(?:/[\w./?=&%#~+-]*[\w/])?))",
    re.ASCII,
)
"""an address with or without its scheme, without the punctuation that follows it"""
EMAIL = re.compile(r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9][\w.+-]*@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}", re.ASCII)
FILE_NAME = re.compile(rf"(?<![\w/.-])[\w-]+\.(?:{_FILE_TYPE})\b", re.ASCII)
IP_ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.]*\d)", re.ASCII)


def spell_address(text: str, names: Mapping[str, str] = ENGLISH_MARKS) -> str:
    """`example.com/docs` -> example dot com slash docs; figures of up to four digits as numbers"""
    words: list[str] = []
    tokens: list[str] = re.findall(r"[^\W\d_]+|\d+|.", text)
    for token in tokens:
        if token.isdigit():
            words.append(cardinal(int(token)) if len(token) <= 4 and token[0] != "0" else digits(token))
        else:
            words.append(names.get(token, token))
    return " ".join(words)


def address_to_read(match: re.Match[str]) -> str:
    """The part of a `URL` match that is worth reading."""
    address = (match["rest"] or match["bare"]).removeprefix("www.").rstrip("/")
    host, slash, path = address.partition("/")
    return address if slash and len(path) <= _MAX_SPOKEN_PATH_CHARS else host
