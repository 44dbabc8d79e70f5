"""PDF through pypdf: page by page, below its bookmarks, without what stands on every page."""

from __future__ import annotations

import io
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from talkover.knowledge.documents import Document, Outline
from talkover.knowledge.plain_text import add_lines
from talkover.knowledge.unreadable import Unreadable

if TYPE_CHECKING:
    from pypdf import PdfReader

logging.getLogger("pypdf").setLevel(logging.ERROR)  # it warns about every flaw of a file that it reads all the same

MAX_PAGES = 3000
MAX_CHARACTERS = 20_000_000
"""of text: a small file can unpack to gigabytes of it"""
MAX_SECONDS = 120.0
"""some files take pypdf minutes a page"""
MAX_BOOKMARK_DEPTH = 5
RUNNING_LINES = 2
"""lines at the top and the bottom of a page that may be the same on all pages"""

_NUMBER = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"^(?:page\s+|第\s*)?\d{1,4}(?:\s*(?:/|of|页)\s*\d{0,4})?$|^[-–]\s*\d{1,4}\s*[-–]$", re.IGNORECASE
)


def load_pdf(path: str, content: bytes, clock: Callable[[], float] = time.monotonic) -> Document:
    """Raises Unreadable: encrypted, without text (scanned), too long, too slow."""
    from pypdf import PdfReader  # here, because importing it costs every start 0.2 s
    from pypdf.errors import DependencyError

    if b"%PDF-" not in content[:1024]:
        raise Unreadable("is not a PDF")
    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted:
        try:
            opened = reader.decrypt("")
        except (DependencyError, NotImplementedError) as error:
            raise Unreadable("is encrypted") from error
        if not opened:
            raise Unreadable("is encrypted")
    if len(reader.pages) > MAX_PAGES:
        raise Unreadable(f"has {len(reader.pages)} pages, more than {MAX_PAGES}")
    started_s = clock()
    pages: list[list[str]] = []
    n_characters = 0
    for page in reader.pages:
        if clock() - started_s > MAX_SECONDS:
            raise Unreadable(f"takes more than {MAX_SECONDS:.0f} s to read")
        text = page.extract_text()
        n_characters += len(text)
        if n_characters > MAX_CHARACTERS:
            raise Unreadable(f"holds more than {MAX_CHARACTERS} characters")
        pages.append([line.rstrip() for line in text.splitlines()])
    if not any(line.strip() for lines in pages for line in lines):
        raise Unreadable("holds no text, only pictures; run text recognition (OCR) over it first")
    metadata = reader.metadata
    outline = Outline((metadata.title or "").strip() if metadata is not None else "")
    bookmarks = _bookmarks(reader)
    for number, lines in enumerate(without_running_lines(pages), 1):
        for level, title in bookmarks.get(number, ()):
            outline.heading(level, title)
        outline.place(f"page {number}")
        titles = {title for _, title in bookmarks.get(number, ())}
        add_lines(outline, [line for line in lines if line.strip() not in titles])
    return outline.document(path)


def without_running_lines(pages: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Pages without page numbers, and without lines at their edges that most pages have (numbers in them aside)."""
    edges = Counter(form for lines in pages for form in {_form(line) for _, line in _edge(lines)})
    running = {form for form, count in edges.items() if len(pages) >= 3 and count > len(pages) / 2}
    for lines in pages:
        dropped = {
            at for at, line in _edge(lines) if _form(line) in running or _PAGE_NUMBER.match(line.strip()) is not None
        }
        yield [line for at, line in enumerate(lines) if at not in dropped]


def _edge(lines: Sequence[str]) -> list[tuple[int, str]]:
    written = [(at, line) for at, line in enumerate(lines) if line.strip()]
    if len(written) <= 2 * RUNNING_LINES:
        return [*written[:1], *written[-1:]] if len(written) > 2 else []
    return [*written[:RUNNING_LINES], *written[-RUNNING_LINES:]]


def _form(line: str) -> str:
    return _NUMBER.sub("#", " ".join(line.split()).lower())


def _bookmarks(reader: PdfReader) -> dict[int, list[tuple[int, str]]]:
    """Page number from 1 -> (level from 2, title) of the bookmarks that point to it; empty where they are broken."""
    found: dict[int, list[tuple[int, str]]] = {}

    def collect(entries: Sequence[Any], level: int) -> None:
        for entry in entries:
            if isinstance(entry, list):
                if level < MAX_BOOKMARK_DEPTH + 1:
                    collect(entry, level + 1)
                continue
            number = reader.get_destination_page_number(entry)
            title = " ".join(str(entry.title or "").split())
            if number is not None and number >= 0 and title:
                found.setdefault(number + 1, []).append((level, title))

    try:
        collect(reader.outline, 2)
    except Exception:  # bookmarks are an extra: whatever is wrong with them, the pages can be read
        return {}
    return found
