"""Entries are said, whole words only, and words still point into what was written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.engines import SpeechChunk
from talkover.messages import Word
from talkover.tts.pronunciation import pronounced, speak_as_pronounced


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("SQL and MySQL, SQLite or SQL.", "sequel and MySQL, SQLite or sequel."),
        ("us and US", "us and United States"),
        ("我在重庆喝茶", "我在虫庆喝茶"),
        ("用SQL查", "用 sequel 查"),
        ("C++ is not C", "see plus plus is not C"),
        ("New York, York", "Big Apple, Yorkshire"),
    ],
)
def test_entries(text: str, spoken: str) -> None:
    table = {
        "SQL": "sequel",
        "US": "United States",
        "重庆": "虫庆",
        "C++": "see plus plus",
        "York": "Yorkshire",
        "New York": "Big Apple",
    }
    got = pronounced(text, table).spoken
    assert got.replace(" ", "") == spoken.replace(" ", "")
    assert ("sequel" in got) == ("sequel" in spoken)


def one_word_each(text: str):
    """A synthesiser of 100 ms per word."""
    position = 0
    for index, word in enumerate(text.split()):
        start = text.index(word, position)
        position = start + len(word)
        yield SpeechChunk(np.zeros(2400, np.float32), (Word(start, position, index * 100.0, index * 100.0 + 100),))


def test_words_point_into_the_written_text() -> None:
    text = "Ask SQL now"
    chunks = list(speak_as_pronounced(text, {"SQL": "the sequel"}, one_word_each))
    assert [text[word.start : word.end] for chunk in chunks for word in chunk.words] == ["Ask", "SQL", "SQL", "now"]


@settings(deadline=None)
@given(
    st.text(alphabet="aAbB 你好.，", max_size=30), st.dictionaries(st.text("aAbB你好", min_size=1), st.text("xyz 新"))
)
def test_offsets_stay_in_the_text_and_in_order(text: str, table: dict[str, str]) -> None:
    words = [word for chunk in speak_as_pronounced(text, table, one_word_each) for word in chunk.words]
    assert all(0 <= word.start <= word.end <= len(text) for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)


def test_an_empty_table_changes_nothing() -> None:
    assert pronounced("a b", {}).spoken == "a b"
