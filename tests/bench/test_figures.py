"""Percentiles, their uncertainty, and targets."""

from __future__ import annotations

import numpy as np
import pytest

from talkover.bench.figures import Figure, Target, summarize


def test_percentiles_of_a_known_sample():
    summary = summarize([float(value) for value in range(101)])
    assert summary is not None
    assert (summary.n, summary.p50, summary.p95, summary.lowest, summary.highest) == (101, 50, 95, 0, 100)


def test_nothing_has_no_summary():
    assert summarize([]) is None


def test_few_values_have_no_interval():
    summary = summarize([1.0] * 9)
    assert summary is not None
    assert summary.p50_interval is None
    assert summary.p95_interval is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(100):
        summary = summarize(rng.normal(100, 10, 40).tolist())
        assert summary is not None
        assert summary.p50_interval is not None
        hits += summary.p50_interval.low <= 100 <= summary.p50_interval.high
    assert 86 <= hits <= 100


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("p50", 50), True),
        (Target("p50", 49), False),
        (Target("p95", 95), True),
        (Target("p95", 94), False),
        (Target("p95", 96, "at least"), False),
    ],
)
def test_targets_look_at_their_own_percentile(target: Target, met: bool):
    figure = Figure("x", "ms", summarize([float(value) for value in range(101)]), targets=(target,))
    assert figure.verdicts() == [(target, met)]


def test_what_was_not_measured_is_neither_met_nor_missed():
    targets = (Target("p50", 1), Target("value", 1))
    assert Figure("x", "ms", targets=targets).verdicts() == []
