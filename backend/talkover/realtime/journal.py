"""Conversations on disk, so that they survive the process: SQLite in WAL mode, one thread that writes.

Sessions hand over what has changed, and a commit every quarter of a second takes all of it together; what comes in
between replaces what still waits, so that nothing queues. A commit in WAL mode with `synchronous = NORMAL` is one
append to a file without a sync: it lies in the kernel's cache, which outlives `kill -9`. Only when the machine loses
power are the last commits lost (up to some 1000 pages, the size at which SQLite syncs and checkpoints); the file stays
sound, since WAL frames carry checksums.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from talkover.realtime.resume_token import is_same

log = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.25
BUSY_TIMEOUT_S = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, state BLOB NOT NULL, token_hash TEXT UNIQUE, identity TEXT NOT NULL,
    expires_at REAL NOT NULL, away_since REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE, id TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (session, id)
) WITHOUT ROWID;
"""


class JournalUnavailable(Exception):
    """The file cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What has changed of one session since the last record of it."""

    session_id: str
    state: bytes
    """whole"""
    items: Mapping[str, bytes | None]
    """id -> what is kept of it; None: it is gone"""
    token_hash: str | None
    identity: str
    expires_at: float
    """seconds since the epoch"""

    def after(self, earlier: Record | None) -> Record:
        """Both together."""
        return self if earlier is None else replace(self, items={**earlier.items, **self.items})


@dataclass(frozen=True, slots=True)
class Stored:
    """One session, as it was read."""

    session_id: str
    state: bytes
    items: tuple[bytes, ...]
    """in any order"""


@dataclass(slots=True)
class _Pending:
    """What waits for the next commit."""

    records: dict[str, Record] = field(default_factory=dict[str, Record])
    forgotten: set[str] = field(default_factory=set[str])

    def __bool__(self) -> bool:
        return bool(self.records or self.forgotten)


class Journal:
    """Used from any thread. Bounded: one record waits per session."""

    def __init__(
        self, path: Path, window_s: float, on_error: Callable[[], None], clock: Callable[[], float] = time.time
    ) -> None:
        """Opens or makes the file, readable by its owner only. `window_s`: how long a session waits for its client.

        What it holds is of a process that has ended: those clients may come back from now on. Raises
        JournalUnavailable.
        """
        self._path = path
        self._window_s = window_s
        self._on_error = on_error
        self._clock = clock
        self._changed = threading.Condition()
        self._pending = _Pending()
        self._failing = False
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._database = self._open()
            self._database.executescript(_SCHEMA)
            with self._database:
                self._database.execute("UPDATE sessions SET away_since = ? WHERE away_since IS NULL", (clock(),))
                self._expire()
        except (OSError, sqlite3.Error) as error:
            raise JournalUnavailable(f"resume.path: {path} cannot be used: {error}") from error
        self._using = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Keep it with the next commit. Does not wait."""
        with self._changed:
            if not self._closed:
                self._pending.forgotten.discard(record.session_id)
                self._pending.records[record.session_id] = record.after(self._pending.records.get(record.session_id))
                self._changed.notify()

    def forget(self, session_id: str) -> None:
        """Delete all that is kept of a session with the next commit. Does not wait."""
        with self._changed:
            self._pending.records.pop(session_id, None)
            self._pending.forgotten.add(session_id)
            self._changed.notify()

    def claim(self, token_hash: str, identity: str) -> Stored | None:
        """The session that a client comes back to, once; None when there is none. Waits for the disk.

        Sessions of this process are in it, too: ask those first. Raises JournalUnavailable.
        """
        try:
            with self._using, self._database:
                self._expire()
                row = self._database.execute(
                    "SELECT id, state, identity FROM sessions WHERE token_hash = ? AND away_since IS NOT NULL",
                    (token_hash,),
                ).fetchone()
                if row is None or not is_same(row[2], identity):
                    return None
                session_id, state, _ = row
                self._database.execute(
                    "UPDATE sessions SET token_hash = NULL, away_since = NULL WHERE id = ?", (session_id,)
                )
                items = self._database.execute("SELECT body FROM items WHERE session = ?", (session_id,)).fetchall()
        except sqlite3.Error as error:
            raise JournalUnavailable(f"{self._path} cannot be read: {error}") from error
        return Stored(session_id, state, tuple(body for (body,) in items))

    def close(self) -> None:
        """Write what waits, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._database.close()

    # ------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        next_expiry_s = 0.0
        while True:
            with self._changed:
                if not self._pending and not self._closed:
                    self._changed.wait(self._window_s)
                pending, self._pending = self._pending, _Pending()
                closed = self._closed
            is_due = time.monotonic() >= next_expiry_s
            if is_due:
                next_expiry_s = time.monotonic() + self._window_s
            if (pending or is_due) and not self._commit(pending):
                self._put_back(pending)
            if closed:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._closed, COMMIT_INTERVAL_S)

    def _commit(self, pending: _Pending) -> bool:
        """One transaction; False when the disk did not take it."""
        try:
            with self._using:
                with self._database:
                    for record in pending.records.values():
                        self._write(record)
                    for session_id in pending.forgotten:
                        self._database.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
                    expired = self._expire()
                if pending.forgotten or expired:  # what was said is not to be found in the log either
                    self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            if not self._failing:
                log.error("journal: %s cannot be written (%s); calls go on, and would not survive", self._path, error)
            self._failing = True
            self._on_error()
            return False
        if self._failing:
            log.warning("journal: %s is written again", self._path)
            self._failing = False
        return True

    def _put_back(self, pending: _Pending) -> None:
        """Try it again with what has come since."""
        with self._changed:
            for session_id, record in pending.records.items():
                newer = self._pending.records.get(session_id)
                if session_id not in self._pending.forgotten:
                    self._pending.records[session_id] = record if newer is None else newer.after(record)
            self._pending.forgotten |= pending.forgotten - self._pending.records.keys()

    def _write(self, record: Record) -> None:
        self._database.execute(
            "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, NULL) ON CONFLICT (id) DO UPDATE SET "
            "state = ?2, token_hash = ?3, identity = ?4, expires_at = ?5, away_since = NULL",
            (record.session_id, record.state, record.token_hash, record.identity, record.expires_at),
        )
        kept = [(record.session_id, item_id, body) for item_id, body in record.items.items() if body is not None]
        gone = [(record.session_id, item_id) for item_id, body in record.items.items() if body is None]
        self._database.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", kept)
        self._database.executemany("DELETE FROM items WHERE session = ? AND id = ?", gone)

    def _expire(self) -> int:
        """Delete sessions whose client has not come back, or whose time was over. Returns how many."""
        now_s = self._clock()
        return self._database.execute(
            "DELETE FROM sessions WHERE expires_at < ?1 OR away_since < ?1 - ?2", (now_s, self._window_s)
        ).rowcount

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level="IMMEDIATE"
        )
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON", "synchronous = NORMAL"):
            database.execute(f"PRAGMA {pragma}")
        return database
