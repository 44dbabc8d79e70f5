"""Cuts streamed LLM text into segments for synthesis, each as early as it is certain.

A segment ends at a sentence end, at the border of a Markdown block, or for want of those at a clause or a space before
it grows too long; the first one ends at its first good clause already, because the listener waits for it. Whether a
border is one depends on what precedes it and on a bounded look ahead (`_LOOKAHEAD` characters), never on how the text
was cut into deltas, so the same text always gives the same segments.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from talkover.tts.language import script_of

_LOOKAHEAD = 8
_FIRST_MAX_WIDTH = 120
_MAX_WIDTH = 200
"""longest segment; a Han character counts twice, as it takes about twice the time of a letter or more"""
_FIRST_CLAUSE_SCORE = 15
"""three words or five Han characters"""

_Verdict = int | Literal["wait"] | None
"""end of the segment; not to be known yet; no border"""

_CANDIDATE = re.compile(r"[.!?…。！？｡,;:，；：—–\n]")
_STOPS = re.compile(rf"[.!?…。！？｡]{{1,{_LOOKAHEAD}}}")
_CLOSERS = re.compile(r"[\"'”’»)\]}」』）》】*_~`]{0,6}")
_CITATION = re.compile(r"\[[\d,\s–-]{1,6}\]")
_BLOCK_START = re.compile(r"[ \t]*(?:[\r\n]|#{1,6}\s|[-*+•]\s|>|\||```|~~~|---|\*\*\*|___|\d{1,3}[.)]\s)")
_PLAIN_START = re.compile(r"[ \t]*[^\s#\-*+•>|`~_\d]")
_BLOCK_LINE = re.compile(r"\s*(?:#{1,6}\s|\||```|~~~)")
_LIST_NUMBER = re.compile(r"(?:^|\n)[\s#>*_-]*\d{1,3}$")
_LAST_TOKEN = re.compile(r"[^\s(\[\"'“‘「（*_]+$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")
_WORD = re.compile(r"[A-Za-zÀ-ɏͰ-ӿ0-9'’]+")

_NEVER_LAST = re.compile(
    "dr|mr|mrs|ms|mx|prof|st|rev|hon|gen|col|sgt|capt|cpt|lt|maj|sen|gov|pres|mt|vs|cf|approx|ca|viz|dept|est|inc|ltd|co|"
    "corp|bros|jr|sr|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mon|tue|wed|thu|fri|incl|excl",
    re.IGNORECASE,
)
"""abbreviations after which the sentence goes on"""
_NUMBERED = re.compile("nos?|pp?|vol|ch|sec|figs?|eq|art|num|ver|pt|op|par", re.IGNORECASE)
"""abbreviations when a number follows, words or nothing otherwise"""
_OFTEN_LAST = re.compile(r"etc|al|[ap]\.m", re.IGNORECASE)
"""abbreviations after which a capital letter begins a new sentence"""
_OPENING, _CLOSING = "“‘「『（《【", "”’」』）》】"


class Segmenter:
    """The text of one response on its way into segments.

    `"".join` of all segments is the text, except for blanks at its very end. Blanks between sentences lead the next
    segment. A segment is at most 200 wide (120 the first), where a Han character counts 2.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._is_first = True

    def feed(self, delta: str) -> list[str]:
        """Take more text; the segments that are complete by it."""
        self._rest += delta
        return self._cut_off(is_final=False)

    def flush(self) -> list[str]:
        """The text is over: what is left. The object is as new afterwards."""
        segments = self._cut_off(is_final=True)
        if self._rest.strip():
            segments.append(self._rest)
        self._rest, self._is_first = "", True
        return segments

    def _cut_off(self, is_final: bool) -> list[str]:
        segments: list[str] = []
        while (end := segment_end(self._rest, self._is_first, is_final)) is not None:
            segments.append(self._rest[:end])
            self._rest = self._rest[end:]
            self._is_first = self._is_first and not segments[-1].strip()
        return segments


def segment_end(text: str, is_first: bool, is_final: bool) -> int | None:
    """Where the segment at the start of `text` ends; None when that takes more text.

    `is_final`: no more will come.
    """
    limit = _limit(text, _FIRST_MAX_WIDTH if is_first else _MAX_WIDTH)
    position = len(text) - len(text.lstrip())
    while (match := _CANDIDATE.search(text, position)) is not None and match.start() < limit:
        verdict, position = _verdict(text, match.start(), is_first, is_final)
        if verdict == "wait":
            return None
        if verdict is not None:
            if verdict > limit:
                break
            return verdict
    return _forced_end(text, limit) if len(text) > limit else None


