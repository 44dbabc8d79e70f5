"""How tokens are written down: a pure function."""

import pytest

from talkover.asr.tokens import Token, confidence, lowest, written


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("what is the time", "what is the time"),
        ("今 天 几 号", "今天几号"),
        ("打 开 talk@@ over", "打开talkover"),
        ("talk@@ over 会 做 什 么", "talkover会做什么"),
        ("hello 你 是 谁", "hello你是谁"),
        ("play mu@@ sic", "play music"),
        ("mu@@ 乐", "mu乐"),
        ("mu@@", "mu"),
        ("use the a p i please", "use the API please"),
        ("tell me a story", "tell me a story"),
        ("i see", "I see"),
        ("用 a p i", "用API"),
        ("<s> stop </s> <unk>", "stop"),
        ("don't stop", "don't stop"),
        ("", ""),
    ],
)
def test_words_keep_their_blanks_and_characters_have_none(tokens: str, text: str) -> None:
    assert written(tokens.split()) == text


def test_an_utterance_is_as_sure_as_its_tokens_on_average_and_as_weak_as_its_worst() -> None:
    tokens = [Token("a", 0.5), Token("b", 0.5), Token("c", 0.5)]
    assert confidence(tokens) == pytest.approx(0.5)
    assert confidence([Token("a", 1.0), Token("b", 0.25)]) == pytest.approx(0.5)
    assert lowest([Token("a", 1.0), Token("b", 0.25)]) == 0.25


def test_nothing_heard_is_neither_sure_nor_unsure() -> None:
    assert confidence([]) is None
    assert lowest([]) == 0.0


def test_an_impossible_token_leaves_a_number() -> None:
    assert confidence([Token("a", 0.0)]) == pytest.approx(1e-6)
