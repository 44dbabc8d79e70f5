"""Documents over HTTP: listed, added, searched, removed; and everything that is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from talkover.knowledge.bm25 import WordIndex
from talkover.knowledge.chunking import chunks_of
from talkover.knowledge.documents import parse_document
from talkover.knowledge.folder import Limits
from talkover.knowledge.retriever import DocumentRetriever
from talkover.knowledge.store import Store
from talkover.rest.documents import checked_name
from talkover.rest.errors import ApiError

Connect = Callable[..., httpx.Client]
PRICES = b"# Prices\n\nAn espresso costs two euros fifty.\n"


def never() -> bool:
    return False


@pytest.fixture(scope="module", autouse=True)
def indexed_before() -> None:
    """The library behind the index keeps a thread of its own from its first use on, which no test here leaves."""
    WordIndex(tuple(chunks_of((parse_document("a.md", "# A\n\nWords."),))))


@pytest.fixture
def retriever(tmp_path: Path) -> Iterator[DocumentRetriever]:
    """Over one fixed document, and a folder of uploads."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "hours.md").write_text("# Opening hours\n\nWe are open from nine to six.\n")
    limits = Limits(max_documents=3)
    retriever = DocumentRetriever(folder, Store(None), uploads=tmp_path / "uploads", limits=limits)
    retriever.warmup()
    yield retriever
    retriever.close()


@pytest.fixture
def client(connect: Connect, retriever: DocumentRetriever) -> httpx.Client:
    return connect(retriever=retriever, max_document_bytes=1 << 20)


def add(client: httpx.Client, name: str = "prices.md", content: bytes = PRICES) -> httpx.Response:
    return client.post("/v1/documents", files={"file": (name, content)})


def error_of(answer: httpx.Response) -> dict[str, Any]:
    return answer.json()["error"]


# -------------------------------------------------------------------------------------------------------- and back


def test_a_document_is_added_searched_and_removed(
    client: httpx.Client, retriever: DocumentRetriever, tmp_path: Path
) -> None:
    added = add(client)
    assert added.status_code == 201
    assert added.json() == {
        "object": "document",
        "id": "prices.md",
        "title": "Prices",
        "path": "prices.md",
        "size_bytes": len(PRICES),
        "passages": 1,
        "removable": True,
        "problem": "",
    }
    listing = client.get("/v1/documents").json()
    assert [(one["path"], one["removable"]) for one in listing["data"]] == [("hours.md", False), ("prices.md", True)]
    assert listing["uploads"] == {"max_bytes": 1 << 20}
    (found, *_) = retriever.search("What does an espresso cost?", 3, never)
    assert (found.title, found.path) == ("Prices", "prices.md")

    removed = client.delete("/v1/documents/prices.md")
    assert removed.json() == {"object": "document", "id": "prices.md", "deleted": True}
    assert [one["path"] for one in client.get("/v1/documents").json()["data"]] == ["hours.md"]
    assert not list((tmp_path / "uploads").iterdir())
    assert client.delete("/v1/documents/prices.md").status_code == 404


def test_a_name_in_another_script_is_kept(client: httpx.Client) -> None:
    added = add(client, "价格表.txt", "价格\n\n意式浓缩咖啡两欧元五十分。".encode())
    assert (added.status_code, added.json()["path"]) == (201, "价格表.txt")
    assert client.delete("/v1/documents/%E4%BB%B7%E6%A0%BC%E8%A1%A8.txt").status_code == 200


def test_a_server_without_documents_says_so(connect: Connect) -> None:
    client = connect()
    assert client.get("/v1/documents").json() == {"object": "list", "data": [], "uploads": None}
    for refused in (add(client), client.delete("/v1/documents/prices.md")):
        assert (refused.status_code, error_of(refused)["code"]) == (400, "not_supported")


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "name",
    [
        "../prices.md",
        "a/b.md",
        "..",
        "C:\\x.md",
        ".hidden.md",
        "prices",
        "a\u0000.md",
        "NUL.txt",
        " a.md",
        "a\n.md",
        "",
    ],
)
def test_names_that_are_more_than_a_file_name_are_refused(name: str) -> None:
    with pytest.raises(ApiError) as refused:
        checked_name(name)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, "file", "invalid_name")


def test_a_name_is_looked_at_before_the_document(client: httpx.Client) -> None:
    refused = add(client, "NUL.md")
    assert (refused.status_code, error_of(refused)["code"]) == (400, "invalid_name")


@pytest.mark.parametrize("name", ["../../prices.md", "..\\..\\prices.md", "/etc/prices.md", "%2e%2e%2fprices.md"])
def test_nothing_is_written_outside_the_folder(client: httpx.Client, tmp_path: Path, name: str) -> None:
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    answer = add(client, name)
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert answer.status_code == 400 or {path.parent for path in written} == {tmp_path / "uploads"}


@pytest.mark.parametrize("path", ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a%2f..%2fhours.md", "%00"])
def test_nothing_outside_can_be_removed(client: httpx.Client, tmp_path: Path, path: str) -> None:
    assert client.delete(f"/v1/documents/{path}").status_code in (404, 405)
    assert (tmp_path / "documents" / "hours.md").is_file()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.md", b"", "is empty"),
        ("broken.pdf", b"%PDF-1.7 and then nothing", "broken.pdf"),
        ("broken.docx", b"PK\x03\x04 not a zip", "broken.docx"),
        ("program.exe", b"MZ", "must be one of"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_with_its_reason(
    client: httpx.Client, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    refused = add(client, name, content)
    assert (refused.status_code, error_of(refused)["code"]) == (400, "invalid_document")
    assert told in error_of(refused)["message"]
    assert not (tmp_path / "uploads" / name).exists()


def test_too_large_a_document_is_refused(client: httpx.Client) -> None:
    refused = add(client, content=b"a" * (1 << 20) + b"b")
    assert (refused.status_code, error_of(refused)["code"]) == (413, "file_too_large")


def test_a_taken_name_a_fixed_document_and_a_full_shelf(client: httpx.Client) -> None:
    assert add(client).status_code == 201
    assert (add(client).status_code, error_of(add(client))["code"]) == (409, "document_exists")
    assert error_of(add(client, "hours.md"))["code"] == "document_exists"
    fixed = client.delete("/v1/documents/hours.md")
    assert (fixed.status_code, error_of(fixed)["code"]) == (403, "document_not_removable")
    for name in ("a.md", "b.md"):
        assert add(client, name).status_code == 201
    full = add(client, "c.md")
    assert (full.status_code, error_of(full)["code"]) == (507, "too_many_documents")


def test_the_key_is_asked_for(connect: Connect, retriever: DocumentRetriever) -> None:
    client = connect(retriever=retriever, key="s3cret")
    for refused in (client.get("/v1/documents"), add(client), client.delete("/v1/documents/hours.md")):
        assert refused.status_code == 401
    client.headers["Authorization"] = "Bearer s3cret"
    assert add(client).status_code == 201


def test_another_site_cannot_make_a_browser_add_a_document(client: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example"}
    assert client.post("/v1/documents", files={"file": ("x.md", PRICES)}, headers=headers).status_code == 403


# ------------------------------------------------------------------------------------------------- at the same time


def test_two_who_add_the_same_name_at_once(client: httpx.Client) -> None:
    together = threading.Barrier(2)
    found: list[int] = []

    def race() -> None:
        together.wait()
        found.append(add(client).status_code)

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(found) == [201, 409]