def _verdict(text: str, index: int, is_first: bool, is_final: bool) -> tuple[_Verdict, int]:
    """Whether the segment ends at the candidate, and where to look for the next one."""
    char = text[index]
    if char == "\n":
        return _line_verdict(text, index, is_final), index + 1
    if char in ",;:，；：—–":
        if not is_first or _clause_score(text[:index]) < _FIRST_CLAUSE_SCORE:
            return None, index + 1
        return _clause_verdict(text, index, is_final), index + 1
    if char in "。｡" and not _has_open_quote(text[:index]):
        return index + 1, index + 1
    stops = _STOPS.match(text, index)
    assert stops is not None
    closers = _CLOSERS.match(text, stops.end())
    assert closers is not None
    end = closers.end()
    if text[end : end + 1] == "[":
        citation = _CITATION.match(text, end)
        if citation is None and "]" not in text[end:] and len(text) - end <= _LOOKAHEAD and not is_final:
            return "wait", end
        end = citation.end() if citation else end
    if end >= len(text) and not is_final:
        return "wait", end
    if any(stop in "。｡！？" for stop in stops.group()):
        return end, end
    following = text[end : end + 1]
    if following and not following.isspace() and script_of(following) not in {"Hani", "Kana"}:
        return None, stops.end()
    return _stop_verdict(text, index, end, is_final), stops.end()


def _stop_verdict(text: str, index: int, end: int, is_final: bool) -> _Verdict:
    """A full stop, question or exclamation mark, or ellipsis that is followed by a blank, Han, or nothing."""
    is_quoted = text[end - 1] in "\"'”’»"
    if text[index] in "!?" and not is_quoted:
        return end
    ahead = text[end : end + _LOOKAHEAD]
    blanks = ahead[: len(ahead) - len(ahead.lstrip())]
    next_char = "" if "\n" in blanks else ahead[len(blanks) : len(blanks) + 1]
    is_known = bool(next_char) or "\n" in blanks or len(ahead) == _LOOKAHEAD or is_final
    if is_quoted or text[index] == "…" or text.startswith("..", index):
        if not is_known:
            return "wait"
        goes_on = next_char.islower() or (next_char != "" and not blanks and not is_quoted)
        return None if goes_on else end
    if _LIST_NUMBER.search(text[:index]):
        return None
    token = _LAST_TOKEN.search(text[:index])
    word = token.group() if token else ""
    if _NEVER_LAST.fullmatch(word):
        return None
    is_numbered = _NUMBERED.fullmatch(word) is not None
    if is_numbered or _OFTEN_LAST.fullmatch(word):
        if not is_known:
            return "wait"
        goes_on = next_char.isdigit() if is_numbered else next_char.islower()
        return None if goes_on else end
    is_initials = _INITIALS.fullmatch(word) is not None and word != "I" and (len(word) > 1 or word.isupper())
    return None if is_initials else end


def _clause_verdict(text: str, index: int, is_final: bool) -> _Verdict:
    """A comma, colon, semicolon or dash; the Latin ones also stand in numbers, times and addresses."""
    if text[index] in "，；：":
        return index + 1
    if index + 1 >= len(text):
        return None if is_final else "wait"
    follows = text[index + 1]
    if text[index] == "—":
        return None if follows == "—" else index + 1
    return index + 1 if follows.isspace() else None


def _line_verdict(text: str, index: int, is_final: bool) -> _Verdict:
    """A line break: ends the segment before a blank line or a Markdown block, is a blank otherwise."""
    line_start = text.rfind("\n", 0, index) + 1
    if _BLOCK_LINE.match(text, line_start, index):
        return index + 1
    ahead = text[index + 1 : index + 1 + _LOOKAHEAD]
    if _BLOCK_START.match(ahead):
        return index + 1
    if len(ahead) == _LOOKAHEAD or is_final or _PLAIN_START.match(ahead):
        return None
    return "wait"


def _forced_end(text: str, limit: int) -> int:
    """Where to cut a segment that is too long: after a clause, before a blank, else at the limit."""
    lowest = limit // 3
    for index in range(limit - 1, lowest, -1):
        if text[index] in "，；：、—" or (text[index] in ",;:–" and text[index + 1].isspace()):
            return index + 1
    for index in range(limit, lowest, -1):
        if text[index].isspace():
            return index
    for index in range(limit, lowest, -1):
        is_inside = _is_joined(text[index]) or (text[index - 1 : index + 1].isascii() and text[index].isalnum())
        if not is_inside:
            return index
    return limit


def _is_joined(char: str) -> bool:
    """Whether `char` belongs to the character before it: accents, variation selectors, joiners, skin tones."""
    return unicodedata.category(char) in {"Mn", "Me", "Mc"} or char == "\u200d" or "\U0001f3fb" <= char <= "\U0001f3ff"


def _limit(text: str, max_width: int) -> int:
    width = 0
    for index, char in enumerate(text[: max_width + 1]):
        width += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if width > max_width:
            return index
    return max_width


def _clause_score(text: str) -> int:
    n_han = sum(script_of(char) in {"Hani", "Kana", "Hang", "Thai"} for char in text)
    return 5 * len(_WORD.findall(text)) + 3 * n_han


def _has_open_quote(text: str) -> bool:
    return sum(char in _OPENING for char in text) > sum(char in _CLOSING for char in text)
