"""A process and its descendants, and the processor time they use, as /proc tells (Linux)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

PROC = Path("/proc")


def tree_cpu_s(pid: int, proc: Path = PROC) -> float | None:
    """User and system time of a process and all its descendants, those that have ended and were waited for included."""
    stats = _stats(proc)
    # fields after the name, proc(5): 11 utime, 12 stime, 13 and 14 the same of waited-for children
    ticks = [sum(int(field) for field in stats[member][11:15]) for member in _family(pid, stats)]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def descendants(pid: int, proc: Path = PROC) -> list[int]:
    """A process and all that descend from it and still run; empty when it does not, or there is no /proc."""
    return _family(pid, _stats(proc))


def _family(pid: int, stats: Mapping[int, Sequence[str]]) -> list[int]:
    members: list[int] = []
    for entry in stats if pid in stats else ():
        ancestor = entry
        while ancestor not in (pid, 0) and ancestor in stats:
            ancestor = int(stats[ancestor][1])  # proc(5): the parent
        if ancestor == pid:
            members.append(entry)
    return members


def _stats(proc: Path) -> dict[int, list[str]]:
    """The fields of /proc/PID/stat after the name, of every process."""
    stats: dict[int, list[str]] = {}
    try:
        entries = [int(path.name) for path in proc.iterdir() if path.name.isdigit()]
    except OSError:
        return stats
    for entry in entries:
        with contextlib.suppress(OSError):  # it has just ended
            stats[entry] = (proc / str(entry) / "stat").read_text().rpartition(")")[2].split()
    return stats
