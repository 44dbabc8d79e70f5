from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.config import Settings
from talkover.engines import EngineFailed, SpeechChunk
from talkover.messages import VoiceSettings, Word
from talkover.registry import create_engine
from talkover.tts.espeak import EspeakEngine, delivery_of, pieces_of
from talkover.tts.voices import ESPEAK_VOICES

ENGLISH = "Sure, let me have a look at that for you. It takes only a moment."


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    before = set(threading.enumerate())
    made = create_engine("tts", "espeak", Settings())
    made.warmup()
    yield made
    made.close()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("espeak")]


def never() -> bool:
    return False


def spoken(engine: EspeakEngine, text: str, voice: str = "default", speed: float = 1.0) -> list[SpeechChunk]:
    return list(engine.synthesize(text, VoiceSettings(voice, speed), never))


def audio(chunks: list[SpeechChunk]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])


def words_of(chunks: list[SpeechChunk]) -> list[Word]:
    return [word for chunk in chunks for word in chunk.words]


def test_english_words_have_their_offsets_and_times(engine: EspeakEngine) -> None:
    chunks = spoken(engine, ENGLISH)
    words = words_of(chunks)
    samples = audio(chunks)
    texts = [ENGLISH[word.start : word.end] for word in words]
    assert texts[:2] == ["Sure", "let"]
    assert texts[-1] == "moment"
    assert "".join(texts).replace(" ", "") == ENGLISH.replace(" ", "").replace(",", "").replace(".", "")
    assert all(before.end_ms <= after.start_ms + 0.1 for before, after in pairwise(words))
    for word in words:
        assert np.abs(samples[round(word.start_ms * 24) : round(word.end_ms * 24)]).max() > 0.02
    assert words[-1].end_ms == pytest.approx(len(samples) / 24 - 250, abs=30)


def test_a_mixed_text_is_voiced_by_script_with_offsets_over_the_whole(engine: EspeakEngine) -> None:
    text = "我用 iPhone 拍照，OK？然后回家。"
    chunks = spoken(engine, text, "zh-cn-f1")
    words = words_of(chunks)
    texts = [text[word.start : word.end] for word in words]
    assert "OK" in texts
    assert "".join(texts).replace(" ", "") == "我用iPhone拍照OK然后回家"
    assert all(before.end_ms <= after.start_ms + 0.1 for before, after in pairwise(words))
    # an English voice speaks Chinese by its counterpart: as long as the Chinese voice takes, not spelled out
    chinese = "今天天气很好，我们去公园玩吧。"
    lengths = [audio(spoken(engine, chinese, voice)).size for voice in ("en-us-m1", "zh-cn-m1")]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.1)


def test_chunks_are_short_and_sound_comes_at_once(engine: EspeakEngine) -> None:
    chunks = spoken(engine, ENGLISH)
    assert len(chunks[0].samples) == 960
    assert all(len(chunk.samples) == 1920 for chunk in chunks[1:-1])
    assert all(chunk.samples.dtype == np.float32 for chunk in chunks)
    samples = audio(chunks)
    first_loud = int(np.flatnonzero(np.abs(samples) > 0.01)[0])
    assert first_loud < 24 * 40
    assert 0.1 < np.abs(samples).max() < 1


def test_speed_changes_the_duration_over_its_whole_range(engine: EspeakEngine) -> None:
    durations = [audio(spoken(engine, ENGLISH, speed=speed)).size for speed in (0.25, 0.4, 0.7, 1.0, 1.25, 1.5)]
    assert durations == sorted(durations, reverse=True)
    assert durations[3] / durations[5] == pytest.approx(1.5, rel=0.1)
    assert durations[0] / durations[3] > 3
    assert delivery_of(ESPEAK_VOICES["en-us-f1"], 9.0) == delivery_of(ESPEAK_VOICES["en-us-f1"], 1.5)


@pytest.mark.parametrize("voice", [*ESPEAK_VOICES, "default", "alloy"])
def test_every_voice_speaks(engine: EspeakEngine, voice: str) -> None:
    assert 0.5 < audio(spoken(engine, "Hello there, how are you?", voice)).size / 24_000 < 5


def test_an_unknown_voice_is_refused_at_once(engine: EspeakEngine) -> None:
    with pytest.raises(ValueError, match=r"voice must be one of en-us-f1, .*got 'nobody'"):
        engine.synthesize("Hello", VoiceSettings("nobody"), never)


