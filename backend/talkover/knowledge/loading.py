"""From the bytes of a file to a document, by its name. Bytes are not trusted: whatever is wrong with them ends here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import PurePosixPath

from talkover.knowledge.documents import Document, parse_document
from talkover.knowledge.docx_file import load_docx
from talkover.knowledge.html_file import load_html
from talkover.knowledge.pdf_file import load_pdf
from talkover.knowledge.plain_text import decoded, load_text
from talkover.knowledge.table_file import load_table
from talkover.knowledge.unreadable import Unreadable

log = logging.getLogger(__name__)

Loader = Callable[[str, bytes], Document]


def _load_markdown(path: str, content: bytes) -> Document:
    return parse_document(path, decoded(content))


LOADERS: dict[str, Loader] = {
    ".md": _load_markdown,
    ".markdown": _load_markdown,
    ".txt": load_text,
    ".text": load_text,
    ".html": load_html,
    ".htm": load_html,
    ".pdf": load_pdf,
    ".docx": load_docx,
    ".csv": load_table,
    ".tsv": load_table,
}
"""end of the name, lower case -> what reads such a file"""

LOADER_VERSION = "2"
"""changes with what the loaders make of a file, so that an older index is read anew"""


def suffix_of(path: str) -> str:
    """The end of a name that says what it is, in lower case: `.pdf`."""
    return PurePosixPath(path).suffix.lower()


def load_document(path: str, content: bytes) -> Document:
    """The document in `content`; `path` as in Document. Raises Unreadable with what is wrong, in words for a user."""
    loader = LOADERS.get(suffix_of(path))
    if loader is None:
        raise Unreadable(f"must be one of {', '.join(LOADERS)}")
    if not content.strip():
        raise Unreadable("is empty")
    try:
        document = loader(path, content)
    except Unreadable:
        raise
    except RecursionError as error:
        raise Unreadable("is nested too deeply") from error
    except Exception as error:  # parsers of hostile files fail in every way there is; one file must not stop the others
        log.debug("%s", path, exc_info=True)
        raise Unreadable(f"is broken ({type(error).__name__})") from error
    if not document.sections:
        raise Unreadable("holds no text")
    return document
