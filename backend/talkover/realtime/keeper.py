"""Keeps one session in the journal: when, and what of it has changed since."""

from __future__ import annotations

import math
from collections.abc import Callable

from talkover.realtime.journal import Journal, Record
from talkover.realtime.session import RealtimeSession
from talkover.realtime.snapshot import ItemSnapshot, encode

KEEP_INTERVAL_S = 0.4
"""with the journal's own interval this is how much of a conversation `kill -9` may take, less than a second"""


class SessionKeeper:
    """Used by the session's thread only."""

    def __init__(self, journal: Journal, identity: str, token_hash: Callable[[], str | None]) -> None:
        self._journal = journal
        self._identity = identity
        self._token_hash = token_hash
        self._due_s = math.inf
        self._kept_s = -math.inf
        self._items: dict[str, ItemSnapshot] = {}

    def something_happened(self, now_s: float) -> None:
        """There may be something new to keep."""
        self._due_s = min(self._due_s, max(now_s, self._kept_s + KEEP_INTERVAL_S))

    def wait_s(self, now_s: float) -> float:
        """Seconds after which `keep_if_due` is due; infinite when nothing has changed."""
        return max(0.0, self._due_s - now_s)

    def keep_if_due(self, core: RealtimeSession, now_s: float) -> None:
        """Only a client that was given a token can come back: of others nothing is kept."""
        if now_s >= self._due_s:
            self.keep(core, now_s)

    def keep(self, core: RealtimeSession, now_s: float) -> None:
        token_hash = self._token_hash()
        self._due_s, self._kept_s = math.inf, now_s
        if token_hash is None:
            return
        snapshot = core.snapshot(now_s)
        items = {kept.item.id: kept for kept in snapshot.items}
        changed: dict[str, bytes | None] = {
            item_id: encode(kept) for item_id, kept in items.items() if self._items.get(item_id) != kept
        }
        changed |= dict.fromkeys(self._items.keys() - items.keys())
        self._items = items
        state = encode(snapshot.state)
        self._journal.write(Record(core.id, state, changed, token_hash, self._identity, snapshot.state.expires_at))
        if snapshot.state.owed is not None:  # what is heard of it grows though nothing happens
            self._due_s = now_s + KEEP_INTERVAL_S
