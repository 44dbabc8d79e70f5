"""What is searched for, and which passages an answer turns out to draw on."""

from __future__ import annotations

import pytest

from talkover.llm.grounding import Attribution, question_of, same_question, search_question
from talkover.messages import PromptMessage, Source

HOURS = Source("1", "Opening hours", "hours.md", "", 9, "We are open from nine to six. On Sunday the shop is closed.")
PRICES = Source("2", "Prices", "prices.md", "", 7, "An espresso costs 2.50, a filter coffee 3.10 euros.")
RETURNS = Source("3", "Returns", "returns.md", "", 5, "Bring the machine back within thirty days with its receipt.")
CHINESE = Source("4", "退货", "returns.zh.md", "", 5, "三十天内可以凭收据退货。")


@pytest.mark.parametrize(
    ("said", "before", "question"),
    [
        ("When do you open on Sunday?", "What does an espresso cost?", "When do you open on Sunday?"),
        ("And on Sunday?", "When do you open?", "When do you open? And on Sunday?"),
        ("What about filter coffee?", "What does tea cost?", "What does tea cost? What about filter coffee?"),
        ("How long does it take?", "How do I return a machine?", "How do I return a machine? How long does it take?"),
        ("Why?", "Is the shop closed?", "Is the shop closed? Why?"),
        ("And how do I return a broken espresso machine?", "Hi.", "And how do I return a broken espresso machine?"),
        ("那周日呢?", "你们几点营业?", "你们几点营业? 那周日呢?"),
        ("And on Sunday?", "", "And on Sunday?"),
    ],
)
def test_a_question_that_leans_on_the_one_before_is_searched_with_it(said: str, before: str, question: str) -> None:
    assert search_question(said, before) == question


def test_the_question_of_a_conversation_is_what_the_user_said_last() -> None:
    messages = [
        PromptMessage("user", "When do you open?"),
        PromptMessage("assistant", "At nine."),
        PromptMessage("user", "And on Sunday?"),
        PromptMessage("user", " "),
    ]
    assert question_of(messages) == "When do you open? And on Sunday?"
    assert question_of([PromptMessage("assistant", "Welcome!")]) == ""


def test_wordings_that_differ_in_little_words_are_one_search() -> None:
    assert same_question("um what are the opening hours") == same_question("What are your opening hours, please?")
    assert same_question("opening hours") != same_question("opening hours on Sunday")
    assert not same_question("um, well, could you")


def used(question: str, *pieces: str, passages: tuple[Source, ...] = (HOURS, PRICES, RETURNS)) -> list[str]:
    attribution = Attribution(question, passages)
    found = [source for piece in pieces for source in attribution.feed(piece)]
    return [source.id for source in (*found, *attribution.flush())]


def test_the_passage_whose_words_are_told_is_the_source() -> None:
    assert used("When do you open?", "From nine to six, and on Sunday we are closed.") == ["1"]
    assert used("What does an espresso cost?", "It is 2.50.") == ["2"]


def test_an_answer_from_two_passages_names_both_once_and_in_the_order_it_tells_them() -> None:
    pieces = [
        "Bring it back ",
        "with the receipt, within thirty days. ",
        "We are closed on Sunday, ",
        "open from nine.",
    ]
    assert used("How do I return it?", *pieces) == ["3", "1"]


def test_words_of_the_question_alone_are_no_evidence() -> None:
    assert used("Is the shop closed on Sunday?", "I cannot tell whether the shop is closed on Sunday.") == []


@pytest.mark.parametrize(
    "declined",
    [
        "I don't find that in the documents.",
        "Sorry, the opening times of the bakery are not mentioned in the documents.",
        "I can't find anything about Sunday hours.",
        "文档里没有找到。",
    ],
)
def test_a_declined_question_has_no_source(declined: str) -> None:
    assert used("Who won the match?", declined) == []


def test_what_is_told_behind_a_declining_sentence_still_counts() -> None:
    assert used("Do you sell tea?", "I don't find tea in the documents. ", "A filter coffee costs 3.10 euros.") == ["2"]


def test_small_talk_has_no_source() -> None:
    assert used("Hello!", "Hello! How can I help you?") == []


def test_passages_in_another_script_cannot_be_compared_and_are_all_given() -> None:
    assert used("怎么退货?", "请在三十天内带上收据。", passages=(RETURNS, PRICES)) == ["3", "2"]
    assert used("怎么退货?", "请在三十天内凭收据退。", passages=(CHINESE, PRICES)) == ["2", "4"]


def test_sources_come_with_the_sentence_that_tells_them() -> None:
    attribution = Attribution("When do you open?", (HOURS, PRICES))
    assert attribution.feed("From nine to six") == ()
    assert attribution.feed(", on Sunday we are closed. Anything") == (HOURS,)
    assert attribution.feed(" else? ") == ()
    assert attribution.flush() == ()
