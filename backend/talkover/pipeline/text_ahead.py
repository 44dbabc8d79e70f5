"""Tells the session what a spoken answer is going to say, so that it can still be said when the process is no more."""

from __future__ import annotations

from typing import Any

from talkover.engines import IsStale
from talkover.messages import ResponseEnd, ResponseRequest, TextAhead, TextDelta
from talkover.pipeline.stage import Emit


class TellsTextAhead:
    """Sits behind the responder and passes everything on; used by the responder's thread only."""

    def __init__(self, emit: Emit, report: Emit) -> None:
        """`emit` takes what passes through, `report` the text."""
        self._emit = emit
        self._report = report
        self._spoken_id: str | None = None

    def __call__(self, item: Any, is_stale: IsStale) -> bool:
        if isinstance(item, ResponseRequest):
            self._spoken_id = item.response_id if item.modality == "audio" else None
        elif isinstance(item, TextDelta) and item.response_id == self._spoken_id:
            self._report(TextAhead(item.response_id, item.text), is_stale)
        elif isinstance(item, ResponseEnd) and item.response_id == self._spoken_id:
            self._report(TextAhead(item.response_id, "", last=True), is_stale)
        return self._emit(item, is_stale)
