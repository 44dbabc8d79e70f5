"""The embedded responder: answers from the knowledge folder without a model, a key or a GPU.

It is a list of small skills that are asked in turn: steering (stop, go on, repeat), small talk, the clock, counting,
sums, reading aloud, the client's tools, and at last the documents. All are pure functions of the conversation, so the
engine has no state, serves any number of sessions side by side, and gives the same answer to the same prompt.

Instructions cannot be followed without a language model. Three things in them are honoured: a name ("You are Ada"), and
for responses outside the conversation "Say exactly: ..." and "Repeat: ...". `max_output_tokens` counts words.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from talkover.config import Settings
from talkover.engines import IsStale, LlmCall, LlmEvent, LlmFinished, LlmSources, LlmText
from talkover.knowledge.documents import Document
from talkover.knowledge.words import contains_cjk
from talkover.llm import answers, chinese, clock, controls, counting, reading, small_talk, sums
from talkover.llm.client_tools import demanded_call, meant_call, spoken_result
from talkover.llm.dialogue import Reply, Request, latest_request
from talkover.llm.knowledge import Library, load_library
from talkover.messages import Prompt, PromptCallOutput, Usage
from talkover.resources import knowledge_folder

log = logging.getLogger(__name__)

_SAY_EXACTLY = re.compile(
    r"(?:^|[.!?:]\s+|\n)(?:please )?(?:say|repeat|speak|respond with|reply with|answer with|greet the user with|read)"
    r"(?: (?:exactly|verbatim|only|just|the following|this|these words|exactly this|the user))*\s*"
    r"(?::\s*|(?=[\"“]))(?P<text>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)


class EmbeddedResponder:
    """Shared by all sessions; it reads its library, and puts another one in its place when the documents change."""

    name = "embedded"
    answers_from_documents = True
    """no passages are searched for it: see `Engines.retriever`"""

    def __init__(self, library: Library, now: Callable[[], datetime]) -> None:
        self._library = library
        self._now = now

    def warmup(self) -> None:
        _warm(self._library)

    def use_documents(self, documents: Sequence[Document]) -> None:
        """Answer from these documents from now on; answers under way end with those they began with."""
        if tuple(documents) == self._library.documents:
            return
        library = Library(documents)
        _warm(library)
        self._library = library

    def close(self) -> None:
        """Holds nothing open."""

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        """Stream the answer piece by piece, each ending in a space."""
        request = latest_request(prompt, self._now())
        is_call_answered = bool(prompt.messages) and isinstance(prompt.messages[-1], PromptCallOutput)
        if not is_call_answered:
            call = demanded_call(prompt, request.text) or (meant_call(prompt, request.text) if request.text else None)
            if call is not None:
                yield LlmCall(0, call.name, "")
                yield LlmCall(0, call.name, call.arguments)
                yield LlmFinished("tool_calls")
                return
        reply = self._reply(prompt, request)
        if reply.sources:
            yield LlmSources("documents", reply.query, reply.sources)
        yield from _streamed(reply, prompt.max_output_tokens, is_stale)

    def _reply(self, prompt: Prompt, request: Request) -> Reply:
        result = spoken_result(prompt)
        if result is not None:
            return Reply(result)
        exact = exact_words(prompt.instructions)
        if exact and (not request.text or _is_only_that(prompt.instructions)):
            return Reply((exact,))
        return self.answer(request)

    def answer(self, request: Request) -> Reply:
        """The reply to the user's words in their history."""
        library = self._library
        if not request.text:
            return self._opening(request)
        if contains_cjk(request.text):
            courtesy = chinese.courtesy(request)
            if courtesy is not None:
                return courtesy
            if answers.is_foreign(request, library):
                return Reply(chinese.ONLY_ENGLISH)
        return (
            answers.answer_to_offer(request, library)
            or reading.answer_to_offer(request, library)
            or controls.reply(request, library, self.answer)
            or small_talk.reply(request, library)
            or clock.reply(request)
            or counting.reply(request)
            or sums.reply(request)
            or reading.reply(request, library)
            or answers.reply(request, library)
        )

    def _opening(self, request: Request) -> Reply:
        """Nobody said anything: a greeting at the start, later a gentle question."""
        if not any(message.text for message in request.history):
            return small_talk.greeting(request, self._library)
        return Reply((request.one_of(small_talk.STILL_THERE),))


def create(settings: Settings) -> EmbeddedResponder:
    """The engine over `settings.knowledge.path`, or over the documents that ship with Talkover."""
    folder = knowledge_folder(settings.knowledge.path)
    library = load_library(folder)
    if not library.passages:
        log.warning("knowledge.path: no document with text in %s, so no question can be answered", folder)
    return EmbeddedResponder(library, lambda: datetime.now().astimezone())


def _warm(library: Library) -> None:
    library.search("What can you do?")
    _ = library.scripts, library.has_cjk


def exact_words(instructions: str) -> str | None:
    """The text that instructions such as `Say exactly: Welcome!` ask for, without its quotation marks."""
    match = _SAY_EXACTLY.search(instructions.strip())
    if match is None:
        return None
    text = match["text"].strip()
    quoted = re.match(r"[\"“](?P<inside>[^\"”]+)[\"”]", text)
    return quoted["inside"].strip() if quoted else text


def _is_only_that(instructions: str) -> bool:
    match = _SAY_EXACTLY.search(instructions.strip())
    return match is not None and match.start() == 0


def _streamed(reply: Reply, max_words: int | None, is_stale: IsStale) -> Iterator[LlmEvent]:
    spoken = 0
    for piece in reply.pieces:
        if is_stale():
            return
        words = piece.split()
        if max_words is not None and spoken + len(words) > max_words:
            rest = " ".join(words[: max_words - spoken])
            if rest:
                yield LlmText(rest)
            yield LlmFinished("length", Usage(output_tokens=max_words))
            return
        spoken += len(words)
        yield LlmText(f"{piece} ")
    yield LlmFinished(usage=Usage(output_tokens=spoken))
