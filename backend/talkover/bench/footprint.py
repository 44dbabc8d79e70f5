"""What a server holds of the machine while it runs: memory, threads, file descriptors of it and all its workers."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from talkover.process_tree import PROC, descendants


@dataclass(frozen=True, slots=True)
class Footprint:
    """A process and its descendants at one moment."""

    at_s: float
    """since the measurement began"""
    memory_mib: float
    """proportional set size: a page that several processes share counts once"""
    threads: int
    descriptors: int
    processes: int
    sessions: int = 0
    """conversations that were going on"""
    by_process_mib: tuple[float, ...] = ()
    """the server first, then its workers"""


@dataclass(frozen=True, slots=True)
class Growth:
    """The last third of a run against its first third.

    Memory by medians: a single garbage collection moves neither. Threads and descriptors by the least there were while
    the most sessions went on: those come and go with requests, and what leaks stays.
    """

    memory_percent: float
    first_mib: float
    last_mib: float
    threads: float
    descriptors: float


def footprint(pid: int, at_s: float, sessions: int = 0, proc: Path = PROC) -> Footprint | None:
    """None where there is no /proc, or no such process. What ends meanwhile does not count."""
    threads = descriptors = 0
    memory_mib: list[float] = []
    for member in sorted(descendants(pid, proc)):
        folder = proc / str(member)
        try:
            memory = _number(folder / "smaps_rollup", "Pss:")
            n_threads = _number(folder / "status", "Threads:")
            n_descriptors = len(os.listdir(folder / "fd"))
        except OSError:
            continue
        memory_mib.append(memory / 1024)
        threads, descriptors = threads + n_threads, descriptors + n_descriptors
    if not memory_mib:
        return None
    return Footprint(at_s, sum(memory_mib), threads, descriptors, len(memory_mib), sessions, tuple(memory_mib))


def growth(samples: Sequence[Footprint]) -> Growth | None:
    """None for fewer than six samples, two a third."""
    third = len(samples) // 3
    if third < 2:
        return None
    first, last = samples[:third], samples[-third:]
    first_mib, last_mib = (statistics.median(sample.memory_mib for sample in part) for part in (first, last))
    (first_threads, first_descriptors), (last_threads, last_descriptors) = _always_there(first), _always_there(last)
    return Growth(
        100 * (last_mib / first_mib - 1),
        first_mib,
        last_mib,
        last_threads - first_threads,
        last_descriptors - first_descriptors,
    )


def _always_there(samples: Sequence[Footprint]) -> tuple[int, int]:
    """The least threads and descriptors while the most sessions went on."""
    most = max(sample.sessions for sample in samples)
    busy = [sample for sample in samples if sample.sessions == most]
    return min(sample.threads for sample in busy), min(sample.descriptors for sample in busy)


def _number(path: Path, key: str) -> int:
    """Behind `key` in a file of /proc; 0 when it is not there (a zombie has no memory). Raises OSError."""
    for line in path.read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0
