"""The responder stage: a request in, the answer's text in segments and its function calls out."""

from __future__ import annotations

import time
from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from secrets import token_hex

from talkover.engines import IsStale, LlmCall, LlmEngine, LlmFinished, LlmSources, LlmText
from talkover.llm.grounding import Attribution, question_of
from talkover.messages import (
    CallDelta,
    Output,
    ResponseEnd,
    ResponseRequest,
    Source,
    SourcesFound,
    StageMark,
    TextDelta,
)
from talkover.metrics import PipelineMark
from talkover.pipeline.passages import PassageFinder
from talkover.tts.segment import Segmenter

MAX_ANSWER_CHARACTERS = 100_000
"""two hours of speech; a model that does not stop is stopped here"""

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Utf16Pairs:
    """Joins surrogate pairs that a stream cuts in two; a half without its other half becomes U+FFFD.

    Servers that cut JSON by UTF-16 units split an emoji over two deltas. Neither half can be sent on as UTF-8.
    """

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-16-le")("replace")

    def feed(self, text: str) -> str:
        return self._decoder.decode(text.encode("utf-16-le", "surrogatepass"))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


@dataclass(slots=True)
class _Call:
    """A function call being streamed."""

    index: int
    call_id: str
    name: str
    pairs: Utf16Pairs = field(default_factory=Utf16Pairs)


class Responder:
    """Thinks: streams the LLM and cuts spoken text into segments, the first one short."""

    name = "responder"

    def __init__(self, engine: LlmEngine, passages: PassageFinder | None = None) -> None:
        """`passages`: of the documents that the engine is to answer from."""
        self._engine = engine
        self._passages = passages

    def process(self, item: ResponseRequest, is_stale: IsStale) -> Iterator[ResponseRequest | Output]:
        yield item
        if item.say is not None:
            segmenter = Segmenter()
            yield from self._text(item, segmenter, item.say)
            yield from self._rest(item, segmenter, Utf16Pairs())
            yield ResponseEnd(item.generation, item.response_id)
            return
        question = question_of(item.prompt.messages)
        if self._passages is not None and question and self._passages.has_documents:
            yield self._mark(item, "retrieval_started")
            item = self._with_passages(item, self._passages, question, is_stale)
            yield self._mark(item, "retrieval_finished")
        yield from self._think(item, is_stale)

    def reset(self) -> None:
        """Nothing is kept between responses."""

    @staticmethod
    def _with_passages(
        item: ResponseRequest, finder: PassageFinder, question: str, is_stale: IsStale
    ) -> ResponseRequest:
        """The request with what the documents hold for it; the conversation itself never gets to hold it."""
        passages = finder.passages(question, is_stale)
        prompt = replace(item.prompt, passages=passages, only_documents=finder.options.only_documents)
        return replace(item, prompt=prompt)

    def _think(self, item: ResponseRequest, is_stale: IsStale) -> Iterator[Output]:
        segmenter, pairs = Segmenter(), Utf16Pairs()
        question = question_of(item.prompt.messages)
        attribution = Attribution(question, item.prompt.passages or ())
        call: _Call | None = None
        finished = LlmFinished()
        first = True
        yield self._mark(item, "llm_started")
        left = MAX_ANSWER_CHARACTERS
        for event in self._engine.respond(item.prompt, is_stale):
            if first and not isinstance(event, LlmSources):
                first = False
                yield self._mark(item, "llm_first_token")
            match event:
                case LlmText(text):
                    if call is not None:
                        yield self._call_end(item, call)
                        call = None
                    piece = pairs.feed(text[:left])
                    if used := attribution.feed(piece):
                        yield self._sources(item, "documents", question, used)
                    yield from self._text(item, segmenter, piece)
                    left -= len(text)
                    if left <= 0:
                        finished = LlmFinished("length")
                        break
                case LlmCall():
                    if call is None or event.index != call.index:
                        if call is not None:
                            yield self._call_end(item, call)
                        else:
                            yield from self._rest(item, segmenter, pairs)
                        call = _Call(event.index, f"call_{token_hex(10)}", event.name)
                        yield self._call_piece(item, call, "", last=False)
                    if arguments := call.pairs.feed(event.arguments):
                        yield self._call_piece(item, call, arguments, last=False)
                case LlmSources(kind, query, sources):
                    yield self._sources(item, kind, query, sources)
                case LlmFinished():
                    finished = event
        yield self._mark(item, "llm_finished")
        if call is not None:
            yield self._call_end(item, call)
        if used := attribution.flush():
            yield self._sources(item, "documents", question, used)
        yield from self._rest(item, segmenter, pairs)
        reason = INCOMPLETE.get(finished.reason)
        status = "incomplete" if reason else "completed"
        yield ResponseEnd(item.generation, item.response_id, status, reason, usage=finished.usage)

    def _text(self, item: ResponseRequest, segmenter: Segmenter, text: str) -> Iterator[TextDelta]:
        pieces = [text] if item.modality == "text" else segmenter.feed(text)
        for piece in pieces:
            yield TextDelta(item.generation, item.response_id, piece, time.monotonic())

    def _rest(self, item: ResponseRequest, segmenter: Segmenter, pairs: Utf16Pairs) -> Iterator[TextDelta]:
        if left := pairs.flush():
            yield from self._text(item, segmenter, left)
        for segment in segmenter.flush():
            yield TextDelta(item.generation, item.response_id, segment, time.monotonic())

    @staticmethod
    def _mark(item: ResponseRequest, name: PipelineMark) -> StageMark:
        return StageMark(item.generation, item.response_id, name, time.monotonic())

    @staticmethod
    def _sources(item: ResponseRequest, kind: str, query: str, sources: tuple[Source, ...]) -> SourcesFound:
        search_id = f"search_{token_hex(10)}"
        place = "web" if kind == "web" else "documents"
        return SourcesFound(item.generation, item.response_id, search_id, place, query, sources)

    @staticmethod
    def _call_piece(item: ResponseRequest, call: _Call, arguments: str, last: bool) -> CallDelta:
        return CallDelta(item.generation, item.response_id, call.call_id, call.name, arguments, last)

    def _call_end(self, item: ResponseRequest, call: _Call) -> CallDelta:
        return self._call_piece(item, call, call.pairs.flush(), last=True)
