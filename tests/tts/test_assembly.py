from __future__ import annotations

import numpy as np
import pytest

from talkover.engines import SpeechChunk
from talkover.tts.assembly import SpeechAssembly
from talkover.tts.espeak_library import SOURCE_RATE_HZ, Block, WordMark

MS = SOURCE_RATE_HZ / 1000


def sound(duration_ms: float) -> np.ndarray:
    return np.round(8000 * np.sin(np.arange(round(duration_ms * MS)) * 0.1)).astype(np.int16)


def silence(duration_ms: float) -> np.ndarray:
    return np.zeros(round(duration_ms * MS), np.int16)


def assembled(
    pieces: list[tuple[str, np.ndarray, list[tuple[int, float]], float]], block: int = 700
) -> list[SpeechChunk]:
    """`pieces`: text, audio, words as (char, ms), pause after it."""
    assembly = SpeechAssembly()
    chunks: list[SpeechChunk] = []
    offset = 0
    for text, samples, words, pause_ms in pieces:
        assembly.begin_piece(text, offset)
        offset += len(text)
        marks = [WordMark(char, round(ms * MS)) for char, ms in words]
        for start in range(0, len(samples), block):
            inside = tuple(mark for mark in marks if start <= mark.sample < start + block)
            chunks += assembly.feed(Block(samples[start : start + block], inside))
        chunks += assembly.end_piece(pause_ms)
    return chunks + assembly.finish()


def joined(chunks: list[SpeechChunk]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks])


PHRASE = (
    "one two.",
    np.concatenate([silence(60), sound(200), silence(50), sound(150), silence(300)]),
    [(0, 0), (4, 310)],
    120,
)


@pytest.mark.parametrize("block", [64, 700, 100_000])
def test_silence_at_the_borders_becomes_the_pause_that_was_asked_for(block: int) -> None:
    samples = joined(assembled([PHRASE], block))
    expected_ms = 10 + 200 + 50 + 150 + 120
    assert len(samples) == pytest.approx(expected_ms * 24, abs=30)
    assert np.abs(samples[: 9 * 24]).max() < 0.01
    assert np.abs(samples[-110 * 24 :]).max() < 0.01


@pytest.mark.parametrize("block", [64, 700, 100_000])
def test_words_are_timed_on_the_trimmed_clock(block: int) -> None:
    words = [word for chunk in assembled([PHRASE], block) for word in chunk.words]
    assert [(word.start, word.end) for word in words] == [(0, 3), (4, 7)]
    times = [time for word in words for time in (word.start_ms, word.end_ms)]
    # the mark of the first word lies in the silence that was cut
    assert times == pytest.approx([0, 210, 260, 410], abs=1)


def test_blocks_of_any_size_give_the_same_audio() -> None:
    np.testing.assert_allclose(joined(assembled([PHRASE], 64)), joined(assembled([PHRASE], 5000)), atol=1e-6)


def test_pieces_follow_each_other_with_offsets_and_times_of_the_whole() -> None:
    second = ("三 四", np.concatenate([silence(5), sound(100), sound(100)]), [(0, 5), (2, 105)], 20)
    chunks = assembled([PHRASE, second])
    words = [word for chunk in chunks for word in chunk.words]
    assert [(word.start, word.end) for word in words] == [(0, 3), (4, 7), (8, 9), (10, 11)]
    assert words[2].start_ms == pytest.approx(530, abs=1)
    assert words[3].end_ms == pytest.approx(530 + 205, abs=2)


def test_each_chunk_carries_the_words_that_begin_in_it() -> None:
    start_ms = 0.0
    chunks = assembled([PHRASE, PHRASE])
    for chunk in chunks:
        end_ms = start_ms + len(chunk.samples) / 24
        assert all(start_ms - 0.01 <= word.start_ms < end_ms for word in chunk.words)
        start_ms = end_ms
    assert [len(chunk.samples) for chunk in chunks[:3]] == [960, 1920, 1920]


def test_there_is_no_step_at_a_border() -> None:
    loud = ("a", sound(100), [(0, 0)], 50.0)
    samples = joined(assembled([loud, loud]))
    # the tone's own steps are at most 0.024 (amplitude times angle per sample), a cut at its peak is 0.24
    assert np.abs(np.diff(samples)).max() < 0.03


def test_a_word_marked_twice_counts_once_and_a_silent_piece_has_no_audio() -> None:
    spelled = ("ab cd", sound(300), [(0, 0), (0, 100), (3, 200)], 0.0)
    words = [word for chunk in assembled([spelled]) for word in chunk.words]
    assert [(word.start, word.end) for word in words] == [(0, 2), (3, 5)]
    assert joined([*assembled([("-", silence(200), [], 250.0)]), SpeechChunk(np.zeros(0, np.float32))]).size == 0
