"""How long it takes from the command to a server that answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.part import Setting
from talkover.client.server_process import ServerProcess

INSTALLED_MARK = ".venv/light.installed"
"""what the Makefile's `run` depends on"""


def measure(setting: Setting) -> PartResult:
    n_warm, n_cold = setting.count(3, 1), setting.count(2, 1)
    details: list[dict[str, Any]] = []

    def start(kind: str, environ: dict[str, str], command: list[str] | None = None) -> float:
        setting.advance(f"{kind} start", len(details) / (n_warm + n_cold + 1))
        with ServerProcess(setting.server_arguments, environ=environ, command=command) as server:
            ready_s = server.wait_ready()
            details.append({"kind": kind, "ready_s": ready_s, "cpu_s": server.cpu_s()})
        return ready_s

    cold_s: list[float] = []
    warm_s: list[float] = []
    for _ in range(n_cold):
        with tempfile.TemporaryDirectory() as cache:
            environ = dict(setting.environ) | {"XDG_CACHE_HOME": cache}
            cold_s.append(start("cold", environ))
            if len(cold_s) == n_cold:
                warm_s = [start("warm", environ) for _ in range(n_warm)]
    figures = [
        Figure("serve to ready, warm cache", "s", summarize(warm_s), targets=(Target("p50", 5),)),
        Figure("serve to ready, empty cache", "s", summarize(cold_s), targets=(Target("p50", 5),)),
    ]
    remarks = ["from the start of the process to the first 200 of /readyz"]
    if _make_is_installed():
        make_s = start("make run", dict(setting.environ), ["make", "run", "ARGS=--port {port}"])
        figures.append(Figure("make run to ready, installed", "s", value=make_s))
    else:
        remarks.append("make run was not timed: this is not a checkout in which it has been run before")
    return PartResult("ready", "Start", tuple(figures), tuple(remarks), details)


def _make_is_installed() -> bool:
    """Whether `make run` here would start the server at once."""
    if shutil.which("make") is None or not Path("Makefile").is_file() or not os.access(INSTALLED_MARK, os.F_OK):
        return False
    return subprocess.run(["make", "-q", INSTALLED_MARK], capture_output=True, check=False).returncode == 0
