"""What reading the documents once has cost, kept in SQLite: their text by content hash, and the vectors of chunks.

A cache: a file that is damaged is set aside at the start, and everything is read again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from talkover.engines import EngineFailed
from talkover.knowledge.documents import Document
from talkover.knowledge.loading import LOADER_VERSION
from talkover.resources import cache_folder
from talkover.sections.agent import KnowledgeSettings

log = logging.getLogger(__name__)

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    hash TEXT NOT NULL, path TEXT NOT NULL, loader TEXT NOT NULL, document BLOB, problem TEXT NOT NULL,
    PRIMARY KEY (path, hash, loader)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (
    model TEXT NOT NULL, id TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, id)) WITHOUT ROWID;
"""
BUSY_TIMEOUT_S = 10.0
_MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file of this content turned out to be."""

    document: Document | None
    problem: str = ""
    """why there is no document"""


class Store:
    """One database, used by one thread at a time. Every method raises EngineFailed, such as for a full disk."""

    def __init__(self, path: Path | None) -> None:
        """`path`: made when missing; None keeps everything in memory."""
        self._lock = threading.Lock()
        self._connection = _opened(path)

    def reading(self, path: str, digest: str) -> Reading | None:
        """What is known of the content with this hash at this path."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT document, problem FROM files WHERE path = ? AND hash = ? AND loader = ?",
                (path, digest, LOADER_VERSION),
            ).fetchone()
        if row is None:
            return None
        document, problem = row
        try:
            return Reading(None if document is None else msgspec.msgpack.decode(document, type=Document), problem)
        except (ValueError, RecursionError):
            return None

    def keep(self, path: str, digest: str, reading: Reading) -> None:
        """In the place of what was known of the file."""
        document = None if reading.document is None else msgspec.msgpack.encode(reading.document)
        with self._transaction() as database:
            database.execute("DELETE FROM files WHERE path = ?", (path,))
            database.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?)", (digest, path, LOADER_VERSION, document, reading.problem)
            )

    def forget_all_but(self, paths: Iterable[str]) -> int:
        """How many files were forgotten."""
        kept = set(paths)
        with self._transaction() as database:
            known = [path for (path,) in database.execute("SELECT path FROM files")]
            gone = [(path,) for path in known if path not in kept]
            database.executemany("DELETE FROM files WHERE path = ?", gone)
        return len(gone)

    def vectors(self, model: str) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """(ids, (ids, dimensions)) of an embedding model."""
        with self._transaction() as database:
            rows = database.execute("SELECT id, vector FROM vectors WHERE model = ?", (model,)).fetchall()
        vectors = [np.frombuffer(blob, np.float32) for _, blob in rows]
        return tuple(name for name, _ in rows), np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)

    def add_vectors(self, model: str, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        rows = [(model, name, vector.astype(np.float32).tobytes()) for name, vector in zip(ids, vectors, strict=True)]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def remove_vectors(self, model: str, ids: Iterable[str]) -> None:
        with self._transaction() as database:
            database.executemany("DELETE FROM vectors WHERE model = ? AND id = ?", [(model, name) for name in ids])

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        try:
            with self._lock, self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise EngineFailed(f"the index of the documents cannot be used: {error}") from error


def index_path(knowledge: KnowledgeSettings, folder: Path | None) -> Path | None:
    """The database of a folder of documents; None for no folder, of which nothing is kept."""
    if folder is None and knowledge.uploads is None:
        return None
    folders = "\n".join(str(path.resolve()) for path in (folder, knowledge.uploads) if path is not None)
    digest = blake2b(folders.encode(), digest_size=8).hexdigest()
    parent = knowledge.index if knowledge.index is not None else cache_folder() / "knowledge"
    return parent / f"{digest}.sqlite"


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _connected(_MEMORY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connected(str(path))
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            log.warning("%s: cannot be used (%s); the documents are read anew at every start", path, error)
            return _connected(_MEMORY)
        aside = path.with_suffix(".broken")
        log.warning("%s: is not a usable index (%s); moved to %s and made anew", path, error, aside.name)
        path.replace(aside)
        for log_of_old in ("-wal", "-shm"):  # SQLite would play it into the new file
            path.with_name(path.name + log_of_old).unlink(missing_ok=True)
        return _connected(str(path))
    except OSError as error:
        log.warning("%s: cannot be written (%s); the documents are read anew at every start", path, error.strerror)
        return _connected(_MEMORY)


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _SCHEMA_VERSION):
            connection.executescript("DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS vectors;")
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.commit()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
