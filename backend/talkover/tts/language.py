"""Which script and language a text is written in: what normalisation and the choice of a voice go by."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

Script = Literal["Latn", "Hani", "Kana", "Hang", "Cyrl", "Grek", "Arab", "Hebr", "Deva", "Thai"]
"""ISO 15924 codes; `Kana` stands for both Japanese syllabaries"""

# First code point, last code point, script: the letters of each block (Unicode 16 Blocks.txt). What lies outside is
# neutral, such as digits, punctuation, symbols and scripts that no voice here speaks.
_BLOCKS: tuple[tuple[int, int, Script], ...] = (
    (0x0041, 0x005A, "Latn"),
    (0x0061, 0x007A, "Latn"),
    (0x00AA, 0x00AA, "Latn"),
    (0x00BA, 0x00BA, "Latn"),
    (0x00C0, 0x00D6, "Latn"),
    (0x00D8, 0x00F6, "Latn"),
    (0x00F8, 0x02AF, "Latn"),
    (0x0370, 0x03FF, "Grek"),
    (0x0400, 0x052F, "Cyrl"),
    (0x0590, 0x05FF, "Hebr"),
    (0x0600, 0x06FF, "Arab"),
    (0x0750, 0x077F, "Arab"),
    (0x0900, 0x097F, "Deva"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x1100, 0x11FF, "Hang"),
    (0x1E00, 0x1EFF, "Latn"),
    (0x1F00, 0x1FFF, "Grek"),
    (0x3005, 0x3007, "Hani"),
    (0x3041, 0x30FF, "Kana"),
    (0x3130, 0x318F, "Hang"),
    (0x31F0, 0x31FF, "Kana"),
    (0x3400, 0x4DBF, "Hani"),
    (0x4E00, 0x9FFF, "Hani"),
    (0xAC00, 0xD7A3, "Hang"),
    (0xF900, 0xFAFF, "Hani"),
    (0xFF21, 0xFF3A, "Latn"),
    (0xFF41, 0xFF5A, "Latn"),
    (0x20000, 0x323AF, "Hani"),
)
_STARTS = [block[0] for block in _BLOCKS]

_LANGUAGE_OF_SCRIPT: dict[Script, str] = {
    "Latn": "en",
    "Hani": "zh",
    "Kana": "ja",
    "Hang": "ko",
    "Cyrl": "ru",
    "Grek": "el",
    "Arab": "ar",
    "Hebr": "he",
    "Deva": "hi",
    "Thai": "th",
}


_LATIN_TOKEN = re.compile(r"[!-~À-ɏ]+")
_ADDRESS = re.compile(r"[A-Za-z0-9](?:[@.]|://)[A-Za-z0-9]")
_LATIN_WORD = re.compile(r"(?<![\d.])[A-Za-zÀ-ɏ]{2,}")
"""units behind figures and single letters are part of any language"""


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """A stretch of text to be spoken by one voice."""

    start: int
    end: int
    script: Script | None
    """None: nothing in it decides"""


def script_of(char: str) -> Script | None:
    """Script of one character, None for a neutral one."""
    code = ord(char)
    index = bisect_right(_STARTS, code) - 1
    if index < 0 or code > _BLOCKS[index][1]:
        return None
    return _BLOCKS[index][2]


def script_runs(text: str) -> list[ScriptRun]:
    """`text` cut where the script changes; a neutral character belongs to the letters before it, or the first ones."""
    runs: list[ScriptRun] = []
    start, current = 0, None
    for index, char in enumerate(text):
        script = script_of(char)
        if script is None or script == current:
            continue
        if current is not None:
            runs.append(ScriptRun(start, index, current))
            start = index
        current = script
    if start < len(text):
        runs.append(ScriptRun(start, len(text), current))
    return runs


def base_language(tag: str | None) -> str | None:
    """`zh` of `zh-CN`, `cmn` or `Chinese`-like tags of the field; None for none."""
    if not tag:
        return None
    primary = tag.replace("_", "-").split("-")[0].lower()
    return {"cmn": "zh", "yue": "zh", "chinese": "zh", "english": "en"}.get(primary, primary)


def language_of(text: str, hint: str | None = None) -> str:
    """Base language (`en`, `zh`, ...) of a segment by its script.

    The hint, any BCP 47 tag, decides where the script does not: a text without letters, and Latin letters, which are
    the hinted language when that is written in Latin letters too, else English. A text mixed with Latin words is in the
    other script's language when that is the hinted one or has at least as many characters as there are Latin words.
    """
    hinted = base_language(hint)
    counts: dict[Script, int] = {}
    for char in text:
        script = script_of(char)
        if script is not None:
            counts[script] = counts.get(script, 0) + 1
    if not counts:
        return hinted or "en"
    if "Kana" in counts:
        return "ja"
    counts.pop("Latn", None)
    script = max(counts, key=lambda name: counts[name]) if counts else "Latn"
    if script != "Latn" and (counts[script] >= _n_latin_words(text) or hinted == _LANGUAGE_OF_SCRIPT[script]):
        return _LANGUAGE_OF_SCRIPT[script]
    return hinted if hinted is not None and hinted not in _LANGUAGE_OF_SCRIPT.values() else "en"


def _n_latin_words(text: str) -> int:
    """Words in Latin letters, without web and e-mail addresses."""
    tokens: list[str] = _LATIN_TOKEN.findall(text)
    return sum(len(_LATIN_WORD.findall(token)) for token in tokens if not _ADDRESS.search(token))
