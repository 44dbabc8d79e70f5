"""Documents at the page: spoken questions answered from a folder, with their source; documents added and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_server import ChatServer, Connection
from live import ServerProcess
from recordings import words

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DECLINED = "I don't find that in the documents."
LANGUAGES = """<!doctype html><title>Languages of the kiosk</title>
<nav>Home | Imprint | Follow us</nav>
<main><h1>Languages of the kiosk</h1>
<h2>Which languages does it speak?</h2>
<p>The kiosk speaks English, French and Portuguese, and you can switch between the languages at any time.</p></main>
"""
GRAPHICS = """# Hardware of the kiosk

## Do I need a graphics card?

No graphics card is needed. The kiosk runs on a small computer without a fan.
"""


def reads_passages_aloud(connection: Connection, body: dict[str, Any]) -> None:
    """A model that answers with the best passage, or declines when there is none."""
    found = next(message for message in reversed(body["messages"]) if message["role"] == "tool")
    passages = json.loads(found["content"])["passages"]
    connection.begin()
    connection.say(" ".join(passages[0]["text"].split()) if passages else DECLINED)
    connection.end()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "languages.html").write_text(LANGUAGES)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    return folder


@pytest.fixture(params=["embedded", "openai"])
def server(request: pytest.FixtureRequest, documents: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """`talkover serve` over the folder, with the embedded responder and with a scripted model."""
    overrides = [f"knowledge.path={documents}", f"knowledge.index={tmp_path / 'index'}", "knowledge.embeddings=none"]
    with ChatServer(reads_passages_aloud) as model:
        if request.param == "openai":
            overrides += ["llm.engine=openai", f"llm.base_url={model.url}", "llm.model=scripted"]
        with ServerProcess(tmp_path / "server.log", overrides) as process:
            yield process


def evidence(page: Any) -> list[list[str]]:
    """Per answer the paths of its sources."""
    return page.ask(
        "talkover.state.items.filter((item) => item.role === 'assistant').map((item) =>"
        " (talkover.state.evidence[item.responseId]?.sources ?? []).map((source) => source.path))"
    )


def panel(page: Any, element_id: str) -> str:
    return page.ask(f"document.querySelector('#{element_id}').innerText")


def test_spoken_questions_are_answered_from_the_folder_with_the_source_or_declined(
    visit: Any, microphone: Any, server: ServerProcess, screenshots: Path
) -> None:
    page = visit(server.http_url, microphone("languages_awb", 14.0, "football_kal16"))
    page.start_talking()
    page.wait_answered(2)
    assert {"languages"} <= set(words(page.history[0]["text"]))
    assert {"english", "french", "portuguese"} <= set(words(page.history[1]["heard"]))
    assert evidence(page) == [["languages.html"]]

    page.page.get_by_text("From Languages of the kiosk").click()
    quotation = page.page.locator(".sources .quotation").inner_text()
    assert "The kiosk speaks English, French and Portuguese" in quotation
    assert "Imprint" not in quotation
    page.picture(screenshots / "sources.png")

    page.wait_answered(4)
    declined = set(words(page.history[3]["heard"]))
    assert {"documents"} & declined
    assert not {"english", "french", "portuguese"} & declined
    assert evidence(page) == [["languages.html"], []]


def test_a_document_is_added_asked_about_and_removed(
    visit: Any, server: ServerProcess, documents: Path, tmp_path: Path, screenshots: Path
) -> None:
    page = visit(server.http_url, complaints_allowed=("400 (Bad Request)", "409 (Conflict)"))
    page.page.get_by_role("button", name="Documents", exact=True).click()
    page.wait("document.querySelectorAll('#documents-list li').length === 2")
    assert "broken.pdf, not searched" in panel(page, "documents-list")
    assert page.page.get_by_role("button", name="Remove").count() == 0

    (tmp_path / "hardware.md").write_text(GRAPHICS)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "scan.docx").write_bytes(b"PK\x03\x04 no more")
    page.page.get_by_label("Add documents").set_input_files(
        [tmp_path / name for name in ("hardware.md", "empty.txt", "scan.docx")]
    )
    page.wait("document.querySelector('#documents-status').innerText.includes('Not added')")
    page.wait("document.querySelectorAll('#documents-list li').length === 3")
    told = panel(page, "documents-status")
    assert "Added “Hardware of the kiosk”" in told
    assert "Not added: empty.txt. It is empty." in told
    assert "Not added: scan.docx is not a Word document" in told
    page.picture(screenshots / "documents.png")
    page.page.get_by_role("button", name="Close documents").click()

    page.type("Do I need a graphics card?")
    page.wait_answered(2)
    assert {"graphics", "card", "needed"} <= set(words(page.history[1]["heard"]))
    assert evidence(page) == [["hardware.md"]]

    page.page.get_by_role("button", name="Documents", exact=True).click()
    page.page.get_by_role("button", name="Remove Hardware of the kiosk").click()
    page.page.get_by_role("button", name="Remove for good Hardware of the kiosk").click()
    page.wait("document.querySelectorAll('#documents-list li').length === 2")
    page.page.get_by_role("button", name="Close documents").click()
    page.type("What graphics card does the computer have?")
    page.wait_answered(4)
    assert not {"needed", "fan"} & set(words(page.history[3]["heard"]))
    assert evidence(page)[1] == []
    assert sorted(path.name for path in documents.iterdir()) == ["broken.pdf", "languages.html"]


def test_a_server_with_a_key_shows_documents_only_to_who_has_it(
    visit: Any, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCUMENTS_KEY", "s3cret")
    overrides = [
        f"knowledge.path={documents}",
        f"knowledge.index={tmp_path / 'index'}",
        "knowledge.embeddings=none",
        "server.api_key_env=DOCUMENTS_KEY",
    ]
    with ServerProcess(tmp_path / "server.log", overrides) as process:
        page = visit(process.http_url, complaints_allowed=("401 (Unauthorized)",))
        page.wait("!document.querySelector('#key-form').hidden")
        assert not page.page.get_by_role("button", name="Documents", exact=True).is_visible()
        page.page.get_by_label("API key").fill("s3cret")
        page.page.get_by_role("button", name="Connect", exact=True).click()
        page.wait("!document.querySelector('#documents-open').hidden")
        page.page.get_by_role("button", name="Documents", exact=True).click()
        page.wait("document.querySelectorAll('#documents-list li').length === 2")
