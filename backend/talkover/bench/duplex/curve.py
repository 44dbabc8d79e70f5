"""Delay against false cut-offs, as eot-bench draws it: the grounds of every decision, decided again with more and with
less patience.

Only the waits change: what was heard, by when its words were known, and every other decision stay as recorded. Words
that came after a turn had been cut off in the recording belong to another utterance there, so a curve is the better,
the fewer cut-offs its recording has.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from talkover.bench.duplex.observation import Observation
from talkover.bench.duplex.replay import REPLAYABLE
from talkover.vad.decision_log import decide_again
from talkover.vad.endpointing import TurnOptions
from talkover.vad.turn_events import SpeechEnded

PATIENCE = (0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0)
BUDGET = 0.05
"""false cut-offs at which delays are compared (eot-bench)"""
MAX_PAUSE_MS = 1000.0
"""longer pauses are ends for many listeners too"""
NEVER_MS = 8000.0
"""an end that was not decided by then is counted as decided then"""


@dataclass(frozen=True, slots=True)
class Point:
    """What one patience costs and avoids."""

    patience: float
    """1: as configured"""
    false_cutoffs: float
    """share of pauses to 1000 ms in which the turn was ended"""
    delay_ms: float
    """from the last sound of an utterance to the decision that it is over; median"""
    pauses: int
    ends: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What should be decided in one session, on the clock of its audio."""

    pauses_ms: tuple[tuple[float, float], ...]
    """(begin, end) of each pause of the user"""
    ends_ms: tuple[float, ...]
    """last sounds of utterances"""


def expected(observations: Sequence[Observation]) -> dict[str, Expected]:
    """The user's pauses and ends while the agent was silent, by session."""
    found: dict[str, tuple[list[tuple[float, float]], list[float]]] = {}
    for seen in observations:
        take = seen.take
        if take.family not in ("answering", "pause", "yes_no") or not seen.session_id:
            continue
        pauses, ends = found.setdefault(seen.session_id, ([], []))
        zero_ms = seen.zero_input_ms
        pauses += [
            (zero_ms + pause.start_ms, zero_ms + pause.end_ms)
            for pause in take.pauses
            if pause.end_ms - pause.start_ms <= MAX_PAUSE_MS + 1
        ]
        ends.append(zero_ms + take.end_ms)
    return {session: Expected(tuple(pauses), tuple(ends)) for session, (pauses, ends) in found.items()}


def curve(logs: Mapping[str, Path], wanted: Mapping[str, Expected]) -> list[Point]:
    """A point for each patience, from the logs of the sessions. Raises ValueError for what is no decision log."""
    points: list[Point] = []
    for patience in PATIENCE:
        cuts: list[bool] = []
        delays_ms: list[float] = []
        for session, what in wanted.items():
            if session in logs:
                ended_ms = turn_ends_ms(logs[session].read_bytes().splitlines(), patience)
                cuts += [_within(ended_ms, begin_ms, end_ms) for begin_ms, end_ms in what.pauses_ms]
                delays_ms += [_delay_ms(ended_ms, end_ms) for end_ms in what.ends_ms]
        if cuts and delays_ms:
            median_ms = float(np.median(delays_ms))
            points.append(Point(patience, sum(cuts) / len(cuts), median_ms, len(cuts), len(delays_ms)))
    return points


def turn_ends_ms(lines: Sequence[bytes], patience: float) -> list[float]:
    """When turns would have been declared over, in order."""

    def more_or_less_patient(argument: Any) -> Any:
        return replace(argument, patience=patience) if isinstance(argument, TurnOptions) else argument

    return [
        event.end_ms
        for decided in decide_again(lines, REPLAYABLE, more_or_less_patient)
        for event in (decided.result if isinstance(decided.result, list) else ())
        if isinstance(event, SpeechEnded)
    ]


def delay_at_budget_ms(points: Sequence[Point], budget: float = BUDGET) -> float | None:
    """The delay at which no more than `budget` of the pauses are taken for ends, between the two points around it;
    None when no patience is enough."""
    ordered = sorted(points, key=lambda point: point.patience)
    for before, after in zip([None, *ordered], ordered, strict=False):
        if after.false_cutoffs > budget:
            continue
        if before is None or before.false_cutoffs <= budget:
            return after.delay_ms
        share = (before.false_cutoffs - budget) / (before.false_cutoffs - after.false_cutoffs)
        return before.delay_ms + share * (after.delay_ms - before.delay_ms)
    return None


def _within(ended_ms: Sequence[float], begin_ms: float, end_ms: float) -> bool:
    index = bisect_right(ended_ms, begin_ms)
    return index < len(ended_ms) and ended_ms[index] <= end_ms


def _delay_ms(ended_ms: Sequence[float], end_ms: float) -> float:
    index = bisect_right(ended_ms, end_ms)
    return min(NEVER_MS, ended_ms[index] - end_ms) if index < len(ended_ms) else NEVER_MS
