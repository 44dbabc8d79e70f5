"""Plain text as a document: its encoding, its paragraphs, and the lines that are headings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from talkover.knowledge.documents import Document, Outline, Sentence
from talkover.knowledge.sentences import split_sentences, with_full_stop
from talkover.knowledge.unreadable import Unreadable

MAX_HEADING_CHARACTERS = 80

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_UNDERLINE = re.compile(r"^(?:={3,}|-{3,}|~{3,}|\*{3,})$")
_NUMBERED = re.compile(r"^(?:\d{1,2}(?:\.\d{1,2}){0,4}\.?|[A-Z]\.|第[一二三四五六七八九十百\d]+[章节条])\s+(?=\S)")
_ITEM = re.compile(r"^\s*(?:[-*•·–]|\d{1,2}[.)]|\(\d{1,2}\))\s+(?=\S)")
_SENTENCE_END = (".", "!", "?", ";", ",", "。", "！", "？", "；", "，", "、", ":")


def decoded(content: bytes) -> str:
    """Text of unknown encoding: by its mark, else UTF-8, else GB 18030, else Windows-1252. Raises Unreadable."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    if b"\0" in content[:4096]:
        raise Unreadable("is not text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # a few bad bytes in a text that is UTF-8 otherwise
        valid = content.decode("utf-8", errors="replace")
        if valid.count("\ufffd") * 50 < len(valid):
            return valid
        try:
            return content.decode("gb18030")
        except UnicodeDecodeError:
            return content.decode("cp1252", errors="replace")


def load_text(path: str, content: bytes) -> Document:
    """Sections below what looks like a heading. Raises Unreadable."""
    outline = Outline()
    lines = decoded(content).replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").split("\n")
    add_lines(outline, lines)
    return outline.document(path)


def add_lines(outline: Outline, lines: Sequence[str]) -> None:
    """Put lines of running text into `outline`: paragraphs end at empty lines, at list items and at headings."""
    paragraph: list[str] = []
    is_item = False

    def close_paragraph() -> None:
        if paragraph:
            outline.text(_sentences(paragraph, is_item))
            paragraph.clear()

    for at, line in enumerate(lines):
        text = line.strip()
        if not text or _UNDERLINE.match(text):
            close_paragraph()
            is_item = False
            continue
        before = lines[at - 1].strip() if at else ""
        after = lines[at + 1].strip() if at + 1 < len(lines) else ""
        level = heading_level(text, before, after)
        if level:
            close_paragraph()
            outline.heading(level, _NUMBERED.sub("", text) or text)
            is_item = False
        elif item := _ITEM.match(line):
            close_paragraph()
            is_item = True
            paragraph.append(line[item.end() :].strip())
        else:
            paragraph.append(text)
    close_paragraph()


def heading_level(text: str, before: str, after: str) -> int:
    """Level of a heading, 0 for other lines. `before`, `after`: the lines around it, empty where there are none.

    A line that is underlined, is all capitals, or is numbered like a chapter and stands alone.
    """
    if len(text) > MAX_HEADING_CHARACTERS or not any(character.isalpha() for character in text):
        return 0
    if _UNDERLINE.match(after) and len(after) >= len(text) // 2:
        return 1 if after[0] in "=*" else 2
    if text.endswith(_SENTENCE_END):
        return 0
    stands_alone = not after or not before
    if (numbered := _NUMBERED.match(text)) and stands_alone and len(text) <= 60:
        return min(6, 2 + numbered[0].strip().rstrip(".").count("."))
    is_shouted = text.isascii() and text.isupper() and len(text) >= 4 and stands_alone
    return 2 if is_shouted else 0


def joined(lines: Sequence[str]) -> str:
    """Lines of one paragraph as one text: words divided at a line's end are whole again, Chinese gets no spaces."""
    text = ""
    for line in lines:
        if not text:
            text = line
        elif text.endswith("-") and len(text) > 1 and text[-2].islower() and line[:1].islower():
            text = text[:-1] + line
        elif ord(text[-1]) > 0x2E80 and line and ord(line[0]) > 0x2E80:
            text += line
        else:
            text += f" {line}"
    return text


def _sentences(lines: Sequence[str], is_item: bool) -> Iterator[Sentence]:
    for piece in split_sentences(joined(lines)):
        yield Sentence(with_full_stop(piece) if is_item else piece, is_item)
