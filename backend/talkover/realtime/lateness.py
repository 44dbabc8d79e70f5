"""Whether the calls that run are served in time: what this machine itself adds to their answers, lately."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from talkover.metrics import Stage
from talkover.realtime.actions import Action, ResponseFinished
from talkover.realtime.session import Happened
from talkover.realtime.session_options import SessionOptions

WINDOW_S = 20.0
"""how long an answer counts: two or three questions of a caller"""
MIN_ANSWERS = 3
"""from which a percentile says anything: one slow answer has many reasons"""
MAX_ANSWERS = 1000


@dataclass(slots=True)
class RecentLags:
    """How late the newest answers were. Pure; times are monotonic seconds."""

    bound_s: float | None
    """the 95th percentile beyond which calls are late; None: they never are"""
    _lags: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MAX_ANSWERS))
    """(when, how late), oldest first"""

    def add(self, lag_s: float, now_s: float) -> None:
        self._lags.append((now_s, lag_s))

    def p95_s(self, now_s: float) -> float | None:
        """Nearest rank; None while there are too few."""
        while self._lags and self._lags[0][0] < now_s - WINDOW_S:
            self._lags.popleft()
        if len(self._lags) < MIN_ANSWERS:
            return None
        return sorted(lag_s for _, lag_s in self._lags)[math.ceil(0.95 * len(self._lags)) - 1]

    def are_late(self, now_s: float) -> bool:
        p95_s = self.p95_s(now_s)
        return self.bound_s is not None and p95_s is not None and p95_s > self.bound_s


class LatenessWatch:
    """The observer of every session (`SessionObserver`): notes how late each spoken turn was answered.

    Only stages whose engine works on this machine count: a slow model elsewhere does not get faster by fewer callers.
    """

    def __init__(self, bound_s: float | None, stages: Collection[Stage]) -> None:
        self._recent = RecentLags(bound_s)
        self._stages = frozenset(stages)
        self._lock = threading.Lock()

    def are_late(self, now_s: float) -> bool:
        """Safe from any thread."""
        with self._lock:
            return self._recent.are_late(now_s)

    def of_session(self, session_id: str, options: SessionOptions) -> LatenessWatch:
        """What observes a session (`MakeObserver`): this one, all of them."""
        del session_id, options
        return self

    def happened(self, what: Happened, now_s: float) -> None:
        del what, now_s

    def decided(self, actions: Sequence[Action], now_s: float) -> None:
        for action in actions:
            if isinstance(action, ResponseFinished) and "speech_end" in action.turn.marks_ms:
                lag_s = sum(action.turn.stages_ms.get(stage, 0) for stage in self._stages) / 1000
                with self._lock:
                    self._recent.add(lag_s, now_s)

    def closed(self) -> None:
        pass
