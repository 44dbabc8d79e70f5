"""What soak and overload make of what they measured: growth, and who was turned away how."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from talkover.bench.caller import Exchange
from talkover.bench.capacity import Level
from talkover.bench.figures import Figure
from talkover.bench.footprint import Footprint, footprint, growth
from talkover.bench.overload import TurnedAway
from talkover.bench.overload import score as score_overload
from talkover.bench.soak import Run, score, settled


def sample(at_s: float, memory_mib: float, threads: int = 20, descriptors: int = 30) -> Footprint:
    return Footprint(at_s, memory_mib, threads, descriptors, 3)


def exchange(voice_to_voice_ms: float | None) -> Exchange:
    return Exchange("q", "what", "what", "", voice_to_voice_ms, None, False, {}, 0.0)


def missed(figures: list[Figure]) -> set[str]:
    return {figure.name for figure in figures for _, met in figure.verdicts() if not met}


def test_growth_is_the_last_third_against_the_first_and_one_peak_is_none():
    flat = [sample(index, 200.0 + (50.0 if index == 8 else 0.0)) for index in range(9)]
    grown = growth(flat)
    assert grown is not None
    assert (grown.memory_percent, grown.threads, grown.descriptors) == (0.0, 0.0, 0.0)
    leaking = growth([sample(index, 200.0 + 2 * index, threads=20 + index) for index in range(9)])
    assert leaking is not None
    assert leaking.memory_percent == pytest.approx(100 * (214 / 202 - 1))
    assert leaking.threads == 6
    assert growth(flat[:5]) is None


def test_a_leak_misses_its_target_and_warm_up_is_no_leak():
    steady = Run(2, 1.0, footprints=[sample(0, 100.0), *(sample(10 + index, 200.0) for index in range(9))])
    steady.exchanges = [exchange(600.0)] * 3
    assert settled(steady) == []
    steady.settled_s = 10.0
    assert missed(score(steady)) == set()
    warm_up = next(figure for figure in score(steady) if figure.name == "memory before that")
    assert warm_up.value == 100.0
    leaking = Run(2, 1.0, footprints=[sample(index, 200.0 + 3 * index) for index in range(9)], settled_s=0.0)
    leaking.exchanges = [exchange(600.0), exchange(None)]
    assert missed(score(leaking)) == {"memory, last third against the first", "answered"}


def test_the_footprint_counts_what_a_process_and_its_children_hold(tmp_path: Path):
    for pid, parent, pss_kib in ((10, 1, 2048), (11, 10, 1024), (12, 1, 9999)):
        folder = tmp_path / str(pid)
        (folder / "fd").mkdir(parents=True)
        for descriptor in range(3):
            (folder / "fd" / str(descriptor)).touch()
        (folder / "stat").write_text(f"{pid} (python) S {parent} " + " ".join(["0"] * 30))
        (folder / "smaps_rollup").write_text(f"head\nRss: 1 kB\nPss: {pss_kib} kB\n")
        (folder / "status").write_text("Name: python\nThreads:\t4\n")
    assert footprint(10, 5.0, 2, tmp_path) == Footprint(5.0, 3.0, 8, 6, 2, 2, (2.0, 1.0))
    assert footprint(99, 5.0, 0, tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells what a process holds")
def test_this_process_holds_something():
    held = footprint(os.getpid(), 0.0)
    assert held is not None
    assert held.memory_mib > 10
    assert held.threads >= 1
    assert held.descriptors >= 3


def level(sessions: int, *times_ms: float) -> Level:
    return Level(sessions, [exchange(value) for value in times_ms])


def test_overload_compares_p95_and_wants_everybody_told():
    away = TurnedAway(attempts=3, told_when=2, told_place=1)
    fine = score_overload(level(2, 600.0, 600.0), level(4, 700.0, 700.0), away)
    assert missed(fine) == set()
    starved = score_overload(level(2, 600.0), level(4, 900.0), TurnedAway(2, 1, 0, ["let in"]))
    assert missed(starved) == {"p95 of the second to the first", "turned away properly"}
