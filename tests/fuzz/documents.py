"""Documents of every kind; those our own code reads without the net that `load_document` spans under it, too."""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from random import Random

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated, mutated_zip
from talkover.knowledge.documents import Document, passages
from talkover.knowledge.loading import LOADERS, load_document
from talkover.knowledge.unreadable import Unreadable

_XML = (
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>',
    b"</w:body></w:document>",
)
_BODY = re.compile(rb"\A<w:")


def fuzz_markdown(data: bytes) -> None:
    _read("a.md", data)


def fuzz_plain_text(data: bytes) -> None:
    _read("folder/a.txt", data)


def fuzz_html(data: bytes) -> None:
    _read("stories/a.html", data)


def fuzz_tables(data: bytes) -> None:
    _read("a.csv", data)


def fuzz_pdf(data: bytes) -> None:
    """pypdf raises whatever it likes on a broken file; what is looked for is what no net catches."""
    with contextlib.suppress(Unreadable):
        _check(load_document("a.pdf", data))


def fuzz_docx(data: bytes) -> None:
    """A whole file, or the body of one, which is then put into an archive."""
    with contextlib.suppress(Unreadable):
        _check(load_document("a.docx", _archive(data) if _BODY.match(data) else data))


def _read(path: str, data: bytes) -> None:
    with contextlib.suppress(Unreadable):
        load_document(path, data)
    if data.strip():
        with contextlib.suppress(Unreadable, RecursionError):  # which `load_document` makes Unreadable
            _check(LOADERS[path[path.rindex(".") :]](path, data))


def _check(document: Document) -> None:
    assert all(isinstance(text, str) for text in document.spoken())
    found = passages([document])
    assert document.story or sum(len(passage.sentences) for passage in found) == sum(
        len(section.sentences) for section in document.sections
    )


def _archive(body: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", body.join(_XML))
    return buffer.getvalue()


def _mutated_pdf(data: bytes, random: Random, words: tuple[bytes, ...], max_bytes: int) -> bytes:
    """A change after which the file still begins as one."""
    changed = mutated(data, random, words, max_bytes)
    return changed if b"%PDF-" in changed[:1024] else (b"%PDF-1.4\n" + changed)[:max_bytes]


FUZZERS = (
    Fuzzer("markdown", fuzz_markdown),
    Fuzzer("plain_text", fuzz_plain_text),
    Fuzzer("html", fuzz_html),
    Fuzzer("tables", fuzz_tables),
    Fuzzer("pdf", fuzz_pdf, mutate=_mutated_pdf),
    Fuzzer("docx", fuzz_docx, mutate=mutated_zip),
)
