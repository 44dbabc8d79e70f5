"""Recognised words made pleasant to read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.asr.readable import is_question, readable_sentence, readable_words

SPELLINGS = {"talkover": "Talkover", "openai": "OpenAI", "espeak": "eSpeak", "api": "API"}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("what is talkover", "What is Talkover?"),
        ("okay how do i use openai", "Okay how do I use OpenAI?"),
        ("i'm sure i've got an api key", "I'm sure I've got an API key."),
        ("talkover's voice", "Talkover's voice."),
        ("do not stop", "Do not stop."),
        ("stop", "Stop."),
        ("", ""),
    ],
)
def test_sentences(words: str, shown: str) -> None:
    assert readable_sentence(words.split(), SPELLINGS) == shown


def test_a_name_that_begins_small_stays_recognisable_inside() -> None:
    assert readable_words(["use", "espeak"], SPELLINGS) == "Use eSpeak"


def test_politeness_before_a_question() -> None:
    assert is_question(["well", "yes", "but", "why"])
    assert not is_question(["well", "yes"])
    assert not is_question([])


@given(st.lists(st.sampled_from(["i", "talkover", "what", "api", "i'll", "the", "espeak's"])), st.integers(0, 8))
def test_a_prefix_reads_as_a_prefix(words: list[str], length: int) -> None:
    assert readable_words(words, SPELLINGS).startswith(readable_words(words[:length], SPELLINGS))
