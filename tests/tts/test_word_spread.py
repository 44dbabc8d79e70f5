"""Words are placed where they sound, without knowing how long the speech will be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import never
from talkover.config import Settings
from talkover.messages import VoiceSettings, Word
from talkover.tts.espeak import create
from talkover.tts.word_spread import USUAL_SYLLABLE_MS, SpeakingRate, WordSpread, words_of

RATE_HZ = 24_000


def noise(seconds: float):
    return np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * RATE_HZ)).astype(np.float32)


def silence(seconds: float):
    return np.zeros(round(seconds * RATE_HZ), np.float32)


def spread_over(text: str, samples, n_chunk: int = 2400, syllable_ms: float = USUAL_SYLLABLE_MS) -> list[Word]:
    spread = WordSpread(text, syllable_ms)
    chunks = [samples[start : start + n_chunk] for start in range(0, samples.size, n_chunk)]
    return [*(word for chunk in chunks[:-1] for word in spread.feed(chunk)), *spread.finish(chunks[-1])]


@pytest.mark.parametrize(
    ("text", "words", "syllables"),
    [
        ("Well, hello there.", ["Well", "hello", "there"], [1, 2, 1]),
        ("今天很 nice。", ["今", "天", "很", "nice"], [1, 1, 1, 1]),
        ('"don\'t" 3 chimes - 用SQL查', ["don't", "3", "chimes", "用", "SQL", "查"], [1, 1, 2, 1, 1, 1]),
        ("...", [], []),
    ],
)
def test_words_and_their_syllables(text: str, words: list[str], syllables: list[int]) -> None:
    found = words_of(text)
    assert [text[word.start : word.end] for word in found] == words
    assert [word.syllables for word in found] == syllables


def test_words_begin_where_the_rate_puts_them() -> None:
    words = spread_over("one two three four", noise(0.8), syllable_ms=200)
    assert [word.start_ms for word in words] == pytest.approx([0, 200, 400, 600], abs=20)


def test_silence_moves_no_word() -> None:
    speech = np.concatenate([silence(0.3), noise(0.4), silence(0.5), noise(0.4)])
    words = spread_over("one two three four", speech, syllable_ms=200)
    assert [word.start_ms for word in words] == pytest.approx([300, 500, 1200, 1400], abs=20)


def test_words_that_come_late_share_the_rest() -> None:
    words = spread_over("one two three four", noise(0.4), syllable_ms=1000)
    assert [word.start_ms for word in words] == pytest.approx([0, 100, 200, 300], abs=20)
    assert words[-1].end_ms <= 400


def test_the_rate_is_learned() -> None:
    rate = SpeakingRate()
    for _ in range(20):
        rate.learn(10, 3000)
    assert rate.syllable_ms == pytest.approx(300, rel=0.01)
    rate.learn(2, 10_000)
    assert rate.syllable_ms == pytest.approx(300, rel=0.01)


@settings(deadline=None)
@given(
    text=st.text("ab e.,你好 1", max_size=30),
    pieces=st.lists(st.tuples(st.booleans(), st.integers(1, 400)), min_size=1, max_size=6),
    n_chunk=st.integers(100, 5000),
)
def test_every_word_is_placed_once_in_order_and_inside(text: str, pieces: list[tuple[bool, int]], n_chunk: int) -> None:
    speech = np.concatenate([noise(ms / 1000) if loud else silence(ms / 1000) for loud, ms in pieces])
    words = spread_over(text, speech, n_chunk)
    assert [(word.start, word.end) for word in words] == [(word.start, word.end) for word in words_of(text)]
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts)
    assert all(0 <= start <= speech.size * 1000 / RATE_HZ + 1e-6 for start in starts)


@pytest.mark.parametrize(
    ("voice", "texts"),
    [
        (
            "en-us-f1",
            [
                "You can interrupt me at any time, and I will stop.",
                "The agent listens while it talks, so nothing that you say is lost.",
                "Ask me about the weather, the time, or how to connect a language model.",
            ],
        ),
        (
            "zh-cn-f1",
            ["你随时都可以打断我，我会马上停下来。", "今天天气很好，我们去公园走一走吧。", "请告诉我你想知道什么。"],
        ),
    ],
)
def test_words_of_real_speech_are_within_150_ms_on_average(voice: str, texts: list[str]) -> None:
    """Against espeak-ng, which knows when its words begin; the first text teaches the rate."""
    engine = create(Settings())
    rate = SpeakingRate()
    errors: list[float] = []
    try:
        for text in texts * 2:
            chunks = list(engine.synthesize(text, VoiceSettings(voice), never))
            spread = WordSpread(text, rate.syllable_ms)
            placed = [word for chunk in chunks[:-1] for word in spread.feed(chunk.samples)]
            placed += spread.finish(chunks[-1].samples)
            rate.learn(spread.syllables, spread.audible_ms)
            truth = {word.start: word.start_ms for chunk in chunks for word in chunk.words}
            errors += [abs(word.start_ms - truth[word.start]) for word in placed if word.start in truth]
    finally:
        engine.close()
    assert len(errors) > 40
    assert np.mean(errors) < 150
