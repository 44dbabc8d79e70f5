"""Numbers with their uncertainty: percentiles of a sample, and what a part of the benchmark found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from rich.table import Table

MIN_FOR_INTERVAL = 10
"""values from which a confidence interval is given"""
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A sample in short."""

    n: int
    p50: float
    p95: float
    lowest: float
    highest: float
    p50_interval: Interval | None
    """95 % bootstrap confidence interval; None under 10 values"""
    p95_interval: Interval | None


def summarize(values: Sequence[float]) -> Summary | None:
    """None for an empty sample. Percentiles are interpolated linearly; the bootstrap (percentile method) is seeded."""
    if not values:
        return None
    sample = np.asarray(values, np.float64)
    p50, p95 = (float(value) for value in np.percentile(sample, (50, 95)))
    intervals: list[Interval | None] = [None, None]
    if sample.size >= MIN_FOR_INTERVAL:
        rng = np.random.default_rng(0)
        resampled = sample[rng.integers(0, sample.size, (RESAMPLES, sample.size))]
        tail = 100 * (1 - CONFIDENCE) / 2
        for index, percentile in enumerate((50, 95)):
            low, high = np.percentile(np.percentile(resampled, percentile, axis=1), (tail, 100 - tail))
            intervals[index] = Interval(float(low), float(high))
    return Summary(sample.size, p50, p95, float(sample.min()), float(sample.max()), *intervals)


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be."""

    of: Literal["p50", "p95", "value"]
    limit: float
    kind: Literal["at most", "at least", "within"] = "at most"
    """within: no further from 0 to either side"""

    def is_met(self, value: float) -> bool:
        if self.kind == "within":
            return abs(value) <= self.limit
        return value <= self.limit if self.kind == "at most" else value >= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table: a sample in short, or one number."""

    name: str
    unit: str
    summary: Summary | None = None
    value: float | None = None
    targets: tuple[Target, ...] = ()
    note: str = ""

    def verdicts(self) -> list[tuple[Target, bool]]:
        """Each target, and whether it is met; none where nothing was measured."""
        found: list[tuple[Target, bool]] = []
        for target in self.targets:
            value = self.value if target.of == "value" else getattr(self.summary, target.of, None)
            if value is not None:
                found.append((target, target.is_met(value)))
        return found


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part of the benchmark found."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()
    """how it was measured, and which measurements are missing"""
    details: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """the single measurements, for the JSON"""
    took_s: float = 0.0
    failure: str | None = None
    """why nothing could be measured"""
    table: Table | None = None
    """shown instead of the figures, by a part with a shape of its own"""
