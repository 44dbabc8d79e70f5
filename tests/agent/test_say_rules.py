"""What is never said: caught in every spelling and wherever the stream is cut, and nothing else is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkover.agent.say_rules import SayFilter, say_rules

RULES = say_rules(("we guarantee", "money-back promise", "保证退款"), (r"\b(?:\d[ -]?){13,16}\b",), "Sorry, not that.")


def spoken(text: str, size: int) -> str:
    """What is let go of `text` when it comes in pieces of `size` characters."""
    checked = SayFilter(RULES)
    pieces = [checked.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return "".join([*pieces, checked.flush()])


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It arrives soon. We guarantee it.", "It arrives soon. Sorry, not that."),
        ("We Guarantee it. And more.", "Sorry, not that."),
        ("Well, **we** guarantee it.", "Well, Sorry, not that."),
        ("Our money back promise, of course.", "Sorry, not that."),
        ("ｗｅ gua\u200brantee it.", "Sorry, not that."),
        ("好的。我们保证退款。", "好的。 Sorry, not that."),
        ("Your card is 4111 1111 1111 1111, right?", "Sorry, not that."),
        ("In short, we, guarantee.", "In short, we, Sorry, not that."),
    ],
)
def test_a_rule_ends_the_answer_before_it_is_spoken(text: str, expected: str, size: int) -> None:
    assert spoken(text, size) == expected


@pytest.mark.parametrize("text", ["We guaranteed nothing.", "Does it cost 3.50 euros? It costs 12,500.", "我们退款。"])
def test_what_no_rule_forbids_is_unchanged(text: str) -> None:
    assert spoken(text, 2) == text


@given(st.text(alphabet="abc ,.!?。，\n1", max_size=600), st.integers(1, 50))
def test_allowed_text_comes_through_whole(text: str, size: int) -> None:
    assert spoken(text, size) == text


def test_a_clause_is_let_go_as_soon_as_it_is_complete() -> None:
    checked = SayFilter(RULES)
    assert checked.feed("In stock, ") == "In stock,"
    assert checked.feed("as far as I") == ""
    assert checked.feed(" know. ") == " as far as I know."


def test_text_without_punctuation_is_not_held_for_ever() -> None:
    checked = SayFilter(RULES)
    released = checked.feed("word " * 60)
    assert 200 <= len(released) <= 240
    assert released + checked.flush() == "word " * 60


def test_a_phrase_over_the_end_of_what_was_let_go_is_caught() -> None:
    text = "word " * 47 + "we guarantee this " + "word " * 40
    assert "guarantee" not in spoken(text, 7)
