"""The command `talkover chaos`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from talkover.chaos import report
from talkover.chaos.report import Result
from talkover.chaos.run import Setup, question, run
from talkover.chaos.scenarios import SCENARIOS, Scenario
from talkover.chaos.verdict import Outcome, violations
from talkover.client.connection import ConversationEnded, ServerUnreachable
from talkover.client.server_process import ServerFailed, own_environment
from talkover.engines import EngineUnavailable

SWITCH_INTERVAL_S = 0.001
"""the callers' threads must not wait for each other for longer than what is measured"""
USAGE_FAULT = 2
FAILURE = 1

screen = Console()
notes = Console(stderr=True)


def command(
    show_list: Annotated[bool, typer.Option("--list", help="Name the scenarios and end.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="A scenario of --list. Repeatable.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Try this configuration, with the environment as it is."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override one value. Repeatable.")
    ] = None,
    instant: Annotated[
        bool, typer.Option("--instant", help="Engines that answer at once: tries what is around them only.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(metavar="WS_URL", help="A server that runs already: faults of network and clients only."),
    ] = None,
    silence_s: Annotated[
        float | None, typer.Option("--silence", metavar="S", min=0.1, help="Longest wait for a reply; else 12 s or so.")
    ] = None,
    witness_ms: Annotated[
        float, typer.Option("--witness-ms", min=0, help="By how much later than before the witness may be answered.")
    ] = 500.0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there.")] = None,
) -> None:
    """Do faults to a server and tell what the user heard, what the log says, and whether others noticed.

    Exit code 1: somebody heard nothing for too long, was not listened to again, or was disturbed; or the server died.
    """
    if show_list:
        screen.print(_listing())
        return
    scenarios = _chosen(only, url)
    arguments = [*(["--instant"] if instant else []), *(["--config", str(config)] if config else [])]
    arguments += [argument for override in overrides or () for argument in ("--set", override)]
    environ = own_environment() if config is None else dict(os.environ)
    key = environ.get("TALKOVER_API_KEY") if url is None else os.environ.get("TALKOVER_API_KEY")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        setup = Setup(question(), key, url, tuple(arguments), environ)
    except EngineUnavailable as error:
        _fail(str(error), FAILURE)

    def tried(scenario: Scenario) -> Result:
        limits = replace(scenario.limits, witness_ms=witness_ms)
        limits = limits if silence_s is None else replace(limits, silence_s=silence_s)
        return tried_once(replace(scenario, limits=limits), setup)

    results = _all(scenarios, tried)
    screen.print(report.table(results))
    if json_file is not None:
        try:
            report.write(json_file, results, {"url": url, "config": None if config is None else str(config)})
        except OSError as error:
            _fail(f"--json {json_file}: cannot be written: {error.strerror}", USAGE_FAULT)
    if any(result.violations for result in results):
        raise typer.Exit(FAILURE)


def tried_once(scenario: Scenario, setup: Setup) -> Result:
    """A scenario with its verdict; one that cannot even begin is a violation of its own."""
    try:
        outcome = run(scenario, setup)
    except (ServerFailed, ServerUnreachable, ConversationEnded, TimeoutError, OSError) as error:
        return Result(scenario, Outcome(), (f"it could not be tried: {error}",))
    return Result(scenario, outcome, tuple(violations(outcome, scenario.limits)))


def _all(scenarios: list[Scenario], tried: Callable[[Scenario], Result]) -> list[Result]:
    results: list[Result] = []
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task("", total=len(scenarios))
        for scenario in scenarios:
            progress.update(task, description=escape(f"{scenario.name}: {scenario.what}"))
            results.append(tried(scenario))
            progress.advance(task)
            mark = "[red]✗[/]" if results[-1].violations else "[green]✓[/]"
            progress.print(f"{mark} {escape(scenario.name)}: {escape(report.heard(results[-1].outcome))}")
    return results


def _chosen(only: list[str] | None, url: str | None) -> list[Scenario]:
    unknown = [name for name in only or () if name not in SCENARIOS]
    if unknown:
        _fail(f"--only must be one of those of --list, got {unknown[0]!r}", USAGE_FAULT)
    chosen = [SCENARIOS[name] for name in only or SCENARIOS]
    if url is None:
        return chosen
    if not url.startswith("ws://"):
        _fail(f"--url must begin with ws://, got {url!r}", USAGE_FAULT)
    inside = [scenario.name for scenario in chosen if not scenario.is_outside]
    if only and inside:
        _fail(f"{inside[0]} happens inside a server: leave --url out", USAGE_FAULT)
    return [scenario for scenario in chosen if scenario.is_outside]


def _listing() -> Table:
    shown = Table("name", "kind", "what happens")
    for scenario in SCENARIOS.values():
        shown.add_row(scenario.name, scenario.kind, scenario.what)
    return shown


def _fail(message: str, code: int) -> NoReturn:
    notes.print(f"[red]✗[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(code)
