"""Committed words of a partial transcript."""

from hypothesis import given
from hypothesis import strategies as st

from talkover.asr.stability import STABLE_AFTER_MS, StablePrefix


def test_words_are_committed_when_they_did_not_change_for_long_enough() -> None:
    stable = StablePrefix()
    assert stable.update(["what", "is", "the"], 500) == (("what", "is", "the"), 0)
    assert stable.update(["what", "is", "the", "time"], 500 + STABLE_AFTER_MS)[1] == 2
    assert stable.update(["what", "is", "the", "time", "now"], 600 + STABLE_AFTER_MS)[1] == 3


def test_a_change_starts_the_clock_again_from_there() -> None:
    stable = StablePrefix()
    stable.update(["what", "is", "a", "b", "c"], 100)
    stable.update(["what", "was", "a", "b", "c"], 400)
    words, count = stable.update(["what", "was", "a", "b", "c"], 100 + STABLE_AFTER_MS)
    assert (words[:count]) == ("what",)


def test_the_last_words_stay_open() -> None:
    stable = StablePrefix()
    stable.update(["stop", "it"], 0)
    assert stable.update(["stop", "it"], 60_000)[1] == 0


HYPOTHESES = st.lists(st.tuples(st.lists(st.sampled_from("abc"), max_size=6), st.integers(0, 900)), max_size=20)


@given(HYPOTHESES)
def test_what_is_committed_never_changes(hypotheses: list[tuple[list[str], int]]) -> None:
    stable = StablePrefix()
    committed: tuple[str, ...] = ()
    position_ms = 0
    for words, later_ms in hypotheses:
        position_ms += later_ms
        shown, count = stable.update(words, position_ms)
        assert count >= len(committed)
        assert shown[: len(committed)] == committed
        committed = shown[:count]
