"""What a run of scenarios looks like: a table for people, JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from talkover.chaos.scenarios import Scenario
from talkover.chaos.verdict import Outcome

SHOWN_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Result:
    """A scenario that was run."""

    scenario: Scenario
    outcome: Outcome
    violations: tuple[str, ...]
    """empty: it went as it should"""

    def json(self) -> dict[str, Any]:
        return {
            "name": self.scenario.name,
            "what": self.scenario.what,
            "violations": list(self.violations),
            **asdict(self.outcome),
        }


def table(results: Sequence[Result]) -> Table:
    shown = Table(title="Faults, and what came of them", show_lines=True)
    for column in ("fault", "what the user heard", "what the log says", "listens again", "witness"):
        shown.add_column(column, justify="right" if column == "listens again" else "left", overflow="fold")
    for result in results:
        shown.add_row(*row(result))
    return shown


def row(result: Result) -> tuple[str, str, str, str, str]:
    outcome = result.outcome
    mark = "[red]✗[/]" if result.violations else "[green]✓[/]"
    fault = f"{mark} [bold]{escape(result.scenario.name)}[/]\n{escape(result.scenario.what)}"
    fault += "".join(f"\n[red]{escape(violation)}[/]" for violation in result.violations)
    return fault, escape(heard(outcome)), escape(_short(outcome.log_line) or "-"), _listens(outcome), _witness(outcome)


def heard(outcome: Outcome) -> str:
    """In words: silence, what was said, what was shown."""
    found = outcome.heard
    parts = [f'"{_short(found.said)}"'] if found.said else []
    parts += [_short(found.told)] if found.told else []
    if found.silence_s is not None:
        parts.insert(0, f"after {found.silence_s:.1f} s:")
    return " ".join([*parts, *([f"({outcome.note})"] if outcome.note else [])]) or "nothing"


def write(path: Path, results: Sequence[Result], head: Mapping[str, Any]) -> None:
    """Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {**head, "scenarios": [result.json() for result in results]}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def _listens(outcome: Outcome) -> str:
    if outcome.listens_after_ms is None:
        return "[red]no[/]"
    return f"{outcome.listens_after_ms:.0f} ms" + ("\nin a new session" if outcome.reconnected else "")


def _witness(outcome: Outcome) -> str:
    witness = outcome.witness
    usual_ms, worst_ms = witness.usual_ms, witness.worst_ms
    if witness.failure or usual_ms is None or worst_ms is None:
        return escape(witness.failure or "no answer")
    return f"{worst_ms:.0f} ms, before {usual_ms:.0f} ms"


def _short(text: str) -> str:
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
