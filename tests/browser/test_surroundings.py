"""What a person meets around a conversation: refusals, full servers, lost connections, small and dark screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import ScriptedLlm, ToneTts, fake_engines
from live import InProcessServer, ServerProcess
from wire import WireClient

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}


def alert(page: Any) -> str:
    """What the page's notice says."""
    return page.page.locator("#problem").inner_text()


def overflow(page: Any) -> list[str]:
    """What sticks out of the screen to the right."""
    return page.ask(
        "[...document.querySelectorAll('body *')].filter((element) => element.checkVisibility()"
        " && element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.className)"
    )


def test_refused_microphone_says_what_to_do_and_typing_works(visit: Any, embedded: ServerProcess, screenshots: Path):
    page = visit(embedded.http_url)
    page.start_talking()
    page.wait("talkover.state.microphone.status === 'failed'")
    page.wait("!document.querySelector('#problem').hidden")
    assert "microphone is blocked" in alert(page)
    assert "address bar" in alert(page)
    page.picture(screenshots / "microphone-refused.png")
    page.page.get_by_role("button", name="Type instead").click()
    page.type("What time is it?")
    page.wait_answered(2)
    assert "it is" in page.history[1]["heard"].lower()


def test_full_server_is_shown_and_its_free_seat_is_taken(visit: Any, microphone: Any, serve: Any, screenshots: Path):
    server: InProcessServer = serve(fake_engines(), "server.max_sessions=1", "server.max_waiting=0")
    with WireClient(server.ws_url) as occupant:
        occupant.next()
        page = visit(server.http_url, microphone(), complaints_allowed=("WebSocket connection", "503"))
        page.start_talking()
        page.wait("!document.querySelector('#problem').hidden")
        assert "All seats are taken" in alert(page)
        page.picture(screenshots / "server-full.png")
    page.wait("talkover.state.connection.status === 'open'", 30)
    page.wait("document.querySelector('#problem').hidden")


def test_a_page_waits_in_the_queue_and_is_told_its_place(visit: Any, microphone: Any, serve: Any, screenshots: Path):
    server: InProcessServer = serve(fake_engines(), "server.max_sessions=1")
    with WireClient(server.ws_url) as occupant:
        occupant.next()
        with WireClient(f"{server.ws_url}?s2s.queue=1", check=False) as before:
            before.next()
            page = visit(server.http_url, microphone())
            page.start_talking()
            page.wait("talkover.mood === 'queued'")
            shown = page.page.get_by_text("You are number 2 in the queue")
            shown.first.wait_for(state="visible")
            page.picture(screenshots / "server-queue.png")
        page.page.get_by_text("You are next in the queue").first.wait_for(state="visible")
    page.wait("talkover.state.connection.status === 'open'", 30)
    page.wait("talkover.mood === 'listening'")


def test_lost_connection_is_shown_and_the_conversation_goes_on(visit: Any, serve: Any, screenshots: Path):
    llm = ScriptedLlm("The first answer.", "The second answer.")
    server: InProcessServer = serve(fake_engines(llm=llm))
    page = visit(server.http_url, complaints_allowed=("WebSocket connection", "ERR_CONNECTION_REFUSED"))
    page.type("The first question?")
    page.wait_answered(2)
    server.stop()
    page.wait("talkover.state.connection.status === 'waiting'")
    page.wait("!document.querySelector('#problem').hidden")
    assert "connection was lost" in alert(page)
    page.picture(screenshots / "connection-lost.png")

    with InProcessServer(fake_engines(llm=llm), port=server.port):
        page.wait("talkover.state.connection.status === 'open'", 30)
        page.type("The second question?")
        page.wait_answered(4)
        assert page.history[3]["heard"] == "The second answer."
        remembered = [(message.role, message.text) for message in llm.prompts[-1].messages]
        assert remembered == [
            ("user", "The first question?"),
            ("assistant", "The first answer."),
            ("user", "The second question?"),
        ]
        page.page.get_by_role("button", name="End the conversation").click()
        page.wait("talkover.mood === 'idle'")


