"""The summarizer stage: a conversation that has become long in, its summary out, in the background."""

from __future__ import annotations

from collections.abc import Iterator

from talkover.engines import EngineFailed, IsStale, LlmEngine, LlmText
from talkover.llm.summary import MAX_SUMMARY_CHARACTERS
from talkover.messages import Prompt, SummaryMade


class Summarizer:
    """Never in the way: nobody waits for it, and an engine that serves one at a time lets answers go first."""

    name = "summarizer"

    def __init__(self, engine: LlmEngine) -> None:
        self._engine = engine

    def process(self, item: Prompt, is_stale: IsStale) -> Iterator[SummaryMade]:
        pieces: list[str] = []
        try:
            for event in self._engine.respond(item, is_stale):
                if isinstance(event, LlmText):
                    pieces.append(event.text)
        except EngineFailed as error:
            yield SummaryMade("", str(error))
            return
        yield SummaryMade("".join(pieces).strip()[:MAX_SUMMARY_CHARACTERS])

    def reset(self) -> None:
        """Nothing is kept between summaries."""
