"""Tokens as text, however characters are cut, and the calls models write into it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from talkover.engines import LlmCall, LlmEvent, LlmText
from talkover.llm.token_text import AnswerText, TokenText


def bytes_as_tokens(tokens: Sequence[int]) -> str:
    return bytes(tokens).decode("utf-8", "replace")


def answer(text: str, size: int, can_call: bool = True) -> tuple[str, list[tuple[str, str]]]:
    """What is said, and the calls, of `text` in pieces of `size`."""
    parsed = AnswerText(can_call, frozenset(("look_up",)))
    events: list[LlmEvent] = []
    for start in range(0, len(text), size):
        events.extend(parsed.feed(text[start : start + size]))
    events.extend(parsed.flush())
    said = "".join(event.text for event in events if isinstance(event, LlmText))
    calls = [event for event in events if isinstance(event, LlmCall)]
    assert [call.index for call in calls] == [index // 2 for index in range(len(calls))]
    return said, [(call.name, call.arguments) for call in calls[1::2]]


def test_characters_come_out_whole() -> None:
    text = TokenText(bytes_as_tokens)
    pieces = [text.feed(byte) for byte in "Öl 你好 🙂!".encode()]
    assert "".join(pieces) == "Öl 你好 🙂!"
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)


def test_a_character_that_never_completes_is_given_up() -> None:
    text = TokenText(bytes_as_tokens)
    assert text.feed(0xE4) == ""
    assert text.flush() == "\N{REPLACEMENT CHARACTER}"


def test_a_space_before_a_word_is_kept() -> None:
    """Some tokenizers drop the space of a first token."""
    words = ["▁Hello", "▁world", "!"]
    text = TokenText(lambda tokens: "".join(words[token] for token in tokens).replace("▁", " ").removeprefix(" "))
    assert [text.feed(token) for token in range(3)] == ["Hello", " world", "!"]


CALL = '<tool_call>\n{"name": "look_up", "arguments": {"id": 7}}\n</tool_call>'


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("text", "said", "calls"),
    [
        ("Good day.", "Good day.", []),
        (CALL, "", [("look_up", '{"id": 7}')]),
        (f"One moment. {CALL}\n{CALL}", "One moment. ", [("look_up", '{"id": 7}')] * 2),
        ('{"name": "look_up", "parameters": {"id": 7}}', "", [("look_up", '{"id": 7}')]),
        ('{"hello": 1}', '{"hello": 1}', []),
        ("<think>Hm, {</think>It costs < 5 euros.", "It costs < 5 euros.", []),
        ("<tool_call>broken</tool_call>Sorry.", "Sorry.", []),
        (CALL.removesuffix("</tool_call>"), "", [("look_up", '{"id": 7}')]),
        (f"Wait. {CALL.replace('look_up', 'unknown')} Yes.", "Wait.  Yes.", []),
        ('{"name": "unknown", "arguments": {}}', "", []),
    ],
)
def test_calls_are_told_from_words(text: str, said: str, calls: list[tuple[str, str]], size: int) -> None:
    assert answer(text, size) == (said, calls)


def test_a_model_without_functions_says_everything() -> None:
    assert answer(CALL, 5, can_call=False) == (CALL, [])


def test_a_call_that_nobody_would_answer_is_told() -> None:
    parsed = AnswerText(can_call=True, offered=frozenset(("other",)))
    assert list(parsed.feed(CALL)) == []
    assert parsed.left_out_a_call
    assert not parsed.has_said
