"""What language models send: streamed completions in every dialect, text of a local one; and what is said to ours."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

from fuzz.harness import Fuzzer
from talkover.engines import LlmCall, LlmEvent, LlmFinished, LlmText
from talkover.knowledge.documents import parse_document
from talkover.llm.chat_stream import ChatStream, StreamError
from talkover.llm.embedded import EmbeddedResponder
from talkover.llm.knowledge import Library
from talkover.llm.token_text import AnswerText
from talkover.messages import FunctionTool, Prompt, PromptMessage

_LIBRARY = Library(
    (
        parse_document(
            "help.md", "# Help\n\n## Hours\n\nWe open at nine. We close at five.\n\n## Lamps\n\nA lamp is bright."
        ),
        parse_document("stories/fox.md", "# The fox\n\nA fox ran. It ran far. It slept. Then it woke, and ran home."),
    )
)
_TOOL = FunctionTool("get_weather", "", {"properties": {"city": {"type": "string"}}, "required": ["city"]})


def fuzz_chat_stream(data: bytes) -> None:
    """The lines of an answer. What comes out is text, calls of offered functions whose arguments join, and one end."""
    stream = ChatStream(frozenset(("f", "g")) if data[:1] != b"\n" else None)
    events: list[LlmEvent] = []
    with contextlib.suppress(StreamError):
        for line in data.decode("utf-8", "replace").splitlines():
            events += stream.feed(line)
        events += stream.finish()
        assert isinstance(events[-1], LlmFinished)
    _check(events, stream.offered)


def fuzz_token_text(data: bytes) -> None:
    """The text of a local model, cut where the first byte says: the cuts change nothing that is said or called."""
    text = data[1:].decode("utf-8", "replace")
    size = data[0] % 16 + 1 if data else 1

    def answered(pieces: list[str]) -> tuple[str, list[LlmCall]]:
        answer = AnswerText(can_call=True, offered=frozenset(("f",)))
        events = [event for piece in pieces for event in answer.feed(piece)] + list(answer.flush())
        _check(events, answer.offered)
        said = "".join(event.text for event in events if isinstance(event, LlmText))
        return "".join(said.split()), [event for event in events if isinstance(event, LlmCall)]

    assert answered([text]) == answered([text[at : at + size] for at in range(0, len(text), size)])


def fuzz_embedded_answers(data: bytes) -> None:
    """A conversation with the embedded responder, a line each, theirs and its own in turn; the last is the user's."""
    lines = data.decode("utf-8", "replace").split("\n")[-12:]
    messages = tuple(
        PromptMessage("user" if (len(lines) - at) % 2 else "assistant", line, cut_off=at % 3 == 0)
        for at, line in enumerate(lines)
    )
    responder = EmbeddedResponder(_LIBRARY, lambda: datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    events = list(responder.respond(Prompt("You are Ada.", messages, (_TOOL,)), lambda: False))
    assert isinstance(events[-1], LlmFinished)
    assert len(events) >= 2, "no answer"


def _check(events: list[LlmEvent], offered: frozenset[str] | None) -> None:
    assert sum(isinstance(event, LlmFinished) for event in events) <= 1
    names: dict[int, str] = {}
    for event in events:
        match event:
            case LlmText(text=text):
                assert isinstance(text, str)
                assert text
            case LlmCall(index=index, name=name, arguments=arguments):
                assert names.setdefault(index, name) == name
                assert offered is None or name in offered
                assert isinstance(arguments, str)
            case _:
                pass
    json.dumps([str(event) for event in events])


FUZZERS = (
    Fuzzer("chat_stream", fuzz_chat_stream),
    Fuzzer("token_text", fuzz_token_text),
    Fuzzer("embedded_answers", fuzz_embedded_answers),
)
