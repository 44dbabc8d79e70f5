"""A person at the page: speaks, is answered, talks over the answer, types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live import ServerProcess
from recordings import check_heard, is_audible, spoken_ms, wav, words
from talkover.audio import OUTPUT_RATE_HZ, samples_to_pcm16
from talkover.messages import Samples

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SENTENCE_PAUSE_MS = 300
"""silence of the embedded voice behind a sentence"""
BARGE_IN_LIMIT_MS = 750
"""from the first sound of the interruption to the last one of the agent: a soft voice is given 450 ms, and the machine
is busy with both sides"""


def loud_stretches(samples: Samples, gap_s: float) -> list[tuple[int, int]]:
    """(begin, end) in samples of what is audible, silences shorter than `gap_s` included."""
    loud = np.flatnonzero(np.abs(samples) > 1e-3)
    if loud.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(loud) > gap_s * OUTPUT_RATE_HZ)
    begins = [loud[0], *loud[breaks + 1]]
    ends = [*loud[breaks], loud[-1]]
    return [(int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]


def test_spoken_question_gets_an_audible_answer(visit: Any, microphone: Any, embedded: ServerProcess, artefacts: Path):
    page = visit(f"{embedded.http_url}/?record=1", microphone("what_is_talkover_slt"))
    assert page.ask("talkover.mood") == "idle"
    page.start_talking()
    page.wait("talkover.mood === 'speaking'")
    page.wait_answered(2)

    question, answer = page.history
    assert {"what", "is"} <= set(words(question["text"]))
    assert {"talkover", "voice"} <= set(words(answer["text"]))
    assert answer["heard"] == answer["text"].rstrip()
    assert not answer["interrupted"]
    captions = page.page.get_by_role("log", name="Captions").inner_text()
    assert " ".join(words(answer["text"])) in " ".join(words(captions))

    rendered = page.rendered()
    (artefacts / "page-answer.wav").write_bytes(wav(rendered, OUTPUT_RATE_HZ))
    assert is_audible(samples_to_pcm16(rendered))
    assert page.ask("talkover.audibleSamples") > 0.5 * page.ask("talkover.renderedSamples") > 0
    ((begin, end),) = loud_stretches(rendered, gap_s=1.5)
    audible_ms = (end - begin) * 1000 / OUTPUT_RATE_HZ
    assert abs(audible_ms - spoken_ms(embedded.http_url, answer["text"], "default")) < 0.1 * audible_ms

    turn = page.ask("talkover.metrics[0]")
    assert 300 < turn["totalMs"] < 5000
    assert page.page.get_by_text("Voice to voice").is_visible()


def test_speaking_over_a_long_answer_silences_the_page(
    visit: Any, microphone: Any, embedded: ServerProcess, artefacts: Path
):
    page = visit(f"{embedded.http_url}/?record=1", microphone("story_slt", 6.0, "time_slt"))
    page.start_talking()
    page.wait("talkover.mood === 'speaking'")
    page.wait("talkover.mood === 'interrupted'")
    page.wait("talkover.silentForMs > 500")
    last_sound_ms = page.ask("performance.now() - talkover.silentForMs")
    page.wait("talkover.history.length === 4 && talkover.mood === 'speaking'")
    first_new_sound_ms = page.ask("performance.now()")
    page.wait_answered(4)

    question, story, interruption, answer = page.history
    assert "story" in words(question["text"])
    assert "time" in words(interruption["text"])
    assert story["interrupted"]
    assert not answer["interrupted"]

    first_delta_ms = page.ask("watched.received.find((event) => event.type === 'response.output_audio.delta').at_ms")
    onset_ms = page.ask(f"watched.sent.find((event) => event.rms > 0.005 && event.at_ms > {first_delta_ms}).at_ms")
    assert 0 < last_sound_ms - onset_ms < BARGE_IN_LIMIT_MS

    rendered = page.rendered()
    (artefacts / "page-barge-in.wav").write_bytes(wav(rendered, OUTPUT_RATE_HZ))
    first, second = loud_stretches(rendered, gap_s=1.5)
    silent_ms = (second[0] - first[1]) * 1000 / OUTPUT_RATE_HZ
    assert abs(silent_ms - (first_new_sound_ms - last_sound_ms)) < 500

    # what the agent remembers is what was heard
    page.ask(f"watched.socket.send(JSON.stringify({{type: 'conversation.item.retrieve', item_id: '{story['id']}'}}))")
    page.wait("watched.received.at(-1).type === 'conversation.item.retrieved'")
    remembered = page.ask("watched.received.at(-1).item.content[0].transcript")
    assert abs(len(words(remembered)) - len(words(story["heard"]))) <= 1
    audible_ms = (first[1] - first[0]) * 1000 / OUTPUT_RATE_HZ
    # it may have been stopped in the silence between two sentences
    assert -150 < story["heardMs"] - audible_ms < 150 + SENTENCE_PAUSE_MS
    check_heard(embedded.http_url, story["text"], story["heard"], audible_ms, "default")


def test_typed_question_is_answered_aloud_without_a_microphone(visit: Any, embedded: ServerProcess):
    page = visit(embedded.http_url)
    page.type("What time is it?")
    page.wait_answered(2)
    question, answer = page.history
    assert (question["role"], question["text"]) == ("user", "What time is it?")
    assert {"it", "is"} <= set(words(answer["heard"]))
    assert page.ask("talkover.audibleSamples") > OUTPUT_RATE_HZ


def test_escape_stops_the_answer_and_keeps_what_was_heard(visit: Any, embedded: ServerProcess):
    page = visit(embedded.http_url)
    page.type("Please tell me a story.")
    page.wait("talkover.history.at(-1)?.heardMs > 2500")
    page.page.keyboard.press("Escape")
    page.wait("talkover.mood === 'ready'", 1)
    page.pause(0.3)
    assert page.ask("talkover.silentForMs") > 200
    story = page.history[-1]
    assert story["interrupted"]
    check_heard(embedded.http_url, story["text"], story["heard"], story["heardMs"], "default")
    page.type("Please go on.")
    page.wait("talkover.history.length === 4 && talkover.mood === 'speaking'")


def test_a_question_typed_over_an_answer_interrupts_it(visit: Any, embedded: ServerProcess):
    page = visit(embedded.http_url)
    page.type("Please tell me a story.")
    page.wait("talkover.history.at(-1)?.heardMs > 1500")
    page.type("What time is it?")
    page.wait_answered(4)
    _, story, _, answer = page.history
    assert story["interrupted"]
    assert 1500 < story["heardMs"] < 4000
    assert "it is" in answer["heard"].lower()
