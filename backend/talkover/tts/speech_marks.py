"""What a text asks of the voice beside its words: `[laughter]`, `<strong>..</strong>`, a style for all that follows.

Marks are heard and never read: they leave captions and transcripts, and reach an engine only when it knows them. On
their way through the taking out of Markdown each is one noncharacter, which nothing there touches. Pure.
"""

from __future__ import annotations

import re

from talkover.tts.spoken_text import Change, SpokenText

POINT_MARKS = (
    "[breath]",
    "[noise]",
    "[laughter]",
    "[cough]",
    "[clucking]",
    "[accent]",
    "[quick_breath]",
    "[hissing]",
    "[sigh]",
    "[vocalized-noise]",
    "[lipsmack]",
    "[mn]",
)
WRAPPING_MARKS = ("<strong>", "</strong>", "<laughter>", "</laughter>")
SPEECH_MARKS = POINT_MARKS + WRAPPING_MARKS
"""those of CosyVoice 2 (Du et al. 2024)"""

MAX_STYLE_CHARS = 200
_FIRST = 0xFDD0
"""U+FDD0 to U+FDEF are noncharacters: no text holds them, and the Unicode standard reserves them for such use"""
_HIDDEN = re.compile("[\ufdd0-\ufdef]")
_STOPS = ".,;:!?…"
_MARK = re.compile("|".join(re.escape(mark) for mark in SPEECH_MARKS), re.IGNORECASE)
_STYLE = re.compile(r"\[style:\s*([^\[\]]*)\]\s?", re.IGNORECASE)
_OPEN_STYLE = re.compile(r"\[(?:s(?:t(?:y(?:l(?:e(?::[^\[\]]*)?)?)?)?)?)?$", re.IGNORECASE)


def hidden(text: str) -> str:
    """`text` with every mark as one noncharacter; those that were in it already are gone."""
    text = _HIDDEN.sub("", text)
    if "[" not in text and "<" not in text:
        return text
    return _MARK.sub(lambda match: chr(_FIRST + SPEECH_MARKS.index(match.group().lower())), text)


def shown(result: SpokenText, known: frozenset[str]) -> SpokenText:
    """`result` with its hidden marks gone from what is read; what is spoken has those that the engine knows."""
    if _HIDDEN.search(result.display) is None and _HIDDEN.search(result.spoken) is None:
        return result
    display = spoken = ""
    changes: list[Change] = []
    position = 0
    for change in _with_marks(result):
        kept = result.display[position : change.display_start]
        display, spoken = display + kept, spoken + kept
        read = _HIDDEN.sub("", result.display[change.display_start : change.display_end])
        said = _said(result.spoken[change.spoken_start : change.spoken_end], known)
        position = change.display_end
        if read == " " and (not display or display[-1].isspace() or result.display[position : position + 1] in _STOPS):
            read = ""  # the blank behind a mark that has one in front as well, or the one in front before a stop
            said = said if _MARK.search(said) else said.strip()
        changes.append(Change(len(display), len(display) + len(read), len(spoken), len(spoken) + len(said)))
        display, spoken = display + read, spoken + said
    rest = result.display[position:]
    return SpokenText(display + rest, spoken + rest, tuple(changes), result.language)


class StyleReader:
    """Takes `[style: ...]` out of the segments of one response; the style holds until the next one."""

    def __init__(self) -> None:
        self.style = ""
        self._held = ""
        """the beginning of a style mark that the segment before ended with"""

    def read(self, segment: str) -> str:
        """The segment without style marks. `style` is then what it is to be spoken with."""
        text = self._held + segment
        self._held = ""
        for match in _STYLE.finditer(text):
            self.style = " ".join(match[1].split())[:MAX_STYLE_CHARS]
        text = _STYLE.sub("", text)
        unfinished = _OPEN_STYLE.search(text)
        if unfinished is not None and len(unfinished.group()) <= MAX_STYLE_CHARS:
            self._held = unfinished.group()
            text = text[: unfinished.start()]
        return text


def _with_marks(result: SpokenText) -> list[Change]:
    """The changes of `result`, and one for each hidden mark in none of them, with a blank behind or before a stop."""
    found: list[Change] = []
    waiting = list(result.changes)
    shift = 0  # from an unchanged place in the display text to the one in the spoken text
    for match in _HIDDEN.finditer(result.display):
        while waiting and waiting[0].display_end <= match.start():
            shift = waiting[0].spoken_end - waiting[0].display_end
            found.append(waiting.pop(0))
        if waiting and waiting[0].display_start <= match.start():
            continue
        start, end = match.span()
        after = result.display[end : end + 1]
        before_is_free = start > (found[-1].display_end if found else 0) and result.display[start - 1] == " "
        if after == " " and not (waiting and waiting[0].display_start <= end):
            end += 1
        elif after and after in _STOPS and before_is_free:
            start -= 1
        found.append(Change(start, end, start + shift, end + shift))
    return found + waiting


def _said(text: str, known: frozenset[str]) -> str:
    def mark(match: re.Match[str]) -> str:
        index = ord(match.group()) - _FIRST
        name = SPEECH_MARKS[index] if index < len(SPEECH_MARKS) else ""
        return name if name in known else ""

    return _HIDDEN.sub(mark, text)
