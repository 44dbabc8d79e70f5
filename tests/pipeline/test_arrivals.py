"""When audio was heard, whatever the network and a busy session did to its arrival."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.pipeline.arrivals import KEPT_MS, Arrivals

CHUNK_MS = 20.0


def arrived(*delays_ms: float, opened_s: float = 100.0) -> Arrivals:
    """Chunks of 20 ms, each with what it came late by."""
    arrivals = Arrivals()
    now_s = opened_s
    for index, delay_ms in enumerate(delays_ms):
        until_ms = (index + 1) * CHUNK_MS
        now_s = max(now_s, opened_s + (until_ms + delay_ms) / 1000)
        arrivals.add(until_ms, now_s)
    return arrivals


def test_audio_that_came_on_time_was_heard_when_it_came() -> None:
    assert arrived(*[0.0] * 50).heard_s(400, 101.0) == pytest.approx(100.4)


def test_a_backlog_at_the_moment_of_the_decision_does_not_move_what_was_heard_before() -> None:
    assert arrived(*[0.0] * 40, 90, 90, 90).heard_s(500, 101.0) == pytest.approx(100.5)


def test_a_chunk_that_came_late_is_put_right_by_the_next_that_did_not() -> None:
    assert arrived(*[0.0] * 10, 60, 50, 40, *[0.0] * 10).heard_s(220, 101.0) == pytest.approx(100.22)


def test_audio_after_a_gap_in_the_stream_counts_from_its_own_arrival() -> None:
    assert arrived(*[0.0] * 10, *[5000.0] * 20).heard_s(400, 106.0) == pytest.approx(105.4)


def test_nothing_was_heard_later_than_now_and_an_unknown_position_is_now() -> None:
    arrivals = arrived(*[0.0] * 10)
    assert arrivals.heard_s(190, 100.05) == 100.05
    assert arrivals.heard_s(5000, 103.0) == 103.0
    assert Arrivals().heard_s(0, 7.0) == 7.0


@settings(deadline=None)  # a busy machine
@given(st.lists(st.floats(0, 400), min_size=1, max_size=80), st.data())
def test_never_before_it_was_spoken_nor_after_it_came(delays_ms: list[float], data: st.DataObject) -> None:
    position_ms = data.draw(st.floats(0, len(delays_ms) * CHUNK_MS))
    heard_s = arrived(*delays_ms).heard_s(position_ms, 1000.0)
    worst_ms = max(delays_ms)
    assert 100 + position_ms / 1000 - 1e-6 <= heard_s <= 100 + (position_ms + worst_ms) / 1000 + 1e-6


def test_what_it_remembers_is_bounded_by_time() -> None:
    arrivals = Arrivals()
    for index in range(20_000):  # ever later, so that nothing is superfluous
        arrivals.add(index * CHUNK_MS, index * (CHUNK_MS + 1) / 1000)
    assert len(arrivals._soonest) <= KEPT_MS / CHUNK_MS + 1
