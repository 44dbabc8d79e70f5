"""What callers agreed to have remembered, in one SQLite file.

Nothing is stored of a caller without consent, and all of it goes with one call. Deleted rows are overwritten
(`secure_delete`) and the write-ahead log is emptied, so that what was deleted is not in the file any more.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from talkover.resources import data_folder

MAX_CALLER_CHARACTERS = 200
MAX_NOTE_CHARACTERS = 500
BUSY_TIMEOUT_S = 2.0
DAY_S = 86_400.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS callers (id TEXT PRIMARY KEY, consented_at REAL NOT NULL, last_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY, caller TEXT NOT NULL REFERENCES callers (id) ON DELETE CASCADE,
    text TEXT NOT NULL, made_at REAL NOT NULL, UNIQUE (caller, text)
);
"""


def memory_file(configured: Path | None) -> Path:
    """Where the file is, or is going to be."""
    return configured if configured is not None else data_folder() / "memory.sqlite"


class MemoryUnavailable(Exception):
    """The file cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing remembered."""

    text: str
    made_at_s: float
    """seconds since the epoch"""


@dataclass(frozen=True, slots=True)
class CallerRecord:
    """All that is stored of a caller."""

    caller: str
    consented_at_s: float
    last_at_s: float
    notes: tuple[Note, ...]


class MemoryStore:
    """Used from any thread, and by other processes at the same time."""

    def __init__(
        self, path: Path, keep_days: float = 365, max_notes: int = 50, clock: Callable[[], float] = time.time
    ) -> None:
        """Opens or makes the file, readable by its owner only. Raises MemoryUnavailable."""
        self._keep_s = keep_days * DAY_S
        self._max_notes = max_notes
        self._clock = clock
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._database = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None
            )
            for pragma in ("journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON", "synchronous = NORMAL"):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.executescript(_SCHEMA)
            self._expire()
        except (OSError, sqlite3.Error) as error:
            raise MemoryUnavailable(f"memory.path: {path} cannot be used: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def consent(self, caller: str) -> None:
        """The caller agrees. Raises ValueError for an empty or an overlong id."""
        if not 0 < len(caller) <= MAX_CALLER_CHARACTERS:
            raise ValueError(f"a caller's id must have 1 to {MAX_CALLER_CHARACTERS} characters, got {len(caller)}")
        now_s = self._clock()
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO callers VALUES (?, ?, ?)", (caller, now_s, now_s))

    def known(self, caller: str) -> tuple[str, ...]:
        """What is remembered, oldest first; a call that begins counts as the newest sign of them."""
        with self._lock:
            self._expire()
            self._database.execute("UPDATE callers SET last_at = ? WHERE id = ?", (self._clock(), caller))
            rows = self._database.execute("SELECT text FROM notes WHERE caller = ? ORDER BY id", (caller,)).fetchall()
        return tuple(text for (text,) in rows)

    def remember(self, caller: str, text: str) -> bool:
        """Store a note; False for a caller who has not consented, or for an empty one."""
        text = " ".join(text.split())[:MAX_NOTE_CHARACTERS]
        with self._lock:
            agreed = self._database.execute("SELECT 1 FROM callers WHERE id = ?", (caller,)).fetchone()
            if agreed is None or not text:
                return False
            self._database.execute(
                "INSERT OR REPLACE INTO notes (caller, text, made_at) VALUES (?, ?, ?)", (caller, text, self._clock())
            )
            self._database.execute(
                "DELETE FROM notes WHERE caller = ?1 AND id NOT IN "
                "(SELECT id FROM notes WHERE caller = ?1 ORDER BY id DESC LIMIT ?2)",
                (caller, self._max_notes),
            )
        return True

    def forget(self, caller: str) -> bool:
        """Delete everything about a caller, consent included; False when there was nothing."""
        with self._lock:
            count = self._database.execute("DELETE FROM callers WHERE id = ?", (caller,)).rowcount
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count > 0

    def export(self, caller: str) -> CallerRecord | None:
        """All that is stored of a caller; None when there is nothing."""
        with self._lock:
            row = self._database.execute("SELECT consented_at, last_at FROM callers WHERE id = ?", (caller,)).fetchone()
            if row is None:
                return None
            notes = self._database.execute(
                "SELECT text, made_at FROM notes WHERE caller = ? ORDER BY id", (caller,)
            ).fetchall()
        return CallerRecord(caller, row[0], row[1], tuple(Note(text, made_at_s) for text, made_at_s in notes))

    def callers(self) -> tuple[str, ...]:
        with self._lock:
            rows = self._database.execute("SELECT id FROM callers ORDER BY last_at DESC").fetchall()
        return tuple(caller for (caller,) in rows)

    def _expire(self) -> None:
        """Delete callers who have not called for too long."""
        oldest_s = self._clock() - self._keep_s
        if self._database.execute("DELETE FROM callers WHERE last_at < ?", (oldest_s,)).rowcount:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
