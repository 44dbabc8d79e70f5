"""Lines of a streamed chat completion in, LLM events out, whatever dialect the server speaks. Pure.

Common departures from OpenAI's shape that are understood: keep-alive comments, no space after `data:`, null or missing
`choices`, `delta` and `content`, content as a list of parts, a whole message instead of deltas, `reasoning_content`,
`reasoning` and `<think>` (all unspoken), tool calls without id or index, with a repeated one, several in parallel,
whole or in pieces, arguments as an object instead of text, unknown finish reasons, and lines that are not JSON at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from talkover.engines import LlmCall, LlmEvent, LlmFinished, LlmText
from talkover.llm.thoughts import ThoughtFilter
from talkover.messages import Usage

FINISH_REASONS = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
}
"""what servers say -> what `LlmFinished` says; everything else is `stop`"""

_CODE = re.compile(r"[\w.-]{1,60}")
MAX_PLAIN_BODY_CHARACTERS = 1_000_000
"""of an answer that is not a stream"""


class StreamError(Exception):
    """The server reported an error inside the stream; the message holds its code only, never its text."""


@dataclass(slots=True)
class _Call:
    """A function call being assembled."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    sent: int = 0
    """characters of `arguments` that went out"""
    announced: bool = False


@dataclass(slots=True)
class ChatStream:
    """One streamed completion. Feed it line by line, then `finish` it."""

    offered: frozenset[str] | None = None
    """functions that can be called; calls of others are left out, since nobody would ever answer them. None: all"""
    finish_reason: str | None = None
    done: bool = False
    """the server said that nothing more comes"""
    alive: bool = False
    """a token of any kind arrived, an unspoken one too"""
    usage: Usage = Usage()
    _thoughts: ThoughtFilter = field(default_factory=ThoughtFilter)
    _calls: list[_Call] = field(default_factory=list[_Call])
    _by_index: dict[int, _Call] = field(default_factory=dict[int, _Call])
    _body: list[str] = field(default_factory=list[str])
    _body_characters: int = 0
    _said: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing came that can be spoken or called."""
        return not self._said and not any(map(self._can_be_made, self._calls))

    @property
    def left_out_a_call(self) -> bool:
        """Whether the model called a function it was not offered."""
        return any(call.name and not self._can_be_made(call) for call in self._calls)

    @property
    def is_complete(self) -> bool:
        """Whether the server ended the answer, as against a connection that broke off."""
        return self.done or self.finish_reason is not None

    def feed(self, line: str) -> Iterator[LlmEvent]:
        """Events of one line of the response body. Raises StreamError."""
        line = line.strip()
        if not line or line.startswith((":", "event:", "id:", "retry:")):
            return
        if not line.startswith("data:"):
            self._keep_plain(line)
            return
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self.done = True
            return
        yield from self._chunk(_parsed(data))

    def finish(self) -> Iterator[LlmEvent]:
        """What was held back, then `LlmFinished`. Raises StreamError."""
        if self._body and not self.alive:
            yield from self._chunk(_parsed("".join(self._body)))
        yield from self._text(self._thoughts.flush())
        for call in self._calls:
            if not call.name:
                continue
            if not call.arguments.strip():
                call.arguments = "{}"
            yield from self._pieces(call)
        reason = FINISH_REASONS.get(self.finish_reason or "", "stop")
        calls = any(map(self._can_be_made, self._calls))
        if (reason, calls) in (("stop", True), ("tool_calls", False)):
            reason = "tool_calls" if calls else "stop"
        yield LlmFinished(reason, self.usage)

    def _keep_plain(self, line: str) -> None:
        """A server that does not stream sends one JSON object, perhaps over many lines."""
        self._body_characters += len(line)
        if self._body_characters <= MAX_PLAIN_BODY_CHARACTERS:
            self._body.append(line)

    def _chunk(self, chunk: Mapping[str, Any]) -> Iterator[LlmEvent]:
        error = chunk.get("error")
        if error:
            raise StreamError(_error_code(error))
        self._count(chunk.get("usage"))
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return
        choice: dict[str, Any] = choices[0]
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            yield from self._delta(delta)
        elif isinstance(choice.get("text"), str):
            yield from self._spoken(choice["text"])
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.finish_reason = reason

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[LlmEvent]:
        if any(delta.get(name) for name in ("reasoning_content", "reasoning", "thinking")):
            self.alive = True
        for name in ("content", "refusal"):
            text = _plain_text(delta.get(name))
            if text:
                yield from self._spoken(text)
        pieces = delta.get("tool_calls")
        if isinstance(pieces, list):
            for piece in pieces:
                if isinstance(piece, dict):
                    yield from self._call_piece(piece)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict):
            yield from self._call_piece({"index": 0, "function": legacy})

    def _spoken(self, text: str) -> Iterator[LlmEvent]:
        self.alive = True
        yield from self._text(self._thoughts.feed(text))

    def _text(self, text: str) -> Iterator[LlmEvent]:
        if text:
            self._said = self._said or bool(text.strip())
            yield LlmText(text)

    def _call_piece(self, piece: Mapping[str, Any]) -> Iterator[LlmEvent]:
        self.alive = True
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        name = function.get("name") or ""
        arguments = function.get("arguments")
        call = self._call_of(piece.get("id") or "", piece.get("index"), str(name))
        if name and not call.name:
            call.name = str(name)
        if isinstance(arguments, str):
            call.arguments += arguments
        elif arguments is not None:
            call.arguments += json.dumps(arguments, ensure_ascii=False)
        # Only the first call is streamed: others wait for the end, so that pieces of parallel calls never mix.
        if call is self._calls[0]:
            yield from self._pieces(call)

    def _call_of(self, call_id: str, index: Any, name: str) -> _Call:
        """The call a piece belongs to. An id is believed before an index, which some servers get wrong."""
        known = next((call for call in self._calls if call_id and call.id == call_id), None)
        if known is not None:
            return known
        by_index = self._by_index.get(index) if isinstance(index, int) else None
        if by_index is not None and (not call_id or not by_index.id):
            by_index.id = by_index.id or call_id
            return by_index
        current = self._calls[-1] if self._calls else None
        starts_new = call_id or isinstance(index, int) or current is None
        if not starts_new and name and current is not None:
            starts_new = name != current.name or _is_json_object(current.arguments)
        if not starts_new and current is not None:
            return current
        call = _Call(len(self._calls), call_id)
        self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        return call

    def _pieces(self, call: _Call) -> Iterator[LlmEvent]:
        if not self._can_be_made(call):
            return
        if not call.announced:
            call.announced = True
            yield LlmCall(call.index, call.name, "")
        if call.sent < len(call.arguments):
            yield LlmCall(call.index, call.name, call.arguments[call.sent :])
            call.sent = len(call.arguments)

    def _can_be_made(self, call: _Call) -> bool:
        return bool(call.name) and (self.offered is None or call.name in self.offered)

    def _count(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        details = usage.get("prompt_tokens_details")
        self.usage = Usage(
            input_tokens=_count_of(usage, "prompt_tokens"),
            output_tokens=_count_of(usage, "completion_tokens"),
            cached_tokens=_count_of(details if isinstance(details, dict) else usage, "cached_tokens"),
        )


def _parsed(data: str) -> Mapping[str, Any]:
    """The JSON object in `data`; an empty one for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _plain_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts: Sequence[Any] = content
        return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
    return ""


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _count_of(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def _error_code(error: Any) -> str:
    """An error's code or type if it looks like one; its text may hold keys or the prompt."""
    fields: Mapping[str, Any] = error if isinstance(error, dict) else {}
    for name in ("code", "type"):
        value = str(fields.get(name) or "")
        if _CODE.fullmatch(value):
            return value
    return "unknown error"
