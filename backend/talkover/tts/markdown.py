"""Takes the Markdown out of streamed LLM text, segment by segment: what is left can be read and spoken.

A segment may hold half of anything, so marks are dropped one by one and not in pairs. Only what spans segments is
remembered: an open code block, whether the next segment begins a line, and blanks between segments.
"""

from __future__ import annotations

import html
import re

CODE_BLOCK = "\ufffc"
"""stands for a code block, which is not read aloud (U+FFFC OBJECT REPLACEMENT CHARACTER)"""

_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_INLINE_FENCE = re.compile(r"```.*?```", re.DOTALL)
_TABLE_RULE = re.compile(r"(?=.*\|)\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_RULE = re.compile(r"\s*(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,}|={3,})")
_QUOTE = re.compile(r"^\s{0,3}(?:>\s?)+")
_HEADING = re.compile(r"^\s{0,3}#{1,6}(?:\s+|$)")
_CLOSING_HASHES = re.compile(r"\s+#+\s*$")
_BULLET = re.compile(r"^\s*[-*+•‣▪]\s+(?:\[[ xX]\]\s+)?")

_NUMBER = re.compile(r"\s*\d{1,3}[.)]\s")

_COMMENT = re.compile(r"<!--.*?(?:-->|$)", re.DOTALL)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9:-]*(?:\s+[^\s<>=]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s<>]+))?)*\s*/?>")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)?[^\s<>]+[.@:][^\s<>]+)>")
_IMAGE_OR_LINK = re.compile(r"!?\[([^\[\]]*)\]\(\s*<?[^()\s]*(?:\([^()\s]*\)[^()\s]*)*>?(?:\s+[\"'][^\"']*[\"'])?\s*\)")
_HALF_LINK = re.compile(r"\]\((?:https?:)?[^\s()]*$")
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\[[^\[\]]*\]")
_CITATION = re.compile(r"\s*(?:\[\^?\d{1,3}(?:\s*[,–-]\s*\d{1,3})*\]|\[\^[^\]]*\]|【[^【】]*†[^【】]*】|【\d{1,3}】)")
_STRONG = re.compile(r"(?<!\\)(?:\*{2,3}|~~|(?<!\w)_{2,3}|_{2,3}(?!\w))")
_EMPHASIS = re.compile(r"(?<!\\)(?:(?<![\w*])\*(?=\S)|(?<=[^\s*])\*(?!\w)|(?<!\w)_(?=\w)|(?<=[^\s_])_(?!\w))")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!~>|<$])")
_MATH = re.compile(r"\\[()\[\]]|\$\$")
_SHORTCODE = re.compile(r"(?<![\w:]):[a-z][a-z_]+:(?![\w:])")
_EMOTICON = re.compile(r"(?<![\w(])[:;=8][-o']?[)(DPp](?![\w)])")

# Emoji_Presentation and pictographs of Unicode emoji-data.txt with what joins and modifies them; ©, ® and arrows stay
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\U0001fb00-\U0001fbff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\ufe0e\ufe0f\u20e3\u200d\U000e0020-\U000e007f]+"
)
# controls but tab and line break, lone surrogates, private use, zero-width and direction marks, noncharacters
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\ufffe\uffff"
    "\ue000-\uf8ff\ud800-\udfff\U000f0000-\U0010ffff]"
)
_BLANKS = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f]+")
_BLANK_BEFORE_STOP = re.compile(r" +(?=[,.;:!?，。；：！？](?:\s|$))")


class MarkdownStripper:
    """Plain text of one response, segment by segment."""

    def __init__(self) -> None:
        self._in_code = False
        self._at_line_start = True
        self._separator: str | None = None
        """blank or line break to put before the next text; None before the first"""

    def strip(self, segment: str) -> str:
        """The segment without marks, emoji, citations and tags; "" when nothing is left.

        The results of successive segments joined are readable: a blank or a line break between two of them leads the
        second one. A code block becomes one `CODE_BLOCK`.
        """
        segment = segment.replace("\r\n", "\n").replace("\r", "\n")
        segment = _BLANKS.sub(" ", _INVISIBLE.sub("", segment))
        begins_with_blank = segment[:1].isspace()
        plain = ""
        is_new_block = False
        for index, line in enumerate(segment.split("\n")):
            if index > 0:
                self._at_line_start = True
            text, begins_block, ends_block = self._line(line)
            self._at_line_start = self._at_line_start and not line.strip()
            if text.strip():
                plain += ("\n" if begins_block or is_new_block else " ") + text if plain else text
                is_new_block = False
            is_new_block = is_new_block or ends_block
        plain = _inline(plain)
        if not plain:
            if self._separator is not None and begins_with_blank:
                self._separator = "\n" if "\n" in segment else self._separator or " "
            return ""
        lead = ""
        if self._separator is not None:
            has_break = "\n" in segment[: len(segment) - len(segment.lstrip())] or self._separator == "\n"
            lead = "\n" if has_break else " " if begins_with_blank else self._separator
        has_break = "\n" in segment[len(segment.rstrip()) :]
        self._separator = "\n" if has_break else " " if segment[-1:].isspace() else ""
        return lead + plain

    def _line(self, line: str) -> tuple[str, bool, bool]:
        """One line, or the part of one that the segment holds: without marks, begins a block, ends one."""
        if not self._at_line_start:
            return ("" if self._in_code else line), False, False
        if _FENCE.match(line) and not _INLINE_FENCE.search(line):
            self._in_code = not self._in_code
            return (CODE_BLOCK if self._in_code else ""), True, True
        if self._in_code or not line.strip() or _TABLE_RULE.fullmatch(line) or _RULE.fullmatch(line):
            return "", True, True
        line, n_quotes = _QUOTE.subn("", line, count=1)
        line, n_headings = _HEADING.subn("", line, count=1)
        if n_headings:
            line = _CLOSING_HASHES.sub("", line)
        line, n_bullets = _BULLET.subn("", line, count=1)
        is_row = line.lstrip().startswith("|")
        if is_row:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            line = ", ".join(cell for cell in cells if cell)
        begins_block = bool(n_headings or n_bullets or is_row or _NUMBER.match(line))
        return line, begins_block and not n_quotes, bool(n_headings) or is_row


def _inline(text: str) -> str:
    """Text without the marks that stand within a line."""
    text = _INLINE_FENCE.sub(CODE_BLOCK, text)
    text = _COMMENT.sub("", text)
    text = _BREAK.sub(" ", text)
    text = _AUTOLINK.sub(r"\1", text)
    text = _TAG.sub("", text)
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _HALF_LINK.sub("", text)
    text = _CITATION.sub("", text)
    text = _REFERENCE.sub(r"\1", text)
    text = _SHORTCODE.sub("", text)
    text = _EMOJI.sub("", text)
    text = _EMOTICON.sub("", text)
    text = _STRONG.sub("", text)
    text = _EMPHASIS.sub("", text).replace("`", "")
    text = _MATH.sub("", text)
    text = _ESCAPE.sub(r"\1", text)
    text = html.unescape(text) if "&" in text else text
    text = _INVISIBLE.sub("", text)
    text = _BLANKS.sub(" ", text)
    text = _BLANK_BEFORE_STOP.sub("", text)
    return "\n".join(line.strip() for line in text.split("\n")).strip()
