"""Documents that come and go while searches run."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from knowledge_files import pdf
from talkover.config import load_settings
from talkover.engines import DocumentRefused, EngineFailed
from talkover.knowledge.bm25 import content_words
from talkover.knowledge.folder import Limits, load_folder
from talkover.knowledge.index import Index
from talkover.knowledge.retriever import DocumentRetriever, create_retriever
from talkover.knowledge.store import Store
from talkover.knowledge.vectors import ExactVectors, Found

HOURS = "# Opening hours\n\n## Weekdays\n\nWe are open from nine to five.\n\n## Sundays\n\nClosed on Sundays.\n"
RETURNS = "# Returns\n\n## Refunds\n\nWe refund every purchase within thirty days.\n"
SYNONYMS = {"money": "refund", "back": "refund", "church": "sunday"}


class WordBags:
    """An embedding model that knows which words mean the same: a bag of their hashes."""

    name = "bags"

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def warmup(self) -> None:
        """Nothing to load."""

    def of_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        return np.stack([self.of_question(text) for text in texts])

    def of_question(self, text: str) -> NDArray[np.float32]:
        vector = np.full(256, 1e-3, np.float32)
        for word in content_words(text):
            vector[crc32(SYNONYMS.get(word, word).encode()) % 256] += 1
        return vector / np.linalg.norm(vector)


def never() -> bool:
    return False


def fill(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "hours.md").write_text(HOURS, encoding="utf-8")
    (folder / "returns.md").write_text(RETURNS, encoding="utf-8")
    return folder


def searched(
    folder: Path | None,
    store: Store | None = None,
    embedder: WordBags | None = None,
    uploads: Path | None = None,
    limits: Limits | None = None,
    min_score: float = 0.2,
) -> DocumentRetriever:
    store = store or Store(None)
    vectors = None if embedder is None else ExactVectors(store, embedder.name)
    return DocumentRetriever(
        folder, store, uploads=uploads, limits=limits, embedder=embedder, vectors=vectors, min_score=min_score
    )


def paths_of(retriever: DocumentRetriever, question: str) -> list[str]:
    return [source.path for source in retriever.search(question, 3, never)]


def test_a_source_says_what_where_and_gives_the_surroundings(tmp_path: Path) -> None:
    retriever = searched(fill(tmp_path / "docs"))
    retriever.refresh()
    [source] = retriever.search("Are you open on Sundays?", 1, never)
    assert (source.path, source.title, source.heading) == ("hours.md", "Opening hours", "Sundays")
    assert source.text == source.snippet == "Closed on Sundays."
    assert 0 < source.score <= 1


def test_small_chunks_are_found_and_their_section_is_given(tmp_path: Path) -> None:
    filler = " ".join(f"Sentence number {at} is about nothing at all." for at in range(18))
    (tmp_path / "long.md").write_text(
        f"# Long\n\n## Part\n\n{filler} The parrot is green. {filler}\n", encoding="utf-8"
    )
    retriever = searched(tmp_path)
    retriever.refresh()
    [source] = retriever.search("Which colour is the parrot?", 3, never)
    assert "The parrot is green." in source.text
    assert len(source.text) > 2 * len(source.snippet)
    assert len(source.text.split()) <= 220


def test_meaning_finds_what_shares_no_word(tmp_path: Path) -> None:
    folder = fill(tmp_path / "docs")
    by_words, by_both = searched(folder), searched(folder, embedder=WordBags())
    by_words.refresh()
    by_both.refresh()
    assert paths_of(by_words, "Money back?") == []
    assert paths_of(by_both, "Money back?")[0] == "returns.md"


def test_chinese_questions_find_chinese_passages(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# 商店\n\n## 退货\n\n三十天内可以退货。\n\n## 营业时间\n\n每天八点开门。\n", encoding="utf-8"
    )
    retriever = searched(tmp_path)
    retriever.refresh()
    assert [source.heading for source in retriever.search("你们的营业时间是什么？", 1, never)] == ["营业时间"]


def test_nothing_fits_a_question_about_something_else(tmp_path: Path) -> None:
    retriever = searched(fill(tmp_path / "docs"))
    retriever.refresh()
    assert paths_of(retriever, "Who won the football match in Berlin?") == []
    assert paths_of(retriever, "  ") == []


def test_a_stale_search_gives_nothing(tmp_path: Path) -> None:
    retriever = searched(fill(tmp_path / "docs"))
    retriever.refresh()
    assert retriever.search("open on Sundays", 3, lambda: True) == ()


def test_only_what_changed_is_read_and_embedded_again(tmp_path: Path) -> None:
    folder, database = fill(tmp_path / "docs"), tmp_path / "index.sqlite"
    first, model = searched(folder, Store(database), WordBags()), WordBags()
    assert (first.refresh().read, first.refresh().read) == (2, 0)
    first.close()
    (folder / "returns.md").unlink()
    (folder / "hours.md").write_text(HOURS.replace("Closed", "Open by appointment"), encoding="utf-8")
    second = searched(folder, Store(database), model)
    refreshed = second.refresh()
    assert (refreshed.files, refreshed.read, refreshed.removed, refreshed.chunks) == (1, 1, 1, 2)
    assert [text for text in model.embedded if text.endswith(".")] == [
        "Opening hours > Sundays\nOpen by appointment on Sundays."
    ]
    assert paths_of(second, "refund of a purchase") == []
    second.close()


def test_a_broken_index_is_set_aside(tmp_path: Path) -> None:
    database = tmp_path / "index.sqlite"
    database.write_bytes(b"this is no database" * 100)
    retriever = searched(fill(tmp_path / "docs"), Store(database))
    assert retriever.refresh().chunks == 3
    assert (tmp_path / "index.broken").is_file()


@pytest.mark.parametrize(
    "damaged", [b"", b"\xc0", b"\xa2\xff\xfe", b"\x91" * 5000], ids=["empty", "nil", "bytes", "deep"]
)
def test_a_stored_document_that_is_damaged_is_read_anew(damaged: bytes, tmp_path: Path) -> None:
    folder, database = fill(tmp_path / "docs"), tmp_path / "index.sqlite"
    first = searched(folder, Store(database))
    first.refresh()
    first.close()
    with closing(sqlite3.connect(database)) as index, index:
        index.execute("UPDATE files SET document = ?", (damaged,))
    second = searched(folder, Store(database))
    assert second.refresh().read == 2
    assert paths_of(second, "refund of a purchase") == ["returns.md"]
    second.close()


def test_bad_files_are_named_and_the_rest_is_indexed(tmp_path: Path) -> None:
    folder = fill(tmp_path / "docs")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "secret.pdf").write_bytes(pdf([["Hidden."]], password="x"))
    (folder / "huge.md").write_bytes(b"# Huge\n" + b"a " * 2000)
    (folder / "program.exe").write_bytes(b"MZ")
    retriever = searched(folder, limits=Limits(max_file_bytes=2000))
    refreshed = retriever.refresh()
    assert dict(refreshed.skipped) == {
        "empty.txt": "is empty",
        "huge.md": "has 0.0 MiB, more than 0",
        "secret.pdf": "is encrypted",
    }
    assert refreshed.chunks == 3
    problems = {document.path: document.problem for document in retriever.documents()}
    assert problems["secret.pdf"] == "is encrypted"
    assert problems["hours.md"] == ""


def test_as_many_documents_as_may_be(tmp_path: Path) -> None:
    retriever = searched(fill(tmp_path / "docs"), limits=Limits(max_documents=1))
    [(path, problem)] = retriever.refresh().skipped
    assert path == "returns.md"
    assert "knowledge.max_documents is 1" in problem


def test_adding_and_removing(tmp_path: Path) -> None:
    retriever = searched(fill(tmp_path / "docs"), embedder=WordBags())
    retriever.refresh()
    seen: list[int] = []
    retriever.on_change(lambda documents: seen.append(len(documents)))
    info = retriever.add("menu.txt", b"Espresso costs two euros.")
    assert (info.passages, info.removable, info.problem) == (1, True, "")
    assert paths_of(retriever, "How much is an espresso?")[0] == "menu.txt"
    assert [document.path for document in retriever.documents()] == ["hours.md", "menu.txt", "returns.md"]
    retriever.remove(info.id)
    assert "menu.txt" not in paths_of(retriever, "How much is an espresso?")
    assert seen == [2, 3, 2]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("../escape.md", b"# A\nText.", "invalid"),
        ("a/b.md", b"# A\nText.", "invalid"),
        ("a\\b.md", b"# A\nText.", "invalid"),
        (".hidden.md", b"# A\nText.", "invalid"),
        ("", b"# A\nText.", "invalid"),
        ("broken.pdf", b"%PDF-1.7 but no more", "invalid"),
        ("program.exe", b"MZ", "invalid"),
        ("hours.md", b"# A\nText.", "exists"),
        ("big.md", b"a " * 2000, "too_large"),
    ],
)
def test_what_cannot_be_added(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    uploads = tmp_path / "uploads"
    retriever = searched(fill(tmp_path / "docs"), uploads=uploads, limits=Limits(max_file_bytes=2000))
    retriever.refresh()
    with pytest.raises(DocumentRefused) as refused:
        retriever.add(name, content)
    assert refused.value.reason == reason
    assert not uploads.exists()
    assert len(retriever.documents()) == 2


def test_what_cannot_be_removed(tmp_path: Path) -> None:
    retriever = searched(fill(tmp_path / "docs"))
    retriever.refresh()
    for name, reason in (("hours.md", "fixed"), ("../hours.md", "unknown")):
        with pytest.raises(DocumentRefused) as refused:
            retriever.remove(name)
        assert refused.value.reason == reason


def test_uploads_are_kept_where_a_folder_for_them_is_configured(tmp_path: Path) -> None:
    overrides = [f"knowledge.{key}={tmp_path / key}" for key in ("uploads", "index")]
    settings = load_settings(None, [*overrides, "knowledge.embeddings=none"], environ={})
    first = create_retriever(settings, None)
    first.warmup()
    first.add("menu.txt", b"Espresso costs two euros.")
    first.close()
    second = create_retriever(settings, None)
    second.warmup()
    assert [(document.path, document.removable) for document in second.documents()] == [("menu.txt", True)]
    second.remove("menu.txt")
    second.close()
    assert list((tmp_path / "uploads").iterdir()) == []


def test_searches_go_on_while_documents_change(tmp_path: Path) -> None:
    retriever = searched(fill(tmp_path / "docs"), embedder=WordBags())
    retriever.refresh()
    stop, failures = threading.Event(), list[str]()

    def search() -> None:
        while not stop.is_set():
            found = paths_of(retriever, "Are you open on Sundays?")
            if not found or found[0] != "hours.md":
                failures.append(str(found))

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for at in range(20):
        info = retriever.add(f"note{at}.txt", f"Note number {at} about plumbing.".encode())
        if at % 2:
            retriever.remove(info.id)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert failures == []
    assert len(retriever.documents()) == 12


class BrokenVectors(ExactVectors):
    """As a database that is gone."""

    def search(self, vector: NDArray[np.float32], limit: int) -> Found:
        raise EngineFailed("no answer")


def test_words_find_what_is_there_when_the_vectors_do_not_answer(tmp_path: Path) -> None:
    store, model = Store(None), WordBags()
    folder = fill(tmp_path / "docs")
    retriever = DocumentRetriever(folder, store, embedder=model, vectors=BrokenVectors(store, model.name))
    retriever.refresh()
    assert paths_of(retriever, "Are you open on Sundays?")[0] == "hours.md"


def test_until_all_have_vectors_the_words_decide(tmp_path: Path) -> None:
    """A passage without a vector must not stand behind all that have one."""
    store, model = Store(None), WordBags()
    vectors = ExactVectors(store, model.name)
    index = Index(load_folder(fill(tmp_path / "docs")), model, vectors)
    refunds = next(chunk for chunk in index.chunks if "refund" in chunk.text)
    vectors.add([refunds.id], model.of_passages([refunds.wording]))
    question = "Are you open on weekdays? Money back?"
    assert index.search(question, 1, never)[0].heading == "Weekdays"
    missing = index.unembedded()
    vectors.add([chunk.id for chunk in missing], model.of_passages([chunk.wording for chunk in missing]))
    assert {source.heading for source in index.search(question, 2, never)} == {"Weekdays", "Refunds"}


def test_closing_while_files_are_read_forgets_nothing(tmp_path: Path) -> None:
    folder, path = fill(tmp_path / "docs"), tmp_path / "index.sqlite"
    searched(folder, Store(path), WordBags()).refresh()
    interrupted = searched(folder, Store(path), WordBags())
    interrupted.refresh(on_file=lambda *_: interrupted._closed.set())
    model = WordBags()
    assert searched(folder, Store(path), model).refresh().read == 0
    assert model.embedded == []


def test_vectors_are_made_in_the_background(tmp_path: Path) -> None:
    model = WordBags()
    retriever = searched(fill(tmp_path / "docs"), embedder=model)
    retriever.warmup()
    retriever.close()  # waits for the thread
    assert len(model.embedded) == 3
