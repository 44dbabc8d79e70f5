"""A voice is recorded in the settings of the page, spoken with, and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import ScriptedAsr, ScriptedLlm, fake_engines
from folder_voices import FolderTts
from live import InProcessServer, ServerProcess
from talkover.tts.voice_folder import VoiceFolder

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def text_of(page: Any, element_id: str) -> str:
    return page.ask(f"document.querySelector('#{element_id}').textContent")


def test_a_voice_is_recorded_chosen_and_removed(
    visit: Any, microphone: Any, serve: Any, tmp_path: Path, screenshots: Path
) -> None:
    folder = VoiceFolder(None, tmp_path / "own")
    engines = fake_engines(ScriptedAsr("What is Talkover?"), ScriptedLlm("An answer."), FolderTts(folder))
    server: InProcessServer = serve(engines)
    page = visit(server.http_url, microphone(*["story_slt"] * 4), permissions=["microphone"])
    page.page.get_by_role("button", name="Settings").click()
    page.page.get_by_text("Record a voice").click()
    page.page.get_by_role("button", name="Record", exact=True).click()
    page.wait("parseFloat(document.querySelector('#voice-status').textContent) > 3")
    page.picture(screenshots / "recording-a-voice.png")
    page.page.get_by_role("button", name="Stop", exact=True).click()
    page.page.get_by_label("Name").fill("Anna Maria")
    page.page.get_by_role("button", name="Save this voice").click()
    page.wait("document.querySelector('#voice-status').textContent.startsWith('Saved')")
    assert "What is Talkover?" in text_of(page, "voice-status")

    (voice,) = folder.voices()
    clip = folder.clip(voice)
    assert (voice.id, voice.name, clip.rate_hz) == ("anna-maria", "Anna Maria", 24_000)
    assert 3 <= clip.duration_s < 10
    assert page.ask("document.querySelector('#voice').value") == "anna-maria"

    page.page.get_by_role("button", name="Remove this voice").click()
    page.page.get_by_role("button", name="Remove it for good").click()
    page.wait("document.querySelector('#voice').value === ''")
    assert folder.voices() == ()


def test_too_short_a_recording_and_a_refusal_are_told(visit: Any, microphone: Any, serve: Any, tmp_path: Path) -> None:
    server: InProcessServer = serve(fake_engines(tts=FolderTts(VoiceFolder(None, tmp_path))))
    page = visit(
        server.http_url, microphone(20.0), complaints_allowed=("400 (Bad Request)",), permissions=["microphone"]
    )
    page.page.get_by_role("button", name="Settings").click()
    page.page.get_by_text("Record a voice").click()
    page.page.get_by_role("button", name="Record", exact=True).click()
    page.wait("parseFloat(document.querySelector('#voice-status').textContent) > 0.3")
    page.page.get_by_role("button", name="Stop", exact=True).click()
    page.wait("document.querySelector('#voice-status').textContent.includes('at least 1.5 s')")
    page.page.get_by_role("button", name="Record", exact=True).click()
    page.wait("parseFloat(document.querySelector('#voice-status').textContent) > 2")
    page.page.get_by_role("button", name="Stop", exact=True).click()
    page.page.get_by_label("Name").fill("Nobody")
    page.page.get_by_role("button", name="Save this voice").click()
    page.wait("document.querySelector('#voice-status').textContent.includes('silent')")


def test_an_engine_that_clones_nothing_offers_no_recording(visit: Any, embedded: ServerProcess) -> None:
    page = visit(embedded.http_url)
    page.page.get_by_role("button", name="Settings").click()
    page.wait("document.querySelectorAll('#voice option').length > 1")
    assert not page.page.get_by_text("Record a voice").is_visible()
