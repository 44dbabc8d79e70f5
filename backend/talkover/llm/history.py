"""How much of a long conversation a prompt holds, and what is summarised of the rest. Pure.

The newest part of the conversation is in the prompt word by word, what came before as a summary. A summary is made
well before the budget is used up, in the background, and covers enough at once that the beginning of the prompt stays
the same for many turns, which is what the caches of models live on. It takes effect between two answers only. When it
does not come in time, or there is nobody to make it, the oldest is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SUMMARISED_ABOVE = 0.75
"""of the budget: then a summary is asked for"""
KEPT_VERBATIM = 0.5
"""of the budget: what stays word by word"""
GROWTH_AFTER_FAILURE = 1.1
"""a summary that failed is asked for again when the conversation has grown so much"""


@dataclass(frozen=True, slots=True)
class Piece:
    """One item of the conversation, as far as its size matters."""

    item_id: str
    tokens: int
    begins_turn: bool
    """a message of the user: the prompt may begin here"""


@dataclass(slots=True)
class History:
    """Of one conversation."""

    budget_tokens: int
    summary: str = ""
    """of what is left out"""
    _covered: frozenset[str] = frozenset()
    _asked: frozenset[str] | None = None
    _ready: str | None = None
    _not_below_tokens: float = 0.0

    @property
    def covered(self) -> frozenset[str]:
        """Ids of the pieces that the summary stands for."""
        return self._covered

    def restore(self, summary: str, covered: Iterable[str]) -> None:
        """Go on with the summary that another one had."""
        self.summary, self._covered = summary, frozenset(covered)

    def start(self, pieces: Sequence[Piece]) -> int:
        """Index of the first piece for a prompt."""
        start = self._after_summary(pieces)
        tokens = sum(piece.tokens for piece in pieces[start:])
        while tokens > self.budget_tokens and start < len(pieces) - 1:
            tokens -= pieces[start].tokens
            start += 1
            while start < len(pieces) - 1 and not pieces[start].begins_turn:
                tokens -= pieces[start].tokens
                start += 1
        return start

    def to_summarise(self, pieces: Sequence[Piece]) -> tuple[int, int] | None:
        """(start, end) of the pieces that a summary is now wanted of, added to the one there is; None when of none."""
        if self._asked is not None:
            return None
        start = self._after_summary(pieces)
        left = sum(piece.tokens for piece in pieces[start:])
        if left <= max(SUMMARISED_ABOVE * self.budget_tokens, self._not_below_tokens):
            return None
        end = start
        for index in range(start, len(pieces)):
            if pieces[index].begins_turn:
                end = index
                if left <= KEPT_VERBATIM * self.budget_tokens:
                    break
            left -= pieces[index].tokens
        if end == start:
            return None
        self._asked = frozenset(piece.item_id for piece in pieces[start:end])
        return start, end

    def summarised(self, summary: str) -> None:
        """What was asked for is there."""
        self._ready = summary.strip() or None
        if self._ready is None:
            self._asked = None

    def failed(self, pieces: Sequence[Piece]) -> None:
        """What was asked for will not come."""
        self._asked = None
        start = self._after_summary(pieces)
        self._not_below_tokens = GROWTH_AFTER_FAILURE * sum(piece.tokens for piece in pieces[start:])

    def settle(self) -> None:
        """An answer has begun: later prompts may be others than those made until now."""
        if self._ready is not None and self._asked is not None:
            self.summary, self._ready = self._ready, None
            self._covered |= self._asked
            self._asked = None
            self._not_below_tokens = 0.0

    def _after_summary(self, pieces: Sequence[Piece]) -> int:
        return next((index for index, piece in enumerate(pieces) if piece.item_id not in self._covered), len(pieces))
