"""The responder stage: a request in, the answer's text in segments and its function calls out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex

from talkover.engines import IsStale, LlmCall, LlmEngine, LlmFinished, LlmSources, LlmText
from talkover.messages import (
    CallDelta,
    Output,
    ResponseEnd,
    ResponseRequest,
    SourcesFound,
    StageMark,
    TextDelta,
)
from talkover.tts.segment import Segmenter

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(slots=True)
class _Call:
    """A function call being streamed."""

    index: int
    call_id: str
    name: str


class Responder:
    """Thinks: streams the LLM and cuts spoken text into segments, the first one short."""

    name = "responder"

    def __init__(self, engine: LlmEngine) -> None:
        self._engine = engine

    def process(self, item: ResponseRequest, is_stale: IsStale) -> Iterator[ResponseRequest | Output]:
        yield item
        if item.say is not None:
            yield from self._segments(item, Segmenter(), item.say)
            yield ResponseEnd(item.generation, item.response_id)
            return
        yield from self._think(item, is_stale)

    def reset(self) -> None:
        """Nothing is kept between responses."""

    def _think(self, item: ResponseRequest, is_stale: IsStale) -> Iterator[Output]:
        segmenter = Segmenter()
        call: _Call | None = None
        finished = LlmFinished()
        first = True
        for event in self._engine.respond(item.prompt, is_stale):
            if first and not isinstance(event, LlmSources):
                first = False
                yield StageMark(item.generation, item.response_id, "llm_first_token", time.monotonic())
            match event:
                case LlmText(text):
                    if call is not None:
                        yield self._call_piece(item, call, "", last=True)
                        call = None
                    if item.modality == "text":
                        yield TextDelta(item.generation, item.response_id, text, time.monotonic())
                    else:
                        for segment in segmenter.feed(text):
                            yield TextDelta(item.generation, item.response_id, segment, time.monotonic())
                case LlmCall():
                    if call is None or event.index != call.index:
                        if call is not None:
                            yield self._call_piece(item, call, "", last=True)
                        else:
                            yield from self._rest(item, segmenter)
                        call = _Call(event.index, f"call_{token_hex(10)}", event.name)
                        yield self._call_piece(item, call, "", last=False)
                    if event.arguments:
                        yield self._call_piece(item, call, event.arguments, last=False)
                case LlmSources(kind, query, sources):
                    yield SourcesFound(
                        item.generation,
                        item.response_id,
                        f"search_{token_hex(10)}",
                        "web" if kind == "web" else "documents",
                        query,
                        sources,
                    )
                case LlmFinished():
                    finished = event
        if call is not None:
            yield self._call_piece(item, call, "", last=True)
        yield from self._rest(item, segmenter)
        reason = INCOMPLETE.get(finished.reason)
        status = "incomplete" if reason else "completed"
        yield ResponseEnd(item.generation, item.response_id, status, reason, usage=finished.usage)

    def _rest(self, item: ResponseRequest, segmenter: Segmenter) -> Iterator[TextDelta]:
        for segment in segmenter.flush():
            yield TextDelta(item.generation, item.response_id, segment, time.monotonic())

    def _segments(self, item: ResponseRequest, segmenter: Segmenter, text: str) -> Iterator[TextDelta]:
        if item.modality == "text":
            yield TextDelta(item.generation, item.response_id, text, time.monotonic())
            return
        for segment in segmenter.feed(text):
            yield TextDelta(item.generation, item.response_id, segment, time.monotonic())
        yield from self._rest(item, segmenter)

    @staticmethod
    def _call_piece(item: ResponseRequest, call: _Call, arguments: str, last: bool) -> CallDelta:
        return CallDelta(item.generation, item.response_id, call.call_id, call.name, arguments, last)
