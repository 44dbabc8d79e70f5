from __future__ import annotations

import pytest

from talkover.tts.markdown import MarkdownStripper


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("A **bold** and *soft* __move__ of ~~old~~ _things_.", "A bold and soft move of old things."),
        ("half of a **bold", "half of a bold"),
        ("pair** here", "pair here"),
        ("2 * 3 * 4, snake_case_name and 5*6", "2 * 3 * 4, snake_case_name and 5*6"),
        ("See [the docs](https://x.y/z_(a)) and ![a cat](c.png).", "See the docs and a cat."),
        ("As shown [1], twice [2, 3][^4]【3†source】.", "As shown, twice."),
        ("【重要】你好【1】", "【重要】你好"),
        ("Run `pip install x` <b>now</b><br>please &amp; wait", "Run pip install x now please & wait"),
        ("a < b and c > d, x <- y", "a < b and c > d, x <- y"),
        ("> quoted\n> twice", "quoted twice"),
        ("# Title #\ntext", "Title\ntext"),
        ("- [x] done\n* open\n+ more", "done\nopen\nmore"),
        ("1. one\n2. two", "1. one\n2. two"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b\n1, 2"),
        ("above\n\n---\n\nbelow", "above\nbelow"),
        ("Great! 😀👍🏽 :tada: :-) ❤️ ok", "Great! ok"),
        ("\\*not\\* bold", "*not* bold"),
        ("nul\x00 \ud800 zero\u200bwidth \ue000", "nul zerowidth"),
        ("C++, C#, a + b, #5", "C++, C#, a + b, #5"),
        ("2 ** 3", "2 3"),
        ("😀", ""),
        ("", ""),
    ],
)
def test_marks_are_taken_out(text: str, plain: str) -> None:
    assert MarkdownStripper().strip(text) == plain


def test_segments_join_to_a_readable_text() -> None:
    stripper = MarkdownStripper()
    segments = ["Hello.", " How **are", " you**?", "\n\n1. Fine.", " 😀", "\n2. Good", "好。", "对。"]
    assert "".join(map(stripper.strip, segments)) == "Hello. How are you?\n1. Fine.\n2. Good好。对。"


def test_marks_of_blocks_count_only_at_the_start_of_a_line() -> None:
    stripper = MarkdownStripper()
    assert "".join(map(stripper.strip, ["It is 5", " - 3 is 2"])) == "It is 5 - 3 is 2"
