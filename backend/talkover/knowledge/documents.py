"""A folder of Markdown files as documents that can be spoken: titles, sections, sentences.

Small to big: a `Passage` is what is searched (a section, or about 90 words of a long one), its `Section` is what an
answer may go on into, its `Document` is what is read aloud. A comment below a heading names other ways to ask for that
section: `<!-- asked: Can I run it offline? Does it need wifi? -->`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from talkover.knowledge.sentences import split_sentences, with_full_stop

log = logging.getLogger(__name__)

STORIES_FOLDER = "stories"
"""files below a folder of this name are read aloud on request, and never searched for answers"""
MAX_FILES = 2000
MAX_FILE_BYTES = 2_000_000
PASSAGE_WORDS = 90

TEXT, ASKED = 0, -1
"""kinds of block beside the heading levels 1 to 6"""

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_FRONT_MATTER_TITLE = re.compile(r"^title:\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE)
_ASKED = re.compile(r"<!--\s*asked:(.*?)-->", re.DOTALL | re.IGNORECASE)
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a document; `item`: it stood in a list or a table and does not need its neighbours."""

    text: str
    item: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below one heading."""

    headings: tuple[str, ...]
    """from the outermost below the title to its own; empty before the first"""
    sentences: tuple[Sentence, ...]
    asked: tuple[str, ...] = ()
    """other ways to ask for it, from `<!-- asked: ... -->`: searched, never spoken"""

    @property
    def heading(self) -> str:
        return self.headings[-1] if self.headings else ""


@dataclass(frozen=True, slots=True)
class Document:
    """One file."""

    path: str
    """relative to the folder, with forward slashes"""
    title: str
    sections: tuple[Section, ...]
    story: bool = False

    def spoken(self) -> Iterator[str]:
        """All of it, sentence by sentence, as it is read aloud."""
        yield with_full_stop(self.title)
        for section in self.sections:
            if section.heading:
                yield with_full_stop(section.heading)
            for sentence in section.sentences:
                yield sentence.text


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit of search."""

    document: Document
    section: Section
    first: int
    """index of its first sentence in the section"""
    sentences: tuple[Sentence, ...]


def load_documents(folder: Path) -> tuple[Document, ...]:
    """Every `*.md` below `folder`, in order of their paths; hidden ones and those that cannot be read are left out."""
    documents: list[Document] = []
    paths = sorted(path for path in folder.rglob("*.md") if path.is_file())
    if len(paths) > MAX_FILES:
        log.warning("knowledge.path: reads the first %d of %d documents", MAX_FILES, len(paths))
    for path in paths[:MAX_FILES]:
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts):
            continue
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                log.warning("%s: is larger than %d bytes and is left out", path, MAX_FILE_BYTES)
                continue
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            log.warning("%s: cannot be read and is left out: %s", path, error.strerror)
            continue
        document = parse_document(relative.as_posix(), text)
        if document.sections:
            documents.append(document)
    return tuple(documents)


def parse_document(path: str, text: str) -> Document:
    """The speakable part of one Markdown file: code blocks and HTML are left out."""
    title = ""
    front_matter = _FRONT_MATTER.match(text)
    if front_matter:
        text = text[front_matter.end() :]
        named = _FRONT_MATTER_TITLE.search(front_matter[1])
        title = named[1] if named else ""
    sections: list[Section] = []
    headings: dict[int, str] = {}
    sentences: list[Sentence] = []
    asked: list[str] = []

    def close_section() -> None:
        if sentences:
            own = tuple(headings[level] for level in sorted(headings))
            sections.append(Section(own, tuple(sentences), tuple(asked)))
        sentences.clear()
        asked.clear()

    for level, content in _blocks(_MARKDOWN.parse(text)):
        if level == ASKED:
            asked += [sentence.text for sentence in content]
            continue
        if level == TEXT:
            sentences += content
            continue
        close_section()
        heading = " ".join(sentence.text for sentence in content)
        headings = {outer: kept for outer, kept in headings.items() if outer < level}
        if level == 1 and not title:
            title = heading
        else:
            headings[level] = heading
    close_section()
    stem = path.rsplit("/", 1)[-1].removesuffix(".md")
    title = title or stem.replace("-", " ").replace("_", " ").capitalize()
    return Document(path, title, tuple(sections), story=STORIES_FOLDER in path.split("/")[:-1])


def passages(documents: Sequence[Document]) -> tuple[Passage, ...]:
    """What can be searched: all but the stories."""
    return tuple(
        passage
        for document in documents
        if not document.story
        for section in document.sections
        for passage in _section_passages(document, section)
    )


def _section_passages(document: Document, section: Section) -> Iterator[Passage]:
    start = words = 0
    for at, sentence in enumerate(section.sentences):
        length = len(sentence.text.split()) if sentence.text.isascii() else len(sentence.text) // 3 + 1
        if words and words + length > PASSAGE_WORDS:
            yield Passage(document, section, start, section.sentences[start:at])
            start, words = at, 0
        words += length
    yield Passage(document, section, start, section.sentences[start:])


def _blocks(tokens: Sequence[Token]) -> Iterator[tuple[int, list[Sentence]]]:
    """(heading level, TEXT or ASKED; sentences) per block."""
    level = lists = 0
    cells: list[str] | None = None
    header: list[str] = []
    for token in tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1])
            case "heading_close":
                level = 0
            case "bullet_list_open" | "ordered_list_open":
                lists += 1
            case "bullet_list_close" | "ordered_list_close":
                lists -= 1
            case "html_block":
                for comment in _ASKED.findall(token.content):
                    yield ASKED, [Sentence(question) for question in split_sentences(comment)]
            case "table_open":
                header = []
            case "tr_open":
                cells = []
            case "tr_close":
                if header and cells:
                    yield TEXT, [Sentence(_spoken_row(header, cells), item=True)]
                header, cells = header or cells or [], None
            case "inline":
                text = _inline_text(token.children or [])
                if cells is not None:
                    cells.append(text)
                elif level:
                    yield level, [Sentence(text)]
                elif lists:
                    pieces = split_sentences(text)
                    yield TEXT, [Sentence(with_full_stop(piece), item=True) for piece in pieces]
                else:
                    yield TEXT, [Sentence(with_full_stop(piece)) for piece in split_sentences(text)]
            case _:
                pass


def _spoken_row(header: Sequence[str], cells: Sequence[str]) -> str:
    """`| Espresso | 2.50 |` below `| Drink | Price |` is "Espresso: price 2.50."."""
    named = [f"{name[:1].lower()}{name[1:]} {cell}".strip() for name, cell in zip(header, cells, strict=False) if cell]
    if cells and cells[0]:
        rest = ", ".join(named[1:])
        return with_full_stop(f"{cells[0]}: {rest}" if rest else cells[0])
    return with_full_stop(", ".join(named))


def _inline_text(children: Sequence[Token]) -> str:
    pieces: list[str] = []
    for child in children:
        if child.type in ("text", "code_inline"):
            pieces.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            pieces.append(" ")
        elif child.type == "image":
            pieces.append(child.content)
    return " ".join("".join(pieces).split())
