"""The benchmark's results: a table for the screen, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from talkover.bench.figures import Figure, Interval, PartResult, Target

PIPED_WIDTH = 120


def screen() -> Console:
    """Where tables go: as wide as the terminal, or wide enough to be read from a file."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)


def show(results: Sequence[PartResult], console: Console) -> None:
    """Print all parts."""
    table = Table(title="Talkover bench", title_style="bold", header_style="dim", expand=False)
    table.add_column("", no_wrap=True)
    for column in ("p50", "p95"):
        table.add_column(column, justify="right")
    table.add_column("n", justify="right")
    table.add_column("target")
    table.add_column("", overflow="fold")
    for result in results:
        if not result.figures:
            continue
        table.add_section()
        table.add_row(f"[bold]{escape(result.title)}[/] [dim]({result.took_s:.0f} s)[/]")
        for figure in result.figures:
            table.add_row(*_cells(figure))
    if table.row_count:
        console.print(table)
    for result in results:
        if result.table is not None:
            console.print(result.table)
    for result in results:
        if result.failure is not None:
            console.print(f"[red]✗ {escape(result.name)}: {escape(result.failure)}[/]", soft_wrap=True, highlight=False)
        for remark in result.remarks:
            console.print(f"[dim]{escape(result.name)}:[/] {escape(remark)}", soft_wrap=True, highlight=False)


def _cells(figure: Figure) -> tuple[str, ...]:
    name = f"{escape(figure.name)} [dim]{figure.unit}[/]"
    target = _targets(figure)
    summary = figure.summary
    if summary is None:
        value = "-" if figure.value is None else number(figure.value)
        return name, value, "", "", target, escape(figure.note)
    p50, p95 = (
        f"{number(value)}{_interval(interval)}"
        for value, interval in ((summary.p50, summary.p50_interval), (summary.p95, summary.p95_interval))
    )
    return name, p50, p95, str(summary.n), target, escape(figure.note)


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f" [dim]({number(interval.low)}-{number(interval.high)})[/]"


def _targets(figure: Figure) -> str:
    shown: list[str] = []
    for target, met in figure.verdicts():
        shown.append(f"[{'green' if met else 'red'}]{'✓' if met else '✗'} {wanted(target)}[/]")
    return " ".join(shown)


def wanted(target: Target) -> str:
    """A target in short, e.g. `p50≤700`."""
    sign = {"at most": "≤", "at least": "≥", "within": "±"}[target.kind]
    return f"{sign}{number(target.limit)}" if target.of == "value" else f"{target.of}{sign}{number(target.limit)}"


def number(value: float) -> str:
    """Three significant digits at most, whole numbers from 100 on."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def missed(results: Sequence[PartResult]) -> list[str]:
    """The targets that were not met."""
    return [
        f"{figure.name.strip()}: {wanted(target)} {figure.unit}".strip()
        for result in results
        for figure in result.figures
        for target, met in figure.verdicts()
        if not met
    ]


def write(path: Path, head: Mapping[str, Any], results: Sequence[PartResult], other_cores: Mapping[str, Any]) -> None:
    """All that was measured, as JSON. Raises OSError."""
    parts = [
        {
            "name": result.name,
            "other_cores_busy": other_cores.get(result.name),
            "figures": [asdict(figure) | {"met": [met for _, met in figure.verdicts()]} for figure in result.figures],
            "took_s": round(result.took_s, 1),
            "failure": result.failure,
            "remarks": result.remarks,
            "details": result.details,
        }
        for result in results
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode({**head, "parts": parts}, order="deterministic"), indent=1)
    )
