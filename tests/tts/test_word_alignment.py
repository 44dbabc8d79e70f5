"""Words are placed where they sound, against speech whose words have known times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import never
from talkover.config import Settings
from talkover.messages import Samples, VoiceSettings, Word
from talkover.tts.espeak import create
from talkover.tts.word_alignment import DEFAULT_PACE, WordAligner, expected_words

RATE_HZ = 24_000
BLOCK = RATE_HZ
"""what CosyVoice2 makes at a time: 25 speech ids, one second"""
ENGLISH = (
    "Hello there, it is good to hear from you again.",
    "The weather tomorrow will be mostly sunny, with a light breeze from the west.",
    "I looked it up for you: the library opens at nine and closes at half past six.",
    "Sure. First, boil the water. Then add the noodles, and wait for about four minutes.",
    "That is a good question, and the honest answer is that nobody knows yet.",
    "There are three options, and I would take the second one because it is cheaper.",
)
MANDARIN = (
    "你好，很高兴再次听到你的声音。",
    "明天大部分时间是晴天，西边有微风。",
    "图书馆早上九点开门，晚上六点半关门。",
    "好的。先把水烧开，再放面条，等大约四分钟。",
    "这是一个好问题，老实说现在还没有人知道答案。",
)


def noise(seconds: float) -> Samples:
    return np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * RATE_HZ)).astype(np.float32)


def placed(aligner: WordAligner, samples: Samples, size: int = BLOCK, known_ahead_s: float = 0.0) -> list[Word]:
    """`known_ahead_s`: how long before its end the duration of the whole is known."""
    words: list[Word] = []
    total_s = samples.size / RATE_HZ
    for start in range(0, max(samples.size, 1), size):
        left_s = (samples.size - start) / RATE_HZ
        known_s = total_s if left_s <= known_ahead_s else None
        words += aligner.feed(samples[start : start + size], known_s, last=start + size >= samples.size)
    return words


@pytest.mark.parametrize(
    ("texts", "voices"),
    [(ENGLISH, ("en-us-f1", "en-us-m1", "en-gb-f1")), (MANDARIN, ("zh-cn-f1", "zh-cn-m1"))],
    ids=["english", "mandarin"],
)
def test_words_are_within_150_ms_on_average(texts: tuple[str, ...], voices: tuple[str, ...]) -> None:
    """espeak-ng says when its words begin. The duration is known 1.4 s before the end: 25 ids and what is held back."""
    errors: list[float] = []
    engine = create(Settings())
    for voice in voices:
        for speed in (0.85, 1.0, 1.2):
            pace = DEFAULT_PACE  # learned from text to text, as the engine does
            for text in texts:
                chunks = list(engine.synthesize(text, VoiceSettings(voice, speed), never))
                aligner = WordAligner(text, pace)
                found = placed(aligner, np.concatenate([chunk.samples for chunk in chunks]), known_ahead_s=2.4)
                pace += 0.5 * (aligner.pace - pace)
                truth = {word.start: word.start_ms for chunk in chunks for word in chunk.words}
                errors += [abs(word.start_ms - truth[word.start]) for word in found if word.start in truth]
    engine.close()
    assert len(errors) > 200
    assert np.mean(errors) < 150
    assert np.median(errors) < 100


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
def test_words_are_within_150_ms_when_only_the_audio_tells(voice: str, texts: tuple[str, ...]) -> None:
    """Texts that nothing was tuned on, in the small chunks of other engines, of a duration that is never known."""
    engine = create(Settings())
    pace = DEFAULT_PACE
    errors: list[float] = []
    for text in texts * 2:
        chunks = list(engine.synthesize(text, VoiceSettings(voice), never))
        truth = {word.start: word.start_ms for chunk in chunks for word in chunk.words}
        aligner = WordAligner(text, pace)
        for chunk in chunks:
            found = aligner.feed(chunk.samples, None, last=chunk is chunks[-1])
            errors += [abs(word.start_ms - truth[word.start]) for word in found if word.start in truth]
        pace += 0.5 * (aligner.pace - pace)
    engine.close()
    assert len(errors) > 40
    assert np.mean(errors) < 150


def test_words_wait_for_the_end_of_silence_and_of_pauses() -> None:
    speech = np.concatenate(
        [np.zeros(RATE_HZ // 2, np.float32), noise(0.35), np.zeros(RATE_HZ, np.float32), noise(0.5)]
    )
    one, two = placed(WordAligner("Well, hello."), speech)
    assert (one.start, one.end, two.start, two.end) == (0, 4, 6, 11)
    assert one.start_ms == pytest.approx(500, abs=30)
    assert two.start_ms == pytest.approx(1850, abs=30)


def test_a_known_duration_spreads_the_words_over_it() -> None:
    text = "one two three four five six seven eight nine ten"
    for seconds in (2.0, 3.0, 4.0):
        words = placed(WordAligner(text), noise(seconds), known_ahead_s=99)
        assert words[-1].end_ms == pytest.approx(1000 * seconds, rel=0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Well, hello there.", ["Well", "hello", "there"]),
        ("今天很 nice。", ["今", "天", "很", "nice"]),
        ('"don\'t" 3.14 times - 用SQL查', ["don't", "3.14", "times", "用", "SQL", "查"]),
        ("Ha [laughter] <strong>now</strong>.", ["Ha", "now"]),
        ("...", []),
    ],
)
def test_marks_and_punctuation_belong_to_no_word(text: str, words: list[str]) -> None:
    assert [text[word.start : word.end] for word in expected_words(text)] == words


@settings(deadline=None)
@given(
    text=st.text(st.sampled_from("ab 你好,.。!?[]<>'-1\n"), max_size=60),
    stretches=st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.5)), max_size=6),
    size=st.integers(100, 30_000),
    known=st.floats(0, 5),
)
def test_every_word_comes_once_in_order_and_inside(
    text: str, stretches: list[tuple[bool, float]], size: int, known: float
) -> None:
    loud = noise(1.5)
    parts = [loud[: round(s * RATE_HZ)] * (1.0 if is_loud else 1e-5) for is_loud, s in stretches]
    speech = np.concatenate([np.zeros(0, np.float32), *parts]).astype(np.float32)
    words = placed(WordAligner(text), speech, size, known)
    assert [(word.start, word.end) for word in words] == [(word.start, word.end) for word in expected_words(text)]
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts)
    assert all(0 <= start <= 1000 * speech.size / RATE_HZ + 1 for start in starts)
