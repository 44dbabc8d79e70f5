"""The files of a folder that are documents, and what each turned out to be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from talkover.engines import IsStale
from talkover.knowledge.documents import Document
from talkover.knowledge.loading import LOADERS, load_document, suffix_of
from talkover.knowledge.store import Reading, Store
from talkover.knowledge.unreadable import Unreadable

OnFile = Callable[[int, int, str], None]
"""(files done, files in all, path of the one that is next)"""


@dataclass(frozen=True, slots=True)
class Limits:
    max_file_bytes: int = 50 << 20
    max_documents: int = 5000


@dataclass(frozen=True, slots=True)
class FileRead:
    """One file of the folder."""

    path: str
    """relative to the folder, with forward slashes"""
    size_bytes: int
    reading: Reading
    fresh: bool
    """it was read now; else it is known from before"""


def document_paths(folder: Path) -> list[tuple[str, Path]]:
    """(relative path, path) of every file that a loader reads, in order; hidden ones and links out are left out."""
    found: list[tuple[str, Path]] = []
    root = folder.resolve()
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if name.startswith((".", "~$")) or suffix_of(name) not in LOADERS or not path.is_file():
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                continue
            found.append((path.relative_to(root).as_posix(), path))
    return sorted(found)


def read_folder(
    folder: Path, store: Store, limits: Limits, on_file: OnFile | None = None, is_stale: IsStale = lambda: False
) -> Iterator[FileRead]:
    """Every document file, those of known content out of `store`; what cannot be read comes with its problem."""
    paths = document_paths(folder)
    for done, (name, path) in enumerate(paths):
        if is_stale():
            return
        if on_file is not None:
            on_file(done, len(paths), name)
        if done >= limits.max_documents:
            problem = f"is one too many: knowledge.max_documents is {limits.max_documents}"
            yield FileRead(name, 0, Reading(None, problem), fresh=False)
            continue
        yield _read(name, path, store, limits)
    if on_file is not None:
        on_file(len(paths), len(paths), "")


def _read(name: str, path: Path, store: Store, limits: Limits) -> FileRead:
    size = 0
    try:
        size = path.stat().st_size
        if size > limits.max_file_bytes:
            return FileRead(name, size, Reading(None, too_large(size, limits.max_file_bytes)), fresh=False)
        with path.open("rb") as file:
            content = file.read(limits.max_file_bytes + 1)
    except OSError as error:
        return FileRead(name, size, Reading(None, f"cannot be read: {error.strerror}"), fresh=False)
    digest = blake2b(content, digest_size=16).hexdigest()
    known = store.reading(name, digest)
    if known is not None:
        return FileRead(name, size, known, fresh=False)
    reading = reading_of(name, content)
    store.keep(name, digest, reading)
    return FileRead(name, size, reading, fresh=True)


def reading_of(name: str, content: bytes) -> Reading:
    """What the bytes of a file turn out to be."""
    try:
        return Reading(load_document(name, content))
    except Unreadable as error:
        return Reading(None, str(error))


def load_folder(folder: Path, limits: Limits | None = None) -> tuple[Document, ...]:
    """The documents of a folder, read anew."""
    found = read_folder(folder, Store(None), limits or Limits())
    return tuple(file.reading.document for file in found if file.reading.document is not None)


def too_large(size_bytes: int, limit_bytes: int) -> str:
    return f"has {size_bytes / (1 << 20):.1f} MiB, more than {limit_bytes >> 20}"
