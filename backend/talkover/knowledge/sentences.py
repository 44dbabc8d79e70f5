"""Running text into sentences, English and Chinese. Pure."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "approx", "no", "e.g", "i.e", "inc", "ltd", "jr", "sr", "fig")
)
# A full stop ends a sentence before white space or the end; Chinese and Japanese ones end it anywhere.
_END = re.compile(r"[。！？]+[」』”’）]*|[.!?…]+[\"'”’)\]]*(?=\s|$)")
_LAST_WORD = re.compile(r"([\w.]+)$")
_SPEAKABLE_END = (".", "!", "?", "…", ":", "。", "！", "？")


def split_sentences(text: str) -> list[str]:
    """Sentences of `text`, trimmed, white space folded. Decimals, initials, common abbreviations do not end one.

    >>> split_sentences("Open from 8 a.m. to 6 p.m. daily. Ask Dr. Ada for version 3.11!")
    ['Open from 8 a.m. to 6 p.m. daily.', 'Ask Dr. Ada for version 3.11!']
    """
    text = " ".join(text.split())
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        goes_on = text[match.end() + 1 : match.end() + 2].islower()
        if match.group() == "." and (goes_on or _is_abbreviation(text[start : match.start()])):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def with_full_stop(text: str) -> str:
    """The text as a sentence of its own, for a heading or a list item that has no end mark."""
    text = text.rstrip(" ,;")
    if not text or text.rstrip("\"'”’)]」』").endswith(_SPEAKABLE_END):
        return text
    return text + ("。" if ord(text[-1]) > 0x2E80 else ".")


def _is_abbreviation(before: str) -> bool:
    word = _LAST_WORD.search(before)
    return word is not None and (word[1].lower() in _ABBREVIATIONS or (len(word[1]) == 1 and word[1].isupper()))
