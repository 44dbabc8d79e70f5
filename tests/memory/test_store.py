"""What is remembered of callers: only with consent, bounded, and gone when they say so."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from talkover.memory.store import DAY_S, MemoryStore, MemoryUnavailable, Note


class Clock:
    now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "memory.sqlite"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[MemoryStore]:
    store = MemoryStore(path, keep_days=30, max_notes=3, clock=clock)
    yield store
    store.close()


def test_nothing_is_stored_without_consent(store: MemoryStore) -> None:
    assert not store.remember("ada", "Likes brass.")
    assert store.known("ada") == ()
    assert store.export("ada") is None
    assert store.callers() == ()


def test_what_is_remembered_is_there_at_the_next_start(store: MemoryStore, path: Path, clock: Clock) -> None:
    store.consent("ada")
    assert store.remember("ada", "  Likes\nbrass. ")
    store.close()
    again = MemoryStore(path, clock=clock)
    assert again.known("ada") == ("Likes brass.",)
    record = again.export("ada")
    assert record is not None
    assert record.notes == (Note("Likes brass.", clock.now_s),)
    again.close()


def test_callers_are_kept_apart(store: MemoryStore) -> None:
    for caller in ("ada", "bob"):
        store.consent(caller)
        store.remember(caller, f"Is {caller}.")
    assert store.known("bob") == ("Is bob.",)
    assert store.forget("ada")
    assert store.callers() == ("bob",)


def test_the_oldest_notes_go_first_and_one_said_again_is_new(store: MemoryStore) -> None:
    store.consent("ada")
    for text in ("one", "two", "three", "one", "four"):
        store.remember("ada", text)
    assert store.known("ada") == ("three", "one", "four")


def test_forgotten_is_gone_from_the_file(store: MemoryStore, path: Path) -> None:
    store.consent("ada")
    store.remember("ada", "Secret: marmalade.")
    files = [path, path.with_name(path.name + "-wal")]
    assert any(b"marmalade" in file.read_bytes() for file in files if file.exists())
    assert store.forget("ada")
    assert not any(b"marmalade" in file.read_bytes() for file in files if file.exists())
    assert not store.forget("ada")
    assert not store.remember("ada", "Again.")


def test_who_does_not_call_for_long_is_forgotten(store: MemoryStore, clock: Clock) -> None:
    for caller in ("ada", "bob"):
        store.consent(caller)
    clock.now_s += 20 * DAY_S
    store.known("bob")
    clock.now_s += 20 * DAY_S
    assert store.known("ada") == ()
    assert store.callers() == ("bob",)


def test_the_file_is_its_owners_alone(store: MemoryStore, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("caller", ["", "x" * 201])
def test_an_id_of_the_wrong_length_is_refused(store: MemoryStore, caller: str) -> None:
    with pytest.raises(ValueError, match="1 to 200 characters"):
        store.consent(caller)


def test_many_threads_and_two_connections_at_once(store: MemoryStore, path: Path, clock: Clock) -> None:
    other = MemoryStore(path, max_notes=1000, clock=clock)
    store.consent("ada")

    def work(used: MemoryStore, name: str) -> None:
        for index in range(20):
            assert used.remember("ada", f"{name} {index}")

    threads = [threading.Thread(target=work, args=(used, str(index))) for index, used in enumerate([other] * 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(other.known("ada")) == 80
    other.close()


def test_a_path_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("This is no database. " * 100)
    with pytest.raises(MemoryUnavailable, match=r"memory\.path: .*notes\.txt cannot be used"):
        MemoryStore(tmp_path / "notes.txt")
