"""Lacks of the machine, for one process: a disk that is full, a wall clock that steps, no file descriptor left.

They are real limits of the kernel where there are any. The clock is Python's: `time.time` and `time.time_ns` are moved,
`datetime.now` and other processes are not.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from talkover.chaos.plan import SystemFault

SPARE_DESCRIPTORS = 0


class SystemSwitch:
    """Does a fault to this process, and takes it back."""

    def __init__(self, fault: SystemFault) -> None:
        self._fault = fault
        self._limits: dict[int, tuple[int, int]] = {}
        self._offset_s = 0.0
        if fault.deed == "clock_jump":
            self._move_clock()

    def turn(self, on: bool) -> None:
        match self._fault.deed:
            case "disk_full":
                # no file grows: EFBIG where a full disk gives ENOSPC, an OSError in the same places
                self._limit(resource.RLIMIT_FSIZE, 0 if on else None)
            case "no_descriptors":
                self._limit(resource.RLIMIT_NOFILE, _next_descriptor() if on else None)
            case "clock_jump":
                self._offset_s = self._fault.clock_jump_s

    def _limit(self, kind: int, soft: int | None) -> None:
        """Lower a soft limit, or put it back."""
        before = self._limits.setdefault(kind, resource.getrlimit(kind))
        resource.setrlimit(kind, before if soft is None else (soft, before[1]))

    def _move_clock(self) -> None:
        real_s, real_ns = time.time, time.time_ns

        def moved_s() -> float:
            return real_s() + self._offset_s

        def moved_ns() -> int:
            return real_ns() + int(self._offset_s * 1_000_000_000)

        time.time, time.time_ns = moved_s, moved_ns


def _next_descriptor() -> int:
    """The limit under which no new descriptor can be had: the lowest number that is free."""
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number + SPARE_DESCRIPTORS


def children(pid: int, proc: Path = Path("/proc")) -> dict[int, str]:
    """Processes that a process started itself: pid -> command line."""
    found: dict[int, str] = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if parent == pid:
            found[int(entry.name)] = command.strip()
    return found