def test_a_broken_connection_is_picked_up_in_the_same_session(visit: Any, serve: Any, screenshots: Path):
    story = " ".join(f"Word{number} is here." for number in range(30))
    llm = ScriptedLlm(story)
    server: InProcessServer = serve(fake_engines(llm=llm, tts=ToneTts(ms_per_char=10)))
    page = visit(server.http_url, complaints_allowed=("WebSocket connection",))
    page.type("Tell me a story.")
    page.wait("talkover.history.length === 2 && talkover.history[1].heardMs > 800")
    session_id = page.ask("talkover.state.session.id")
    server.cut_connections()
    page.wait("talkover.mood === 'reconnecting'")
    page.wait("document.body.innerText.includes('Reconnecting')")
    page.picture(screenshots / "reconnecting.png")
    page.wait("talkover.state.connection.status === 'open'")
    assert page.ask("talkover.state.session.id") == session_id
    page.wait_answered(3)
    told = "".join(item["heard"] for item in page.history[1:])
    assert "".join(told.split()) == "".join(story.split())  # a cut may lie between "Word" and "8"
    assert len(llm.prompts) == 1, "the answer that was cut goes on, no other is made"


def test_wrong_key_is_asked_for_and_taken(visit: Any, serve: Any, screenshots: Path):
    server: InProcessServer = serve(fake_engines(), environ={"TALKOVER_API_KEY": "sesame"})
    page = visit(server.http_url, complaints_allowed=("WebSocket connection", "401"))
    page.wait("!document.querySelector('#problem').hidden")
    assert "asks for a key" in alert(page)
    page.picture(screenshots / "key.png")
    page.page.get_by_label("API key").fill("sesame")
    page.page.keyboard.press("Enter")
    page.wait("document.querySelector('#problem').hidden")
    page.type("Hello?")
    page.wait_answered(2)


def test_failing_engine_is_told_and_the_page_listens_on(visit: Any, serve: Any, screenshots: Path):
    llm = ScriptedLlm(RuntimeError("broken"), "It works again.")
    page = visit(serve(fake_engines(llm=llm)).http_url)
    page.type("Will you fail?")
    page.wait("talkover.state.notices.length === 1")
    page.picture(screenshots / "failed-answer.png")
    page.type("And now?")
    page.wait("talkover.history.at(-1).heard === 'It works again.'")


def test_settings_reach_the_server_and_are_kept(visit: Any, serve: Any):
    llm = ScriptedLlm(reply=lambda prompt: prompt.instructions)
    server: InProcessServer = serve(fake_engines(llm=llm, tts=ToneTts(ms_per_char=5)))
    page = visit(server.http_url)
    page.type("Hello?")
    page.wait_answered(2)
    page.page.get_by_role("button", name="Settings").click()
    page.page.get_by_label("Instructions").fill("Speak like a pirate.")
    page.page.get_by_label("Instructions").blur()
    page.page.keyboard.press("Escape")
    page.type("Hello again?")
    page.wait_answered(4)
    assert page.history[3]["heard"] == "Speak like a pirate."
    page.page.reload()
    page.type("And after a reload?")
    page.wait_answered(2)
    assert page.history[1]["heard"] == "Speak like a pirate."


def test_every_state_fits_phone_and_desktop_light_and_dark(
    visit: Any, microphone: Any, embedded: ServerProcess, screenshots: Path
):
    """The pictures are for people; that nothing sticks out is checked."""
    page = visit(embedded.http_url, microphone("what_is_talkover_slt", 7.0, "time_slt"))

    def pictures(name: str) -> None:
        for size, viewport in SIZES.items():
            page.page.set_viewport_size(viewport)
            for theme in ("light", "dark"):
                page.page.emulate_media(color_scheme=theme)
                page.pause(0.1)
                page.picture(screenshots / f"{size}-{theme}-{name}.png")
            assert not overflow(page), f"{name} on a {size}"

    pictures("welcome")
    page.start_talking()
    page.wait("talkover.mood === 'hearing'")
    pictures("hearing")
    page.wait("talkover.mood === 'speaking' && talkover.history.at(-1).heardMs > 1500")
    pictures("speaking")
    page.wait("talkover.mood === 'interrupted'")
    pictures("interrupted")
    page.wait_answered(4)
    pictures("after")
    page.page.get_by_role("button", name="Settings").click()
    pictures("settings")
