"""Conversations on disk: what is there after the process is gone, who gets it back, and what a full disk does."""

from __future__ import annotations

import hmac
import logging
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, wait_until
from talkover.realtime import resume_token
from talkover.realtime.journal import Journal, JournalUnavailable, Record
from talkover.realtime.keeper import KEEP_INTERVAL_S, SessionKeeper
from talkover.realtime.resume_token import digest, new_token, presented
from talkover.realtime.snapshot import decode

NOW_S = 1_000_000.0
Open = Callable[..., Journal]


def record(session_id: str = "sess_1", token: str | None = "token", **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "session_id": session_id,
        "state": b"state",
        "items": {"item_1": b"one", "item_2": b"two"},
        "token_hash": None if token is None else digest(token),
        "identity": "mine",
        "expires_at": NOW_S + 3600,
    }
    return Record(**(fields | changes))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Open]:
    """`journal(now_s=..., window_s=...)` opens the one file of the test."""
    with ExitStack() as stack:

        def opened(now_s: float = NOW_S, window_s: float = 30, errors: list[int] | None = None) -> Journal:
            noted = [] if errors is None else errors
            return stack.enter_context(
                closing(Journal(tmp_path / "calls.sqlite", window_s, lambda: noted.append(1), lambda: now_s))
            )

        yield opened


def rows(tmp_path: Path, table: str = "sessions") -> int:
    """What another process sees: committed rows."""
    with closing(sqlite3.connect(tmp_path / "calls.sqlite")) as database:
        return database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


def test_it_is_committed_within_a_moment_and_another_process_finds_it(journal: Open, tmp_path: Path):
    first = journal()
    first.write(record())
    assert wait_until(lambda: rows(tmp_path) == 1, 2)
    stored = journal().claim(digest("token"), "mine")
    assert stored is not None
    assert (stored.session_id, stored.state, sorted(stored.items)) == ("sess_1", b"state", [b"one", b"two"])


def test_a_token_is_good_once_for_its_identity_and_for_ended_processes_only(journal: Open):
    first = journal()
    first.write(record())
    first.close()
    second = journal()
    assert second.claim(digest("other"), "mine") is None
    assert second.claim(digest("token"), "theirs") is None
    assert second.claim(digest("token"), "mine") is not None
    assert second.claim(digest("token"), "mine") is None
    second.write(record(token="next"))
    second.write(record("sess_2", token="third"))
    assert second.claim(digest("third"), "mine") is None, "its session is at work"


def test_changes_are_written_and_what_is_gone_is_deleted(journal: Open):
    first = journal()
    first.write(record())
    first.write(record(items={"item_2": b"two, changed", "item_3": b"three"}, state=b"newer"))
    first.write(record(items={"item_1": None}, state=b"newest"))
    first.close()
    stored = journal().claim(digest("token"), "mine")
    assert stored is not None
    assert (stored.state, sorted(stored.items)) == (b"newest", [b"three", b"two, changed"])


def test_what_is_forgotten_is_not_in_the_files_any_more(journal: Open, tmp_path: Path):
    first = journal()
    first.write(record(state=b"a secret of somebody"))
    assert wait_until(lambda: rows(tmp_path) == 1, 2)
    first.forget("sess_1")
    assert wait_until(lambda: rows(tmp_path) == 0 and rows(tmp_path, "items") == 0, 2)

    def is_written() -> bool:
        return any(b"a secret" in path.read_bytes() for path in tmp_path.iterdir())

    assert wait_until(lambda: not is_written(), 2), "also while the file is in use"
    first.close()
    assert not is_written()


def test_who_does_not_come_back_in_time_is_deleted(journal: Open, tmp_path: Path):
    first = journal()
    first.write(record())
    first.write(record("sess_2", "second", expires_at=NOW_S + 50))
    first.close()
    assert journal(NOW_S + 10).claim(digest("never"), "mine") is None
    late = journal(NOW_S + 39)
    assert rows(tmp_path) == 2, "the window counts from the restart"
    assert late.claim(digest("token"), "mine") is not None
    journal(NOW_S + 51)
    assert rows(tmp_path) == 1


def test_the_window_of_a_client_ends_though_its_session_could_go_on(journal: Open, tmp_path: Path):
    first = journal()
    first.write(record())
    first.close()
    journal(NOW_S + 10)
    assert journal(NOW_S + 41).claim(digest("token"), "mine") is None
    assert rows(tmp_path) == 0


