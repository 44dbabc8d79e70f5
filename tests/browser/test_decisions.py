"""The page while it is undecided: it pauses at the sample, shows what was decided and why, and can be tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from live import InProcessServer, ServerProcess
from talkover.engines import Hypothesis

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}
FADE_SAMPLES = 120
"""that the player renders beside the samples of the answer, each time it falls silent in the middle"""
STORY = "Once upon a time there was a lighthouse that nobody had lit for years and years. " * 3


def decisions(page: Any) -> list[tuple[str, str]]:
    """Newest last."""
    return [(one["decision"], one["reason"]) for one in reversed(page.ask("talkover.state.decisions"))]


def test_a_backchannel_pauses_the_answer_and_not_a_sample_is_lost(visit: Any, microphone: Any, serve: Any):
    uh_huh = Hypothesis("uh-huh", 6, 0.9)
    """without partials, so that its beginning could be anything"""
    engines = fake_engines(ScriptedAsr("tell me", uh_huh), ScriptedLlm(STORY), ToneTts(ms_per_char=45))
    server: InProcessServer = serve(engines, "vad.barge_in_ms=64")
    page = visit(server.http_url, microphone("what_is_talkover_slt", 4.0, "what_is_talkover_slt"))
    page.start_talking()
    page.wait("watched.received.some((event) => event.type === 's2s.playback.pause')")
    page.wait("watched.received.some((event) => event.type === 's2s.playback.resume')")
    page.wait_answered(2)

    _, story = page.history
    assert not story["interrupted"]
    assert story["heard"] == story["text"].rstrip()
    taken = decisions(page)
    yielded = taken.index(("yielded", "voice"))
    assert ("went_on", "backchannel") in taken[yielded:]
    assert page.ask("watched.received.filter((event) => event.type === 'response.created').length") == 1

    n_pauses = page.ask("watched.received.filter((event) => event.type === 's2s.playback.pause').length")
    n_stops = n_pauses + page.ask("talkover.state.playback.underruns")
    received = round(page.ask("talkover.state.items.at(-1).audioMs") * 24)
    assert 0 <= page.ask("talkover.renderedSamples") - received <= n_stops * FADE_SAMPLES


def test_each_decision_is_shown_with_its_reason(
    visit: Any, microphone: Any, embedded: ServerProcess, screenshots: Path
):
    page = visit(embedded.http_url, microphone("story_slt", 6.0, "time_slt"))
    page.start_talking()
    page.wait("talkover.state.decisions.some((one) => one.decision === 'stopped')")
    page.wait("talkover.silentForMs > 300")
    shown = page.page.get_by_role("region", name="Taking turns")
    text = shown.inner_text()
    assert "Stopped" in text
    assert "Your turn was over" in text
    assert "ms of silence" in text
    for size, viewport in SIZES.items():
        page.page.set_viewport_size(viewport)
        for theme in ("light", "dark"):
            page.page.emulate_media(color_scheme=theme)
            page.pause(0.2)
            page.picture(screenshots / f"{size}-{theme}-decisions.png")
        assert page.ask("document.documentElement.scrollWidth") <= viewport["width"]


def test_the_pause_that_ends_a_turn_is_tuned_in_the_running_call(visit: Any, microphone: Any, serve: Any):
    engines = fake_engines(ScriptedAsr("one", "two"), ScriptedLlm("Yes.", "Fine."))
    server: InProcessServer = serve(engines)
    page = visit(server.http_url, microphone(2.0, "time_slt", 5.0, "time_kal16"))
    page.page.get_by_role("button", name="Settings").click()
    page.page.get_by_role("radio", name="After a pause").check(force=True)
    page.page.get_by_role("button", name="Close settings").click()
    page.start_talking()
    page.wait("talkover.state.decisions.some((one) => one.decision === 'turn_ended')")
    page.page.get_by_role("button", name="Tune").click()
    page.page.get_by_label("Pause that ends a turn").fill("1500")
    page.wait("document.querySelector('#settings-applied').textContent === 'In effect'", 3)
    page.page.get_by_role("button", name="Close settings").click()
    page.wait("talkover.state.decisions.filter((one) => one.decision === 'turn_ended').length === 2")
    second, first = (one for one in page.ask("talkover.state.decisions") if one["decision"] == "turn_ended")
    assert 450 <= first["afterMs"] <= 650
    assert 1450 <= second["afterMs"] <= 1650


def test_the_voice_that_stops_it_is_tuned_in_the_running_call(visit: Any, embedded: ServerProcess):
    page = visit(embedded.http_url)
    page.type("What time is it?")
    page.wait_answered(2)
    page.page.get_by_role("button", name="Settings").click()
    page.page.get_by_label("Voice that makes it stop").fill("480")
    page.page.get_by_label("Bridges a late answer").check()
    page.wait("watched.received.at(-1)?.session?.s2s?.manners?.filler_after_ms === 700", 3)
    assert page.ask("watched.received.at(-1).session.s2s.barge_in_ms") == 480
