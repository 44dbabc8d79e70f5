"""Documents that can be searched and spoken: titles, sections, sentences; and how a Markdown file becomes one.

Small to big: a `Passage` is what is searched (a section, or about 90 words of a long one), its `Section` is what an
answer may go on into, its `Document` is what is read aloud. A comment below a heading names other ways to ask for that
section: `<!-- asked: Can I run it offline? Does it need wifi? -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from talkover.knowledge.sentences import split_sentences, with_full_stop

STORIES_FOLDER = "stories"
"""files below a folder of this name are read aloud on request, and never searched for answers"""
PASSAGE_WORDS = 90
MAX_SENTENCE_WORDS = 80
"""what has no end mark for longer is a listing or a broken extraction, and is cut"""
_CUT_WINDOW = 16 * MAX_SENTENCE_WORDS
"""characters that are too many for one piece in any script: where to cut is decided from so many"""

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
    location: str = ""
    """where in the file, in words such as `page 3` or `row 12`; empty where the heading tells"""

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


class Outline:
    """Headings and text, in the order in which a file has them, on their way to sections."""

    def __init__(self, title: str = "") -> None:
        """`title`: what the file says of itself; empty: its first heading of level 1, else its name."""
        self._title = title
        self._headings: dict[int, str] = {}
        self._sections: list[Section] = []
        self._sentences: list[Sentence] = []
        self._asked: list[str] = []
        self._location = ""

    def heading(self, level: int, text: str) -> None:
        """Begin a section. `level`: 1 to 6."""
        self._close_section()
        self._headings = {outer: kept for outer, kept in self._headings.items() if outer < level}
        if level == 1 and not self._title:
            self._title = text
        else:
            self._headings[level] = text

    def text(self, sentences: Iterable[Sentence]) -> None:
        for sentence in sentences:
            self._sentences += (Sentence(piece, sentence.item) for piece in _cut(sentence.text))

    def asked(self, questions: Iterable[str]) -> None:
        """Other ways to ask for this section."""
        self._asked += questions

    def place(self, location: str) -> None:
        """What follows stands there: a section of its own below the same headings."""
        self._close_section()
        self._location = location

    def document(self, path: str) -> Document:
        """All of it. `path`: see Document."""
        self._close_section()
        folders, name = path.split("/")[:-1], path.rsplit("/", 1)[-1]
        stem = name.rsplit(".", 1)[0] or name
        title = self._title or stem.replace("-", " ").replace("_", " ").capitalize()
        return Document(path, title, tuple(self._sections), story=STORIES_FOLDER in folders)

    def _close_section(self) -> None:
        if self._sentences:
            own = tuple(self._headings[level] for level in sorted(self._headings))
            self._sections.append(Section(own, tuple(self._sentences), tuple(self._asked), self._location))
        self._sentences.clear()
        self._asked.clear()


def parse_document(path: str, text: str) -> Document:
    """The speakable part of one Markdown file: code blocks and HTML are left out."""
    title = ""
    front_matter = _FRONT_MATTER.match(text)
    if front_matter:
        text = text[front_matter.end() :]
        named = _FRONT_MATTER_TITLE.search(front_matter[1])
        title = named[1] if named else ""
    outline = Outline(title)
    for level, content in _blocks(_MARKDOWN.parse(text)):
        if level == ASKED:
            outline.asked(sentence.text for sentence in content)
        elif level == TEXT:
            outline.text(content)
        else:
            outline.heading(level, " ".join(sentence.text for sentence in content))
    return outline.document(path)


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
        length = word_count(sentence.text)
        if words and words + length > PASSAGE_WORDS:
            yield Passage(document, section, start, section.sentences[start:at])
            start, words = at, 0
        words += length
    yield Passage(document, section, start, section.sentences[start:])


def word_count(text: str) -> int:
    """Words, where text without spaces between them counts one for three characters, and a listing one for twelve."""
    return max(len(text.split()), len(text) // 12) if text.isascii() else len(text) // 3 + 1


def _cut(text: str) -> Iterator[str]:
    """Pieces of at most MAX_SENTENCE_WORDS, between words where there are any."""
    at = 0
    while word_count(ahead := text[at : at + _CUT_WINDOW]) > MAX_SENTENCE_WORDS:
        size = 6 * MAX_SENTENCE_WORDS if ahead.isascii() else 3 * (MAX_SENTENCE_WORDS - 1)
        while word_count(ahead[:size]) > MAX_SENTENCE_WORDS:
            size //= 2
        space = ahead.rfind(" ", size // 2, size)
        end = space if space > 0 else size
        yield ahead[:end].strip()
        at += end
        at += len(text[at : at + _CUT_WINDOW]) - len(text[at : at + _CUT_WINDOW].lstrip())
    yield text[at:].strip() if at else text


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
                    yield TEXT, [Sentence(spoken_row(header, cells), item=True)]
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


def spoken_row(header: Sequence[str], cells: Sequence[str]) -> str:
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
