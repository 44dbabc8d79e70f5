"""How many connections there are, by address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from talkover.access.addresses import Network, counted_as, within


class ConnectionTable:
    """Counts connections; an address without any has no entry."""

    def __init__(self, per_address: int | None, in_all: int, unlimited: Sequence[Network]) -> None:
        """`per_address`: of those not in `unlimited`; none: no limit."""
        self._per_address = per_address
        self._in_all = in_all
        self._unlimited = tuple(unlimited)
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a new connection; False when it is one too many, and not counted."""
        who = counted_as(address)
        limit = None if within(address, self._unlimited) else self._per_address
        if self._open.total() >= self._in_all or (limit is not None and self._open[who] >= limit):
            if not self._open[who]:
                del self._open[who]
            return False
        self._open[who] += 1
        return True

    def leave(self, address: str) -> None:
        who = counted_as(address)
        self._open[who] -= 1
        if not self._open[who]:
            del self._open[who]

    def __len__(self) -> int:
        return self._open.total()
