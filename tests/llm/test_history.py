"""The budget of a long conversation: what stays, what is summarised, and when that takes effect."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from talkover.llm.history import History, Piece
from talkover.llm.summary import summary_prompt
from talkover.llm.token_estimate import estimated_tokens
from talkover.messages import PromptCall, PromptCallOutput, PromptMessage


def turns(count: int, tokens: int = 10) -> list[Piece]:
    """Question and answer, one after the other."""
    return [Piece(f"item_{index}", tokens, index % 2 == 0) for index in range(2 * count)]


def test_a_short_conversation_is_whole_and_needs_no_summary() -> None:
    history = History(1000)
    assert history.start(turns(5)) == 0
    assert history.to_summarise(turns(5)) is None


def test_a_summary_is_asked_for_before_the_budget_is_used_up_and_once() -> None:
    history = History(1000)
    assert history.to_summarise(turns(37)) is None
    span = history.to_summarise(turns(38))
    assert span == (0, 26)
    assert history.start(turns(38)) == 0
    assert history.to_summarise(turns(40)) is None


def test_a_summary_takes_effect_between_two_answers_only() -> None:
    history = History(1000)
    history.to_summarise(turns(40))
    history.summarised("They want a lamp. ")
    assert (history.start(turns(40)), history.summary) == (0, "")
    history.settle()
    assert history.summary == "They want a lamp."
    assert history.start(turns(40)) == 30
    assert sum(piece.tokens for piece in turns(40)[30:]) <= 500


def test_the_next_summary_is_of_what_came_after_the_first() -> None:
    history = History(1000)
    history.to_summarise(turns(40))
    history.summarised("One.")
    history.settle()
    assert history.to_summarise(turns(52)) is None
    assert history.to_summarise(turns(54)) == (30, 58)


def test_without_a_summary_the_oldest_turns_are_left_out() -> None:
    history = History(1000)
    start = history.start(turns(60))
    assert start == 20
    assert turns(60)[start].begins_turn


def test_a_summary_that_failed_is_asked_for_again_later() -> None:
    history = History(1000)
    assert history.to_summarise(turns(40)) is not None
    history.failed(turns(40))
    assert history.to_summarise(turns(42)) is None
    assert history.to_summarise(turns(45)) is not None


def test_an_empty_summary_is_none() -> None:
    history = History(1000)
    history.to_summarise(turns(40))
    history.summarised("  ")
    history.settle()
    assert history.start(turns(40)) == 0


def test_one_endless_turn_is_never_cut_in_the_middle() -> None:
    history = History(100)
    pieces = [Piece("question", 10, True), *(Piece(f"answer_{index}", 50, False) for index in range(8))]
    assert history.to_summarise(pieces) is None
    assert history.start(pieces) == len(pieces) - 1


@given(st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=60), st.integers(50, 1000))
def test_a_prompt_is_never_empty_and_fits_unless_its_last_piece_does_not(
    sizes: list[tuple[int, bool]], budget: int
) -> None:
    pieces = [Piece(str(index), tokens, begins) for index, (tokens, begins) in enumerate(sizes)]
    history = History(budget)
    for _ in range(3):
        start = history.start(pieces)
        assert start < len(pieces)
        assert start == len(pieces) - 1 or sum(piece.tokens for piece in pieces[start:]) <= budget
        if history.to_summarise(pieces) is not None:
            history.summarised("s")
            history.settle()


def test_tokens_are_estimated_for_any_script() -> None:
    assert estimated_tokens("") == 4
    assert 10 <= estimated_tokens("How long does it take to deliver a lamp?") <= 16
    assert 10 <= estimated_tokens("请问送货需要多长时间？") <= 16
    assert estimated_tokens("Привет, как дела?") >= 9


def test_the_request_for_a_summary_is_in_the_background_and_treats_the_talk_as_data() -> None:
    messages = (
        PromptMessage("user", "I am Ada."),
        PromptCall("c", "look_up", '{"id": 7}'),
        PromptCallOutput("c", "x" * 1000),
        PromptMessage("assistant", "It comes on Monday."),
        PromptMessage("user", ""),
    )
    prompt = summary_prompt("They called before.", messages)
    (only,) = prompt.messages
    assert isinstance(only, PromptMessage)
    assert prompt.in_background
    assert not prompt.spoken
    lines = only.text.splitlines()
    assert lines[:3] == ["Notes so far: They called before.", "User: I am Ada.", 'Agent calls look_up: {"id": 7}']
    assert lines[4] == "Agent: It comes on Monday."
    assert len(lines) == 5
    assert len(lines[3]) < 400
