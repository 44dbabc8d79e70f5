"""Thoughts stay unspoken, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.llm.thoughts import ThoughtFilter


def spoken(*pieces: str) -> str:
    thoughts = ThoughtFilter()
    return "".join(thoughts.feed(piece) for piece in pieces) + thoughts.flush()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello.", "Hello."),
        ("<think>Hm, what now?</think>\n\nHello.", "Hello."),
        ("\n <thinking>a < b</thinking>Yes.", "Yes."),
        ("<think></think><think>again</think>Yes.", "Yes."),
        ("<think>never closed", ""),
        ("<thin ice", "<thin ice"),
        ("<", "<"),
        ("Use the <think> tag.", "Use the <think> tag."),
        ("reasoning without an opening tag</think>Answer.", "reasoning without an opening tagAnswer."),
        ("2 < 3 and 3 > 2", "2 < 3 and 3 > 2"),
    ],
)
def test_only_the_answer_is_spoken(text: str, expected: str) -> None:
    assert spoken(text) == expected
    assert spoken(*text) == expected


@given(st.text(alphabet="<>/think ab", max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_cutting_the_stream_elsewhere_changes_nothing(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    assert spoken(*pieces) == spoken(text)


def test_text_without_tags_is_passed_on_at_once() -> None:
    thoughts = ThoughtFilter()
    assert thoughts.feed("Hel") == "Hel"
    assert thoughts.feed("lo <b") == "lo <b"
