"""When a question that is still being spoken is looked up."""

from __future__ import annotations

from talkover.messages import Transcript
from talkover.realtime.lookahead import MAX_SEARCHES, Lookahead


def partial(text: str, stable: int | None = None, item_id: str = "item_1", final: bool = False) -> Transcript:
    return Transcript(item_id, text, len(text) if stable is None else stable, final)


def test_a_stable_prefix_is_searched_once_per_new_telling_word() -> None:
    lookahead = Lookahead()
    heard = ["what", "what are your", "what are your opening", "the opening hours", "the opening hours on"]
    asked = [lookahead.hear(partial(text), "") for text in heard]
    assert asked == [None, None, None, "the opening hours", None]
    assert lookahead.hear(partial("the opening hours on sunday"), "") == "the opening hours on sunday"


def test_what_may_be_taken_back_is_not_searched_for() -> None:
    lookahead = Lookahead()
    assert lookahead.hear(partial("opening hours of the bank", stable=8), "") is None
    assert lookahead.hear(partial("opening hours of the band", stable=13), "") == "opening hours"


def test_the_final_words_are_searched_when_they_are_new() -> None:
    lookahead = Lookahead()
    assert lookahead.hear(partial("opening hours"), "") == "opening hours"
    assert lookahead.hear(partial("The opening hours, please.", final=True), "") is None
    assert lookahead.hear(partial("Prices?", item_id="item_2", final=True), "") == "Prices?"
    assert lookahead.hear(partial("Um.", item_id="item_3", final=True), "") is None


def test_a_question_that_leans_on_the_one_before_is_looked_up_with_it() -> None:
    assert Lookahead().hear(partial("and on sunday"), "When do you open?") == "When do you open? and on sunday"


def test_a_new_utterance_begins_anew() -> None:
    lookahead = Lookahead()
    assert lookahead.hear(partial("opening hours"), "") == "opening hours"
    assert lookahead.hear(partial("opening hours", item_id="item_2"), "") == "opening hours"


def test_a_long_story_is_not_searched_for_word_by_word() -> None:
    lookahead = Lookahead()
    words = [f"word{at}" for at in range(40)]
    asked = [lookahead.hear(partial(" ".join(words[: at + 1])), "") for at in range(40)]
    assert len([question for question in asked if question]) == MAX_SEARCHES
    assert lookahead.hear(partial(" ".join([*words, "end"]), final=True), "") is not None
