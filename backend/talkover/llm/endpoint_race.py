"""Which of several endpoints are asked for an answer, and when. Pure: time is an argument.

The first endpoint is asked alone. One that fails is followed by the next at once, one that stays silent for too long is
joined by it, and the first that speaks answers alone. Hedging thus ends with the first token: nobody hears two answers,
and an answer that has begun is never begun again. Source of the idea: J. Dean and L. A. Barroso, The Tail at Scale,
Communications of the ACM 56 (2013), hedged requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class EndpointHealth:
    """Which endpoints rest because they failed or were beaten; over all answers of an engine."""

    count: int
    rest_s: float
    _rests_until_s: dict[int, float] = field(default_factory=dict[int, float])

    def order(self, now_s: float) -> tuple[int, ...]:
        """All endpoints in the order in which to ask them: as configured, those that rest last."""
        return tuple(sorted(range(self.count), key=lambda index: self._rests_until_s.get(index, now_s) > now_s))

    def spoke(self, index: int) -> None:
        self._rests_until_s.pop(index, None)

    def failed(self, indices: Iterable[int], now_s: float) -> None:
        for index in indices:
            self._rests_until_s[index] = now_s + self.rest_s


@dataclass(slots=True)
class Race:
    """The endpoints of one answer, until one of them speaks."""

    order: tuple[int, ...]
    hedge_after_s: float
    running: set[int] = field(default_factory=set[int])
    winner: int | None = None
    failures: dict[int, str] = field(default_factory=dict[int, str])
    _n_started: int = 0
    _next_at_s: float | None = None

    def start(self, now_s: float) -> int | None:
        """The endpoint to ask now, if any: call again until there is none."""
        due_at_s = self.next_at_s(now_s)
        if due_at_s is None or now_s < due_at_s:
            return None
        index = self.order[self._n_started]
        self._n_started += 1
        self.running.add(index)
        self._next_at_s = now_s + self.hedge_after_s
        return index

    def next_at_s(self, now_s: float) -> float | None:
        """When the next endpoint is to be asked; None when none is left, or one has spoken."""
        if self.winner is not None or self._n_started == len(self.order):
            return None
        return now_s if not self.running or self._next_at_s is None else self._next_at_s

    def spoke(self, index: int) -> frozenset[int]:
        """Its first token came. Returns those that lose; empty when another one was first."""
        if self.winner is not None:
            return frozenset()
        self.winner = index
        losers = frozenset(self.running - {index})
        self.running = {index}
        return losers

    def failed(self, index: int, reason: str) -> None:
        self.running.discard(index)
        self.failures[index] = reason

    @property
    def is_lost(self) -> bool:
        """Every endpoint failed."""
        return self.winner is None and len(self.failures) == len(self.order)
