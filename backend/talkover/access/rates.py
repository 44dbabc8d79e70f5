"""How often: token buckets, one for each of those who ask, in a table that cannot grow without end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

MAX_ENTRIES = 10_000
"""about 2 MB"""


class RateTable:
    """At most `per_minute` in a burst, and as many a minute from then on, for each of those who ask.

    Whoever has not asked for longest is forgotten when the table is full. An attacker with more addresses than it has
    entries is limited by what limits everyone: sessions, connections, and places for jobs.
    """

    def __init__(self, per_minute: float, max_entries: int = MAX_ENTRIES) -> None:
        self._per_minute = per_minute
        self._max_entries = max_entries
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        """who -> tokens left, and when"""

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, who: Hashable, now_s: float, cost: float = 1.0) -> float:
        """Take `cost` for `who`: 0.0, or the seconds after which there is enough for it; nothing is taken then."""
        tokens = self._tokens(who, now_s)
        allowed = tokens >= cost
        self._keep(who, tokens - cost if allowed else tokens, now_s)
        return 0.0 if allowed else (cost - tokens) * 60 / self._per_minute

    def charge(self, who: Hashable, now_s: float, cost: float) -> None:
        """Take what is there, up to `cost`."""
        self._keep(who, max(0.0, self._tokens(who, now_s) - cost), now_s)

    def _tokens(self, who: Hashable, now_s: float) -> float:
        tokens, at_s = self._buckets.get(who, (self._per_minute, now_s))
        return min(self._per_minute, tokens + (now_s - at_s) * self._per_minute / 60)

    def _keep(self, who: Hashable, tokens: float, now_s: float) -> None:
        self._buckets[who] = (tokens, now_s)
        self._buckets.move_to_end(who)
        if len(self._buckets) > self._max_entries:
            self._buckets.popitem(last=False)
