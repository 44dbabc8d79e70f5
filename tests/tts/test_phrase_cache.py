"""What is spoken often is kept, within bounds, and never half of it or in another voice."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.engines import EngineFailed, SpeechChunk
from talkover.tts.phrase_cache import MAX_PHRASE_CHARS, PhraseCache

CHUNK = 1000
CHUNK_BYTES = 4 * CHUNK


class Speaker:
    """Speaks a chunk per character and counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def of(self, text: str) -> Callable[[], Iterator[SpeechChunk]]:
        def synthesize() -> Iterator[SpeechChunk]:
            self.calls += 1
            for index, _ in enumerate(text):
                yield SpeechChunk(np.full(CHUNK, self.calls * 100 + index, np.float32))

        return synthesize


def never() -> bool:
    return False


def said(cache: PhraseCache, speaker: Speaker, text: str, how: str = "anna") -> list[float]:
    return [float(chunk.samples[0]) for chunk in cache.speak(text, how, speaker.of(text), never)]


def test_the_third_time_costs_nothing_and_sounds_like_the_second() -> None:
    cache, speaker = PhraseCache(), Speaker()
    first, second, third = (said(cache, speaker, "Hi!") for _ in range(3))
    assert speaker.calls == 2
    assert first != second == third == [200.0, 201.0, 202.0]


def test_what_is_said_once_takes_no_room() -> None:
    cache, speaker = PhraseCache(), Speaker()
    for number in range(50):
        said(cache, speaker, f"Sentence {number}.")
    assert cache.n_bytes == 0


def test_another_voice_or_speed_is_another_phrase() -> None:
    cache, speaker = PhraseCache(), Speaker()
    for _ in range(2):
        said(cache, speaker, "Hi!", "anna")
    assert said(cache, speaker, "Hi!", "berta") == [300.0, 301.0, 302.0]


def test_speech_that_was_broken_off_is_not_kept() -> None:
    cache, speaker = PhraseCache(), Speaker()
    said(cache, speaker, "Hi!")
    broken_off = cache.speak("Hi!", "anna", speaker.of("Hi!"), never)
    next(broken_off)
    broken_off.close()
    stale = [False]
    for _ in cache.speak("Hi!", "anna", speaker.of("Hi!"), lambda: stale[0]):
        stale[0] = True

    def fails() -> Iterator[SpeechChunk]:
        yield SpeechChunk(np.zeros(CHUNK, np.float32))
        raise EngineFailed

    with pytest.raises(EngineFailed):
        list(cache.speak("Hi!", "anna", fails, never))
    assert cache.n_bytes == 0


def test_kept_speech_stops_when_stale() -> None:
    cache, speaker = PhraseCache(), Speaker()
    for _ in range(2):
        said(cache, speaker, "Hi!")
    answers = iter([False, True])
    assert len(list(cache.speak("Hi!", "anna", speaker.of("Hi!"), lambda: next(answers)))) == 1


def test_long_texts_are_not_kept() -> None:
    cache, speaker = PhraseCache(), Speaker()
    for _ in range(3):
        said(cache, speaker, "x" * (MAX_PHRASE_CHARS + 1))
    assert (speaker.calls, cache.n_bytes) == (3, 0)


@settings(deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=6), max_size=60), st.integers(0, 20))
def test_it_never_holds_more_than_it_may(texts: list[str], n_chunks: int) -> None:
    cache, speaker = PhraseCache(n_chunks * CHUNK_BYTES), Speaker()
    for text in texts:
        assert len(said(cache, speaker, text)) == len(text)
        assert cache.n_bytes <= n_chunks * CHUNK_BYTES
