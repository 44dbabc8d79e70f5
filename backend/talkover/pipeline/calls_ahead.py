"""Tells of function calls in answers that are held: a tool that changes nothing may begin before the turn is over."""

from __future__ import annotations

from typing import Any

from talkover.engines import IsStale
from talkover.messages import CallAhead, CallDelta, ResponseRequest
from talkover.pipeline.stage import Emit


class CallsAhead:
    """Sits between the responder and the next stage and passes everything on; used by the responder's thread only."""

    def __init__(self, emit: Emit, report: Emit) -> None:
        """`emit` takes what passes through, `report` the calls of answers made ahead."""
        self._emit = emit
        self._report = report
        self._ahead_id: str | None = None
        self._arguments = ""

    def __call__(self, item: Any, is_stale: IsStale) -> bool:
        if isinstance(item, ResponseRequest):
            self._ahead_id, self._arguments = (item.response_id if item.ahead else None), ""
        elif isinstance(item, CallDelta) and item.response_id == self._ahead_id:
            self._arguments += item.arguments
            if item.last:
                self._report(CallAhead(item.response_id, item.name, self._arguments), is_stale)
                self._arguments = ""
        return self._emit(item, is_stale)
