"""Words are placed where they sound, from the audio alone, before its end is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import never
from talkover.config import Settings
from talkover.messages import VoiceSettings, Word
from talkover.tts.espeak import create
from talkover.tts.word_alignment import DEFAULT_PACE, WordAligner, expected_words

RATE_HZ = 24_000


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * RATE_HZ)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def placed(text: str, samples: np.ndarray, n_chunk: int = 2400, total_s: float | None = None) -> list[Word]:
    aligner = WordAligner(text)
    starts = range(0, samples.size, n_chunk)
    return [
        word
        for start in starts
        for word in aligner.feed(samples[start : start + n_chunk], total_s, last=start == starts[-1])
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Well, hello there.", ["Well", "hello", "there"]),
        ("今天很 nice。", ["今", "天", "很", "nice"]),
        ('"don\'t" 3 times - 用SQL查', ["don't", "3", "times", "用", "SQL", "查"]),
        ("Ha [laughter] <strong>now</strong>.", ["Ha", "now"]),
        ("...", []),
    ],
)
def test_marks_and_punctuation_belong_to_no_word(text: str, words: list[str]) -> None:
    assert [text[word.start : word.end] for word in expected_words(text)] == words


def test_the_word_behind_a_comma_begins_behind_the_pause() -> None:
    text = "All of these, now"
    words = placed(text, np.concatenate([noise(0.5), silence(0.4), noise(0.4)]))
    assert words[0].start_ms == 0
    assert words[-1].start_ms == pytest.approx(900, abs=20)
    assert all(word.start_ms < 500 for word in words[:-1])


@settings(deadline=None)
@given(
    text=st.text("ab e.,你好 1", max_size=30),
    pieces=st.lists(st.tuples(st.booleans(), st.integers(1, 400)), min_size=1, max_size=6),
    n_chunk=st.integers(100, 5000),
    total_known=st.booleans(),
)
def test_every_word_is_placed_once_in_order_and_inside(
    text: str, pieces: list[tuple[bool, int]], n_chunk: int, total_known: bool
) -> None:
    speech = np.concatenate([noise(ms / 1000) if loud else silence(ms / 1000) for loud, ms in pieces])
    total_s = speech.size / RATE_HZ
    words = placed(text, speech, n_chunk, total_s if total_known else None)
    assert [(word.start, word.end) for word in words] == [(word.start, word.end) for word in expected_words(text)]
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts)
    assert all(0 <= start <= 1000 * total_s + 1e-6 for start in starts)


@pytest.mark.parametrize(
    ("voice", "texts"),
    [
        (
            "en-us-f1",
            (
                "You can interrupt me at any time, and I will stop.",
                "The agent listens while it talks, so nothing that you say is lost.",
                "Ask me about the weather, the time, or how to connect a language model.",
            ),
        ),
        (
            "zh-cn-f1",
            ("你随时都可以打断我，我会马上停下来。", "今天天气很好，我们去公园走一走吧。", "请告诉我你想知道什么。"),
        ),
    ],
)
def test_words_of_real_speech_are_within_150_ms_on_average(voice: str, texts: tuple[str, ...]) -> None:
    """Against espeak-ng, which knows when its words begin; nothing but the audio tells how long it will be."""
    engine = create(Settings())
    pace = DEFAULT_PACE
    errors: list[float] = []
    try:
        for text in texts * 2:
            chunks = list(engine.synthesize(text, VoiceSettings(voice), never))
            truth = {word.start: word.start_ms for chunk in chunks for word in chunk.words}
            aligner = WordAligner(text, pace)
            for chunk in chunks:
                found = aligner.feed(chunk.samples, None, last=chunk is chunks[-1])
                errors += [abs(word.start_ms - truth[word.start]) for word in found if word.start in truth]
            pace += 0.5 * (aligner.pace - pace)
    finally:
        engine.close()
    assert len(errors) > 40
    assert np.mean(errors) < 150
