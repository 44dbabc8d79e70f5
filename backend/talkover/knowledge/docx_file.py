"""Word documents: turned into HTML by mammoth, which knows Word's headings, lists and tables, and read as such."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from talkover.knowledge.documents import Document
from talkover.knowledge.html_file import document_of_markup
from talkover.knowledge.unreadable import Unreadable

MAX_UNPACKED_BYTES = 200 << 20
"""a small archive can hold a text that fills the memory"""
MAX_TEXT_BYTES = 40 << 20
"""of `word/document.xml`, which is parsed as a whole"""

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TITLE_STYLE = "p[style-name='Title'] => h1:fresh"


def load_docx(path: str, content: bytes) -> Document:
    """Raises Unreadable."""
    import mammoth  # here, because few starts need it

    if content.startswith(_OLE_MAGIC):  # an encrypted .docx is wrapped into the container of the old formats
        raise Unreadable("is encrypted, or in the format of Word 97-2003; save it as .docx without a password")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise Unreadable("is not a Word document") from error
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES or any(
        entry.filename.endswith(".xml") and entry.file_size > MAX_TEXT_BYTES for entry in entries
    ):
        raise Unreadable("unpacks to more than can be read")
    if not any(entry.filename == "word/document.xml" for entry in entries):
        raise Unreadable("is not a Word document")
    # Word declares no entities, and a few lines of them can stand for gigabytes; a part of any name may be XML, and
    # in UTF-16 there are zeros between the letters
    if any(b"<!DOCTYPE" in archive.read(entry).replace(b"\0", b"") for entry in entries):
        raise Unreadable("is not a Word document: it declares entities")
    result: Any = mammoth.convert_to_html(
        io.BytesIO(content),
        style_map=_TITLE_STYLE,
        convert_image=mammoth.images.img_element(_no_picture),
        include_embedded_style_map=False,
        external_file_access=False,
    )
    return document_of_markup(str(result.value), path)


def _no_picture(_picture: object) -> dict[str, str]:
    """Attributes of an image in the HTML: none, so that its bytes are never read."""
    return {}
