"""HTML as a document: the main text below its headings, without navigation, scripts and forms."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from talkover.knowledge.documents import Document, Outline, Sentence, spoken_row
from talkover.knowledge.plain_text import decoded
from talkover.knowledge.sentences import split_sentences, with_full_stop
from talkover.knowledge.unreadable import Unreadable

MAX_NODES = 200_000
MAX_DEPTH = 200
"""of elements in each other; what lies deeper is left out"""

_LEFT_OUT = (
    "script", "style", "noscript", "template", "nav", "header", "footer", "aside", "form", "button", "select", "svg",
    "iframe", "object", "dialog", "[hidden]", "[aria-hidden=true]", "[role=navigation]", "[role=banner]",
    "[role=contentinfo]", "pre",
)  # fmt: skip
_CHARSET = re.compile(rb"""charset=["']?([\w-]+)""", re.IGNORECASE)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    ("p", "div", "section", "article", "main", "ul", "ol", "dl", "blockquote", "figure", "body", "table", "details")
)
_ITEMS = frozenset(("li", "dd", "figcaption"))
_ASKED = "dt"


def load_html(path: str, content: bytes) -> Document:
    """Raises Unreadable."""
    return document_of_markup(_text(content), path)


def document_of_markup(markup: str, path: str) -> Document:
    """The main part where one is marked, else all of the body. Raises Unreadable."""
    tree = LexborHTMLParser(markup)
    title = tree.css_first("title")
    tree.strip_tags(list(_LEFT_OUT))
    root = tree.css_first("main") or tree.css_first("article") or tree.body
    if root is None:
        raise Unreadable("holds no text")
    outline = Outline(_folded(title.text()) if title is not None and root.css_first("h1") is None else "")
    _Walk(outline).visit(root, 0)
    return outline.document(path)


class _Walk:
    """One pass through the tree, in the order of the text."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._nodes = 0

    def visit(self, node: LexborNode, depth: int, is_item: bool = False) -> None:
        """Put a block element into the outline; text directly in it counts as a paragraph of its own."""
        inline: list[str] = []
        for child in node.iter(include_text=True):
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise Unreadable(f"has more than {MAX_NODES} elements")
            tag = child.tag or ""
            if not self._is_block(child, tag):
                inline.append(" " if tag == "br" else child.text(deep=True))
                continue
            self._paragraph(inline, is_item)
            if tag in _HEADINGS:
                if text := _folded(child.text(deep=True)):
                    self._outline.heading(_HEADINGS[tag], text)
            elif tag == "table" and child.css_first("td table, th table") is None:
                self._outline.text(_rows(child))
            elif tag == _ASKED:
                self._outline.text([Sentence(with_full_stop(_folded(child.text(deep=True))), item=True)])
            elif depth < MAX_DEPTH:
                self.visit(child, depth + 1, is_item or tag in _ITEMS)
        self._paragraph(inline, is_item)

    def _is_block(self, node: LexborNode, tag: str) -> bool:
        if tag in _HEADINGS or tag in _BLOCKS or tag in _ITEMS or tag == _ASKED:
            return True
        # an unknown or inline element around blocks, as custom elements are
        return tag not in ("-text", "br") and node.css_first("p, div, h1, h2, h3, li, table") is not None

    def _paragraph(self, inline: list[str], is_item: bool) -> None:
        text = _folded("".join(inline))
        inline.clear()
        if any(character.isalnum() for character in text):
            self._outline.text(Sentence(with_full_stop(piece), is_item) for piece in split_sentences(text))


def _rows(table: LexborNode) -> Iterator[Sentence]:
    header: list[str] = []
    for row in table.css("tr"):
        cells = [_folded(cell.text(deep=True)) for cell in row.css("th, td")]
        if not any(cells):
            continue
        if not header and row.css_first("th") is not None and row.css_first("td") is None:
            header = cells
        elif header:
            yield Sentence(spoken_row(header, cells), item=True)
        else:
            yield Sentence(
                with_full_stop(": ".join(filter(None, (cells[0], ", ".join(filter(None, cells[1:])))))), True
            )


def _text(content: bytes) -> str:
    """By the encoding that the page declares, where there is such a one."""
    declared = _CHARSET.search(content[:2048])
    try:
        return content.decode(declared[1].decode("ascii") if declared else "")
    except (LookupError, UnicodeDecodeError):
        return decoded(content)


def _folded(text: str) -> str:
    return " ".join(text.split())
