"""A server with faults inside: `python -m talkover.chaos.server PORT PLAN [--instant] [--config FILE] [--set K=V]...`.

SIGUSR1 turns the planned faults on, SIGUSR2 off. Its log goes through a pipe, so that it can be read when the disk of
the server is full.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from talkover.bench.instant import instant_engines
from talkover.chaos.engines import Switch, with_faults
from talkover.chaos.plan import decode_plan
from talkover.chaos.system import SystemSwitch
from talkover.config import Settings, load_settings
from talkover.engines import Engines
from talkover.loading import build_engines
from talkover.serving import serve


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options().parse_args(arguments)
    plan = decode_plan(options.plan)
    settings = load_settings(options.config, [*options.set, f"server.port={options.port}"])
    _log_through_a_pipe()
    switch = Switch()
    machine = None if plan.system is None else SystemSwitch(plan.system)

    def turn(on: bool) -> None:
        switch.turn(on)
        if machine is not None:
            machine.turn(on)

    signal.signal(signal.SIGUSR1, lambda _number, _frame: turn(True))
    signal.signal(signal.SIGUSR2, lambda _number, _frame: turn(False))

    def build(settings: Settings) -> Engines:
        engines = instant_engines(settings) if options.instant else build_engines(settings)
        return with_faults(engines, plan, switch)

    try:
        serve(settings, build)
    finally:
        switch.ended.set()


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("plan", help="a FaultPlan as JSON")
    parser.add_argument("--instant", action="store_true", help="engines that answer at once")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[])
    return parser


def _log_through_a_pipe() -> None:
    """Give standard output and error to a process that is started before anything is limited."""
    reading, writing = os.pipe()
    subprocess.Popen(["cat"], stdin=reading)
    os.close(reading)
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)
    os.close(writing)


if __name__ == "__main__":
    main()
