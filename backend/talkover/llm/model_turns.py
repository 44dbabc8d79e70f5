"""One model, many conversations: who may take the next step.

A step is one pass through the model, some milliseconds long. Conversations take steps in turn, so that a new answer
begins while a long one is still being made. Work in the background goes on only while no conversation wants the model.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from talkover.engines import IsStale

POLL_S = 0.02
"""how often staleness is asked for while waiting"""


class ModelTurns:
    """The queue in front of a model; first come, first served."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: deque[object] = deque()
        self._is_busy = False
        self._conversations = 0

    @contextmanager
    def conversation(self) -> Generator[None]:
        """Somebody waits for an answer: background work rests."""
        with self._condition:
            self._conversations += 1
        try:
            yield
        finally:
            with self._condition:
                self._conversations -= 1
                self._condition.notify_all()

    @contextmanager
    def step(self, is_stale: IsStale, in_background: bool) -> Generator[bool]:
        """Hold the model for one step. False, and without it, once stale."""
        has_it = self._take(is_stale, in_background)
        try:
            yield has_it
        finally:
            if has_it:
                with self._condition:
                    self._is_busy = False
                    self._condition.notify_all()

    def _take(self, is_stale: IsStale, in_background: bool) -> bool:
        ticket = object()
        with self._condition:
            if not in_background:
                self._waiting.append(ticket)
            try:
                while not self._may_go(ticket, in_background):
                    if is_stale():
                        return False
                    self._condition.wait(POLL_S)
                if is_stale():
                    return False
                self._is_busy = True
                return True
            finally:
                if not in_background:
                    self._waiting.remove(ticket)

    def _may_go(self, ticket: object, in_background: bool) -> bool:
        if self._is_busy:
            return False
        return not self._conversations and not self._waiting if in_background else self._waiting[0] is ticket
