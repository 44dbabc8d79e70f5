"""The memory stage: reads and changes what is remembered of a caller, away from the threads that must not wait."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from talkover.engines import IsStale
from talkover.memory.store import MemoryStore
from talkover.messages import CallerKnown

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MemoryRequest:
    """A change, if any, then everything that is remembered."""

    caller: str
    change: Literal["none", "remember", "forget"]
    note: str


class MemoryKeeper:
    """Of one session. What was asked aloud and agreed to counts as consent."""

    name = "memory"

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def process(self, item: MemoryRequest, is_stale: IsStale) -> Iterator[CallerKnown]:
        try:
            if item.change == "remember":
                self._store.consent(item.caller)
                self._store.remember(item.caller, item.note)
            elif item.change == "forget":
                self._store.forget(item.caller)
            notes = self._store.known(item.caller)
        except sqlite3.Error as error:
            log.error("memory: %s", error)
            return
        yield CallerKnown(item.caller, notes)

    def reset(self) -> None:
        """Nothing is kept between requests."""
