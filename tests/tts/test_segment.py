from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from talkover.tts.segment import Segmenter

PARTS = [
    *(
        "Hello",
        "Dr",
        "etc",
        "No",
        "U.S",
        "p.m",
        "word",
        "The",
        "it",
        "3",
        "14",
        "1,000",
        "10:30",
        "v1.2",
        "I",
        "好",
        "今天",
    ),
    *(
        ".",
        "...",
        "…",
        "!",
        "?",
        "?!",
        ",",
        ":",
        ";",
        "—",
        "-",
        "*",
        "**",
        "#",
        "`",
        "```",
        "|",
        ">",
        "[1]",
        "[",
        "]",
        '"',
        "”",
    ),
    *(
        "。",
        "，",
        "！",
        "？",
        "：",
        "“",
        "（",
        "）",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "😀",
        "https://a.io/b?c=d.",
        "a@b.co",
        "e\u0301",
    ),
]


def segments_of(text: str, size: int | None = None) -> list[str]:
    segmenter = Segmenter()
    deltas = [text] if size is None else [text[i : i + size] for i in range(0, len(text), size)]
    return [segment for delta in deltas for segment in segmenter.feed(delta)] + segmenter.flush()


def width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PARTS), max_size=60).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=30))
@example("fact.[1] Next", [1])
@example("etc.\nand so on. \n \n", [1])
def test_any_cutting_of_the_text_gives_the_same_segments_without_loss(text: str, sizes: list[int]) -> None:
    segmenter = Segmenter()
    segments: list[str] = []
    position = index = 0
    while position < len(text):
        size = sizes[index % len(sizes)]
        segments += segmenter.feed(text[position : position + size])
        position, index = position + size, index + 1
    segments += segmenter.flush()
    assert segments == segments_of(text)
    joined = "".join(segments)
    assert joined == text[: len(joined)]
    assert text[len(joined) :].strip() == ""


@settings(deadline=None)
@given(st.text(max_size=700) | st.lists(st.sampled_from(PARTS), min_size=100, max_size=300).map("".join))
def test_no_segment_is_wider_than_the_limit(text: str) -> None:
    segments = segments_of(text, 7)
    assert all(width(segment) <= 200 for segment in segments)


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.14 or 1,000 at 10:30, said Dr. Smith of No. 5 Main St. in the U.S. yesterday.",
        "Use e.g. apples, i.e. fruit, vs. pears etc. and version 1.2.3 of it.",
        "Mail bob.smith@example.com or see https://example.com/a.b?c=d, e.g. now!",
        "Well... maybe it is J. R. Smith at 9 a.m. today.",
        "版本3.14在10:30发布，共1,000份。",
    ],
)
def test_a_stop_inside_of_a_sentence_does_not_end_it(text: str) -> None:
    segmenter = Segmenter()
    segmenter.feed("Yes. ")
    assert [*segmenter.feed(text + " "), *segmenter.flush()] == [" " + text]


def test_a_sentence_is_cut_when_it_is_complete_and_not_before() -> None:
    segmenter = Segmenter()
    assert segmenter.feed("The value is 3.") == []
    assert segmenter.feed("14") == []
    assert segmenter.feed(".") == []
    assert segmenter.feed(" ") == ["The value is 3.14."]
    assert segmenter.feed("是的。") == [" 是的。"]


def test_the_first_segment_ends_at_the_first_good_clause() -> None:
    assert segments_of("Sure, I can help you, my friend, with that.") == [
        "Sure, I can help you,",
        " my friend, with that.",
    ]
    assert segments_of("好的，我来帮你看看，今天的天气很好。") == ["好的，我来帮你看看，", "今天的天气很好。"]


def test_no_is_a_sentence_unless_a_number_follows() -> None:
    assert segments_of("No. I do not. See no. 5 there.") == ["No.", " I do not.", " See no. 5 there."]


def test_list_numbers_stay_with_their_items_and_blocks_end_at_their_line() -> None:
    text = "# Fruit\n1. Apples. Red ones\n2. Pears\n- Plums\n\nA line that\ngoes on."
    assert segments_of(text, 1) == [
        "# Fruit\n",
        "1. Apples.",
        " Red ones\n",
        "2. Pears\n",
        "- Plums\n",
        "\nA line that\ngoes on.",
    ]


def test_closing_quotes_and_citations_belong_to_their_sentence() -> None:
    assert segments_of('He said: "Go home now." Then he left.[2] 他说：“好的。”走了！') == [
        'He said: "Go home now."',
        " Then he left.[2]",
        " 他说：“好的。”",
        "走了！",
    ]


def test_a_quoted_question_goes_on_in_small_letters() -> None:
    assert segments_of('"Really?" he said. Yes.') == ['"Really?" he said.', " Yes."]


def test_a_long_sentence_is_cut_at_a_clause_else_at_a_blank() -> None:
    text = "Yes. " + "one two three four five six seven, " * 10
    segments = segments_of(text)
    assert all(segment.endswith(",") for segment in segments[1:-1])
    assert len(segments) < 5
    words = segments_of("alpha beta gamma delta " * 30)
    assert all(segment.split()[-1] in {"alpha", "beta", "gamma", "delta"} for segment in words)


def test_flush_makes_the_object_as_new() -> None:
    segmenter = Segmenter()
    segmenter.feed("One two three four, five")
    segmenter.flush()
    assert segmenter.feed("One two three four, five") == ["One two three four,"]