def test_the_file_is_its_owners_and_a_folder_that_cannot_be_made_stops_the_start(journal: Open, tmp_path: Path):
    journal().write(record())
    assert wait_until(lambda: rows(tmp_path) == 1, 2)
    names = ("calls.sqlite", "calls.sqlite-wal", "calls.sqlite-shm")
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names} == dict.fromkeys(names, 0o600)
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnavailable, match=r"resume\.path"):
        Journal(tmp_path / "file" / "calls.sqlite", 30, lambda: None)


def test_a_full_disk_costs_one_line_and_nothing_is_lost_when_there_is_room_again(
    journal: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    errors: list[int] = []
    first = journal(errors=errors)
    pages = first._database.execute("PRAGMA page_count").fetchone()[0]
    first._database.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite reports as "disk is full"
    with caplog.at_level(logging.WARNING):
        first.write(record(state=b"x" * 100_000))
        assert wait_until(lambda: len(errors) >= 2)
        first.write(record(items={"item_3": b"three"}, state=b"y" * 100_000))
        assert wait_until(lambda: len(errors) >= 3)
        assert sum("cannot be written" in line for line in caplog.messages) == 1
        first._database.execute("PRAGMA max_page_count = 100000")
        assert wait_until(lambda: rows(tmp_path) == 1)
    first.close()
    stored = journal().claim(digest("token"), "mine")
    assert stored is not None
    assert (stored.state, sorted(stored.items)) == (b"y" * 100_000, [b"one", b"three", b"two"])


def test_a_session_that_is_over_while_the_disk_is_full_does_not_come_back(journal: Open, tmp_path: Path):
    errors: list[int] = []
    first = journal(errors=errors)
    first.write(record())
    assert wait_until(lambda: rows(tmp_path) == 1, 2)
    pages = first._database.execute("PRAGMA page_count").fetchone()[0]
    first._database.execute(f"PRAGMA max_page_count = {pages}")
    first.write(record("sess_2", "second", state=b"x" * 100_000))
    assert wait_until(lambda: len(errors) >= 1)
    first.forget("sess_1")
    first.forget("sess_2")
    assert wait_until(lambda: rows(tmp_path) == 0)


def test_a_keeper_keeps_what_has_changed_and_often_enough(journal: Open):
    driver = Driver(fake_engines(ScriptedAsr(), ScriptedLlm("One two three four five."), ToneTts(ms_per_char=100)))
    first = journal()
    token: list[str | None] = [None]
    written: list[Record] = []
    write = first.write
    first.write = lambda one: (written.append(one), write(one))[1]
    keeper = SessionKeeper(first, "mine", lambda: token[0])
    keeper.something_happened(0.0)
    keeper.keep_if_due(driver.core, 0.0)
    assert not written, "who was given no token cannot come back"
    token[0] = digest("token")
    driver.send("response.create")
    driver.run()
    for _ in range(40):
        keeper.something_happened(driver.now_s)
        keeper.keep_if_due(driver.core, driver.now_s)
        driver.wait(0.05)
    assert len(written) == pytest.approx(2.0 / KEEP_INTERVAL_S, abs=1)
    heard = [decode(one.state, (written[0].items | one.items).values()).items[0].heard_chars for one in written]
    assert heard == sorted(heard)
    assert len(set(heard)) > 2, "what is heard grows"
    assert keeper.wait_s(driver.now_s) <= KEEP_INTERVAL_S, "and is kept though nothing happens"
    driver.wait(60)
    keeper.keep(driver.core, driver.now_s)
    before = len(written)
    keeper.keep(driver.core, driver.now_s)
    assert not written[before].items, "nothing is written twice"


def test_tokens_and_names_of_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch):
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(resume_token, "hmac", type("Counted", (), {"compare_digest": staticmethod(compare)}))
    assert resume_token.is_same("abc", "abc")
    assert not resume_token.is_same("abc", "abd")
    assert compared == [(b"abc", b"abc"), (b"abc", b"abd")]


def test_tokens_are_long_random_and_hidden():
    token = new_token()
    assert len(token) >= 43
    assert token != new_token()
    assert token not in digest(token)
    assert presented(["realtime", f"s2s-resume.{token}"]) == token
    assert presented(["realtime"]) is None