@pytest.mark.parametrize("text", ["", " \n", "...!?", "😀🎉", "\0", "\ud800", "—–“”", "🇩🇪"])
def test_nothing_to_pronounce_gives_no_audio(engine: EspeakEngine, text: str) -> None:
    assert spoken(engine, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "<b>bold</b> & <speak>",
        "a\0b\ud83dc\x1bd",
        "[[h@loU]]",
        "ⴰⵣⵓⵍ ᚠᚢᚦ",
        "x" * 3000,
        "今" * 400,
        "日本語です",
        "हिन्दी",
        "ไทย",
    ],
)
def test_odd_text_is_survived_and_the_next_one_is_spoken(engine: EspeakEngine, text: str) -> None:
    chunks = spoken(engine, text)
    assert all(0 <= word.start < word.end <= len(text) for word in words_of(chunks))
    assert audio(spoken(engine, "Hello.")).size > 6000


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=st.characters(), max_size=30))
def test_any_text_is_survived(text: str) -> None:
    words = words_of(spoken(SHARED[0], text))
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert all(before.end <= after.start for before, after in pairwise(words))


SHARED: list[EspeakEngine] = []


@pytest.fixture(autouse=True)
def _share(engine: EspeakEngine) -> None:
    """Hypothesis calls its test many times within one fixture."""
    SHARED[:] = [engine]


def test_ten_thousand_characters_stream_in_bounded_pieces(engine: EspeakEngine) -> None:
    text = "word and so on, " * 625
    pieces = pieces_of(text)
    assert "".join(text[piece.start : piece.end] for piece in pieces) == text
    assert max(piece.end - piece.start for piece in pieces) <= 240
    stream = engine.synthesize(text, VoiceSettings("default"), never)
    assert len(next(stream).samples) == 960
    stream.close()  # type: ignore[attr-defined]


def test_stale_work_stops_within_a_chunk(engine: EspeakEngine) -> None:
    chunks: list[SpeechChunk] = []
    for chunk in engine.synthesize(ENGLISH * 20, VoiceSettings("default"), lambda: len(chunks) == 3):
        chunks.append(chunk)
    assert len(chunks) == 3
    assert list(engine.synthesize(ENGLISH, VoiceSettings("default"), lambda: True)) == []


def test_consumers_that_stand_still_hold_up_nobody(engine: EspeakEngine) -> None:
    idle = [engine.synthesize(ENGLISH, VoiceSettings("default"), never) for _ in range(16)]
    for stream in idle:
        next(stream)
    expected = audio(spoken(engine, "Hello.")).size
    assert expected > 6000
    assert all(sum(len(chunk.samples) for chunk in stream) > 24_000 for stream in idle)


def test_parallel_callers_all_get_their_own_words(engine: EspeakEngine) -> None:
    texts = [f"{name} is number one, {name} goes first. 你好。" for name in ("Anna", "Ben", "Carl", "Dora") * 4]
    alone = {text: spoken(engine, text) for text in set(texts)}
    results: dict[int, list[SpeechChunk]] = {}

    def speak(index: int) -> None:
        results[index] = spoken(engine, texts[index])

    threads = [threading.Thread(target=speak, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for index, text in enumerate(texts):
        # espeak-ng's noise source and its memory of the last text move borders by some ms
        assert audio(results[index]).size == pytest.approx(audio(alone[text]).size, rel=0.03)
        spans = [[(word.start, word.end) for word in words_of(chunks)] for chunks in (results[index], alone[text])]
        assert spans[0] == spans[1]


def test_close_leaves_no_files_and_refuses_more_work() -> None:
    made = EspeakEngine(2)
    assert list(Path(tempfile.gettempdir()).glob("talkover-espeak-*")) == []
    made.close()
    made.close()
    with pytest.raises(EngineFailed, match="closed"):
        list(made.synthesize("Hello", VoiceSettings("default"), never))


def test_a_second_of_speech_costs_a_few_milliseconds(engine: EspeakEngine) -> None:
    before = time.process_time()
    seconds = audio(spoken(engine, ENGLISH * 10)).size / 24_000
    assert (time.process_time() - before) / seconds < 0.03
