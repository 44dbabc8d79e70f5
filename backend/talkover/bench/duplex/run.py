"""`talkover bench duplex`: real-time conversations over the real socket, scored by what the client hears.

Two calls go on side by side unless told otherwise; the machine's share in what is measured is told beside the figures.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from talkover.bench import machine, report
from talkover.bench.duplex.calls import CLIENTS, JOBS, Options, Result, hold, part_result, prepared
from talkover.bench.duplex.curve import curve, expected
from talkover.bench.duplex.decisions import decisions_of, logs_of
from talkover.bench.duplex.page import page
from talkover.bench.duplex.replay import replay_all
from talkover.bench.duplex.takes import FAMILIES, Family
from talkover.bench.run import FAILURE, SWITCH_INTERVAL_S, USAGE_FAULT
from talkover.bench.speech import find_speech
from talkover.client.connection import JsonObject, ServerUnreachable
from talkover.client.server_process import ServerFailed, ServerProcess, own_environment

screen = report.screen()
notes = Console(stderr=True)


def command(
    quick: Annotated[bool, typer.Option("--quick", help="A quarter of the takes.")] = False,
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", metavar="NAME", help=f"{', '.join(FAMILIES)}. Repeatable.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="A setting of the server. Repeatable.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Measure this configuration, in this environment."),
    ] = None,
    client: Annotated[str, typer.Option("--client", metavar="KIND", help=f"{', '.join(CLIENTS)}.")] = "stock",
    turn_detection: Annotated[
        str, typer.Option("--turn-detection", metavar="MODE", help="server_vad, semantic_vad, low, medium or high.")
    ] = "semantic_vad",
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=8, help="Calls at the same time.")] = JOBS,
    echo_minutes: Annotated[
        float | None,
        typer.Option("--echo-minutes", min=0.3, max=60, help="The echo scenario as one long run at -6 dB."),
    ] = None,
    speech: Annotated[
        Path | None,
        typer.Option("--speech", metavar="FOLDER", help="Recordings of people. Else $TALKOVER_SHARED/speech."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where JSON and page go.")] = Path(
        "bench-results"
    ),
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay", metavar="PATH", help="Instead: take the decisions of a log again (or of a folder of them)."
        ),
    ] = None,
) -> None:
    """Yields at once, and knows "uh-huh" from "stop"? Measured by what a client hears, in real time."""
    if replay is not None:
        _replay(replay)
    unknown = [name for name in scenario or () if name not in FAMILIES]
    if unknown:
        _fail(f"--scenario must be one of {', '.join(FAMILIES)}, got {unknown[0]!r}")
    if client not in CLIENTS:
        _fail(f"--client must be one of {', '.join(CLIENTS)}, got {client!r}")
    detection = _turn_detection(turn_detection)
    families: list[Family] = [family for family in FAMILIES if not scenario or family in scenario]
    try:
        takes, openings, described = prepared(find_speech(speech), families, quick, echo_minutes=echo_minutes)
    except ValueError as error:
        _fail(str(error))
    notes.print(f"Speech: {escape(described)}", soft_wrap=True, highlight=False)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    arguments = [*(() if config is None else ("--config", str(config)))]
    arguments += [part for override in ("server.max_lag_ms=none", *(overrides or ())) for part in ("--set", override)]
    environ: Mapping[str, str] = own_environment() if config is None else dict(os.environ)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    log = (output / f"duplex-{stamp}-decisions").resolve()
    arguments += ["--set", f"vad.decision_log={log}"]
    head = machine.facts() | {
        "speech": described,
        "quick": quick,
        "config": None if config is None else str(config),
        "set": overrides or [],
        "client": client,
        "turn_detection": detection,
    }
    load, started_s = machine.OtherLoad(), time.monotonic()
    options = Options(client, detection, jobs)
    try:
        with ServerProcess(arguments, environ=environ) as server, _ProgressBar() as advance:
            server.wait_ready()
            results, remarks = hold(server.url, environ.get("TALKOVER_API_KEY"), takes, openings, options, advance)
    except (ServerFailed, ServerUnreachable) as error:
        notes.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(FAILURE) from error
    points = curve(logs_of(log), expected([each.taken.observation for each in results]))
    result = replace(part_result(results, remarks, points), took_s=time.monotonic() - started_s)
    report.show([result], screen)
    _show_failures(results)
    path = output / f"duplex-{stamp}.json"
    about = f"{head['date']}, Talkover {head['commit'] or head['talkover']}, {head['cores']} cores, {client} client"
    try:
        report.write(path, head | {"curve": [asdict(point) for point in points]}, [result], {"duplex": load.cores()})
        shown = page(about, result.figures, [(each.taken, each.verdict) for each in results], decisions_of(log), points)
        path.with_suffix(".html").write_text(shown, encoding="utf-8")
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    notes.print(f"Written to {escape(str(path))} and .html", soft_wrap=True, highlight=False)


def _replay(path: Path) -> NoReturn:
    try:
        equal = replay_all(path, screen)
    except ValueError as error:
        _fail(str(error))
    raise typer.Exit(0 if equal else FAILURE)


def _turn_detection(mode: str) -> JsonObject:
    if mode in ("server_vad", "semantic_vad"):
        return {"type": mode}
    if mode in ("low", "medium", "high", "auto"):
        return {"type": "semantic_vad", "eagerness": mode}
    _fail(f"--turn-detection must be server_vad, semantic_vad, low, medium, high or auto, got {mode!r}")


def _show_failures(results: Sequence[Result]) -> None:
    for result in results:
        if not result.verdict.passed:
            screen.print(
                f"[red]✗[/] {escape(result.verdict.take.name)}: {escape(result.verdict.why)}",
                soft_wrap=True,
                highlight=False,
            )


class _ProgressBar:
    """A progress bar as a function of what is done and which share of all is."""

    def __enter__(self) -> Callable[[str, float], None]:
        self._bar = Progress(
            BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"), console=notes, transient=True
        )
        self._bar.start()
        task = self._bar.add_task("", total=1.0)
        return lambda what, share: self._bar.update(task, description=escape(what), completed=share)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _fail(message: str) -> NoReturn:
    notes.print(f"[red]✗[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(USAGE_FAULT)
