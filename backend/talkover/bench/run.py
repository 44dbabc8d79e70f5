"""`talkover bench`: all parts one after the other, a table, and a JSON file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from talkover.bench import (
    answers,
    barge_in,
    capacity,
    cosyvoice2,
    detection,
    documents,
    latency,
    machine,
    overhead,
    overload,
    paraformer,
    ready,
    recognition,
    report,
    retrieval,
    soak,
)
from talkover.bench.duplex import calls as duplex
from talkover.bench.figures import PartResult
from talkover.bench.part import Setting
from talkover.bench.speech import Speech, find_speech
from talkover.client.connection import ConversationEnded, ServerUnreachable
from talkover.client.server_process import ServerFailed, own_environment

PARTS: dict[str, Callable[[Setting], PartResult]] = {
    "latency": latency.measure,
    "barge-in": barge_in.measure,
    "duplex": duplex.measure,
    "answers": answers.measure,
    "overhead": overhead.measure,
    "ready": ready.measure,
    "capacity": capacity.measure,
    "overload": overload.measure,
    "vad": detection.measure,
    "recognition": recognition.measure,
    "retrieval": retrieval.measure,
    "documents": documents.measure,
    "paraformer": paraformer.measure,
    "cosyvoice2": cosyvoice2.measure,
    "soak": soak.measure,
}
NOT_IN_QUICK = (
    "overload",
    "duplex",
    "vad",
    "recognition",
    "retrieval",
    "documents",
    "paraformer",
    "cosyvoice2",
    "soak",
)
SWITCH_INTERVAL_S = 0.001
"""the clients' threads must not wait for each other for longer than what is measured"""
USAGE_FAULT = 2
FAILURE = 1

screen = report.screen()
notes = Console(stderr=True)


def command(
    speech: Annotated[
        Path | None,
        typer.Option(
            "--speech",
            metavar="FOLDER",
            help="Folder of wavs or flacs to speak. Else $TALKOVER_SHARED/speech (../shared), else tests/data/speech.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="About two minutes, with few samples.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="PART", help=f"{', '.join(PARTS)}. Repeatable.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the JSON goes.")] = Path(
        "bench-results"
    ),
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="Measure this configuration, with the environment as it is."
        ),
    ] = None,
) -> None:
    """Measure a real server over its real socket, in real time: latency, barge-in, answers, start, cost.

    Without --config the embedded engines are measured, whatever the environment says.
    """
    unknown = [name for name in only or () if name not in PARTS]
    if unknown:
        _fail(f"--only must be one of {', '.join(PARTS)}, got {unknown[0]!r}")
    try:
        found = find_speech(speech)
    except ValueError as error:
        _fail(str(error))
    names = [name for name in PARTS if (name in only if only else not (quick and name in NOT_IN_QUICK))]
    notes.print(f"Speech: {escape(found.description)}", soft_wrap=True, highlight=False)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    head = machine.facts() | {
        "speech": {"folder": str(found.folder), "reason": found.reason, "recordings": len(found.clips)},
        "quick": quick,
        "config": None if config is None else str(config),
    }
    results, loads = measure(names, found, quick, config)
    report.show(results, screen)
    busy = [load for load in loads.values() if load is not None]
    if busy:
        notes.print(f"Other processes kept {max(busy):.1f} of {head['cores']} cores busy meanwhile, at most.")
    path = output / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    try:
        report.write(path, head, results, loads)
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    notes.print(f"Written to {escape(str(path))}", soft_wrap=True, highlight=False)
    if any(result.failure is not None for result in results):
        raise typer.Exit(FAILURE)


def measure(
    names: list[str], speech: Speech, quick: bool, config: Path | None
) -> tuple[list[PartResult], dict[str, float | None]]:
    """Run parts in order. Returns their results, and how many cores others kept busy during each."""
    arguments = () if config is None else ("--config", str(config))
    environ: dict[str, str] = own_environment() if config is None else dict(os.environ)
    results: list[PartResult] = []
    loads: dict[str, float | None] = {}
    columns = (TextColumn("{task.fields[part]:>9}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task("", total=len(names), part="")

        def advance(what: str, share: float) -> None:
            progress.update(task, description=escape(what), completed=len(results) + min(1.0, share))

        setting = Setting(speech, quick, arguments, environ, environ.get("TALKOVER_API_KEY"), advance)
        for name in names:
            progress.update(task, part=name, completed=len(results))
            results.append(_measured(name, setting, loads))
    return results, loads


def _measured(name: str, setting: Setting, loads: dict[str, float | None]) -> PartResult:
    """One part. What goes wrong in it is told in its place; the others are still worth measuring."""
    load, started_s = machine.OtherLoad(), time.monotonic()
    try:
        result = PARTS[name](setting)
    except (ServerFailed, ServerUnreachable, ConversationEnded, TimeoutError, RuntimeError, ValueError) as error:
        result = PartResult(name, name, (), failure=str(error))
    loads[name] = load.cores()
    return replace(result, took_s=time.monotonic() - started_s)


def _fail(message: str) -> NoReturn:
    notes.print(f"[red]✗[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(USAGE_FAULT)
