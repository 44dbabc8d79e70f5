"""Tokens of a local model, one by one, as text; and the function calls in that text. Pure.

Two conventions cover the models that run locally: calls between `<tool_call>` tags (Hermes, Qwen), and an answer that
is a JSON object of a name and arguments (Llama 3). Whatever else a model writes is spoken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from talkover.engines import LlmCall, LlmEvent, LlmText
from talkover.llm.thoughts import ThoughtFilter

OPEN_TAG, CLOSE_TAG = "<tool_call>", "</tool_call>"
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
MAX_WAITING_TOKENS = 8
"""of a character that is not complete yet; then it never will be"""


@dataclass(slots=True)
class TokenText:
    """Text of a growing list of tokens: what one token means depends on those before it."""

    decode: Callable[[Sequence[int]], str]
    _tokens: list[int] = field(default_factory=list[int])
    _context: int = 0
    """where the tokens begin that are decoded again, so that a space before a word is seen"""
    _spoken: int = 0
    """tokens whose text is out"""

    def feed(self, token: int) -> str:
        """The new text; empty while a character is incomplete."""
        self._tokens.append(token)
        before = self.decode(self._tokens[self._context : self._spoken])
        now = self.decode(self._tokens[self._context :])
        if now.endswith(INCOMPLETE) and len(self._tokens) - self._spoken < MAX_WAITING_TOKENS:
            return ""
        self._context, self._spoken = self._spoken, len(self._tokens)
        return now[len(before) :]

    def flush(self) -> str:
        """What was incomplete when the answer ended."""
        before = self.decode(self._tokens[self._context : self._spoken])
        return self.decode(self._tokens[self._context :])[len(before) :]


@dataclass(slots=True)
class AnswerText:
    """The text of one answer in, events out: thoughts left out, calls recognised where the model writes such."""

    can_call: bool
    """the model knows functions; else everything it writes is said"""
    offered: frozenset[str] = frozenset()
    """functions that can be called; calls of others are left out, since nobody would ever answer them"""
    n_calls: int = 0
    left_out_a_call: bool = False
    """it called a function it was not offered"""
    has_said: bool = False
    _thoughts: ThoughtFilter = field(default_factory=ThoughtFilter)
    _held: str = ""
    _is_call: bool = False
    """inside the tags"""
    _has_begun: bool = False
    _is_json: bool = False
    """the whole answer may be one call"""

    def feed(self, text: str) -> Iterator[LlmEvent]:
        yield from self._speakable(self._thoughts.feed(text))

    def flush(self) -> Iterator[LlmEvent]:
        """What was held back when the answer ended."""
        yield from self._speakable(self._thoughts.flush())
        rest, self._held = self._held, ""
        if (self._is_call or self._is_json) and (call := self._call(rest)) is not None:
            yield from call
        elif rest.strip() and not self._is_call:
            yield self._said(rest)

    def _speakable(self, text: str) -> Iterator[LlmEvent]:
        if not self.can_call:
            if text:
                yield self._said(text)
            return
        self._held += text
        if not self._has_begun and self._held.strip():
            self._has_begun = True
            self._is_json = self._held.lstrip().startswith("{")
        if self._is_json:
            return
        while self._held:
            tag = CLOSE_TAG if self._is_call else OPEN_TAG
            before, found, after = self._held.partition(tag)
            if not found:
                break
            self._held = after
            if self._is_call:
                yield from self._call(before) or ()
            elif before.strip():
                yield self._said(before)
            self._is_call = not self._is_call
        if not self._is_call and (free := len(self._held) - _begun_tag(self._held)):
            text, self._held = self._held[:free], self._held[free:]
            if text.strip() or not self.n_calls:
                yield self._said(text)

    def _said(self, text: str) -> LlmText:
        self.has_said = self.has_said or bool(text.strip())
        return LlmText(text)

    def _call(self, text: str) -> tuple[LlmCall, ...] | None:
        """The call in `text`, empty for one of a function that was not offered, None when there is none."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        fields = cast("dict[str, Any]", value)
        name, arguments = fields.get("name"), fields.get("arguments", fields.get("parameters", {}))
        if not isinstance(name, str) or not name:
            return None
        if name not in self.offered:
            self.left_out_a_call = True
            return ()
        self.n_calls += 1
        written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        return LlmCall(self.n_calls - 1, name, ""), LlmCall(self.n_calls - 1, name, written)


def _begun_tag(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of a tag."""
    return next((size for size in range(len(OPEN_TAG) - 1, 0, -1) if text.endswith(OPEN_TAG[:size])), 0)
