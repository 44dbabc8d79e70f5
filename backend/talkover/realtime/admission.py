"""Who gets a conversation now, who waits for one, and who is told to come back. A state machine without I/O.

Calls that run come first: while they are late nobody new is let in, however many places are free. Those who wait are
let in by their order of arrival and before anybody who comes later.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from typing import Literal

MIN_RETRY_S, MAX_RETRY_S = 5, 60
REMEMBERED_STAYS = 50
"""calls by whose length it is estimated when the next one ends"""

Reason = Literal["full", "busy", "draining", "waited_too_long"]
"""every place is taken; running calls are late; the server is about to stop; nobody left in time"""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The conversation may begin, or is going on."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """It will begin when others have ended."""

    place: int
    """from 1"""
    estimated_wait_s: float | None
    """None: no call has ended yet that would tell how long they last"""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not begin."""

    reason: Reason
    retry_after_s: int
    """when it is worth while to ask again"""


Standing = Admitted | Waiting | Refused


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How many there may be."""

    sessions: int
    waiting: int
    """in the queue, at most; 0: nobody waits"""
    max_wait_s: float


class Admission:
    """One server's. Times are monotonic seconds; tickets name those who arrived."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.is_draining = False
        self._is_late = False
        self._admitted: dict[int, float] = {}
        """ticket -> since when, both here and below in order of arrival"""
        self._waiting: dict[int, float] = {}
        self._stays_s: deque[float] = deque(maxlen=REMEMBERED_STAYS)
        self._tickets = 0

    @property
    def active(self) -> int:
        """Conversations going on."""
        return len(self._admitted)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def refuses(self) -> Reason | None:
        """Why somebody who does not want to wait would not be let in now; None: they would."""
        if self.is_draining:
            return "draining"
        if self.active >= self.limits.sessions:
            return "full"
        return "busy" if self._is_late and self.active else None

    def arrive(self, may_wait: bool, now_s: float) -> tuple[int, Standing]:
        """Somebody wants a conversation. Their ticket, and how they stand; who is refused need not `leave`."""
        self._tickets += 1
        ticket = self._tickets
        reason = self.refuses
        if reason is None:
            self._admitted[ticket] = now_s
        elif may_wait and reason != "draining" and self.waiting < self.limits.waiting:
            self._waiting[ticket] = now_s
        else:
            return ticket, Refused(reason, self._retry_after_s())
        return ticket, self.standing(ticket, now_s)

    def standing(self, ticket: int, now_s: float) -> Standing:
        """How somebody stands who was not refused and has not left."""
        if ticket in self._admitted:
            return Admitted()
        if self.is_draining or now_s - self._waiting[ticket] >= self.limits.max_wait_s:
            del self._waiting[ticket]
            return Refused("draining" if self.is_draining else "waited_too_long", self._retry_after_s())
        place = list(self._waiting).index(ticket) + 1
        return Waiting(place, self._wait_s(place))

    def leave(self, ticket: int, now_s: float) -> None:
        """Their conversation has ended, or they wait no longer. Also for those refused meanwhile, also twice."""
        since_s = self._admitted.pop(ticket, None)
        if since_s is not None:
            self._stays_s.append(now_s - since_s)
        self._waiting.pop(ticket, None)
        self._let_in(now_s)

    def running_are_late(self, is_late: bool, now_s: float) -> None:
        """What is observed of the calls that run."""
        self._is_late = is_late
        self._let_in(now_s)

    def drain(self) -> None:
        """The server is about to stop: nobody new, and nobody who waits."""
        self.is_draining = True

    def _let_in(self, now_s: float) -> None:
        while self._waiting and self.refuses is None:
            ticket = next(iter(self._waiting))
            del self._waiting[ticket]
            self._admitted[ticket] = now_s

    def _wait_s(self, place: int) -> float | None:
        """Until so many have left: with n calls of mean length m, one ends every m / n."""
        return place * statistics.fmean(self._stays_s) / self.limits.sessions if self._stays_s else None

    def _retry_after_s(self) -> int:
        """When a place is likely, behind those who wait."""
        wait_s = self._wait_s(self.waiting + 1)
        return MIN_RETRY_S if self.is_draining or wait_s is None else round(min(MAX_RETRY_S, max(MIN_RETRY_S, wait_s)))
