"""`talkover bench duplex --replay FILE`: the decisions of a session again, from its log, without audio and models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from talkover.vad.decision_log import Replay, replay
from talkover.vad.endpointing import Endpointer

REPLAYABLE: dict[str, type[Any]] = {"Endpointer": Endpointer}
"""every decider that writes to a log"""


def replay_file(path: Path) -> Replay:
    """Raises ValueError naming the file when it is no decision log, or cannot be read."""
    try:
        with path.open("rb") as lines:
            return replay(lines, REPLAYABLE)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def replay_all(path: Path, screen: Console) -> bool:
    """Replay a file, or every log of a folder, and print what came of it. True when all was equal, to the bit.

    Raises ValueError.
    """
    paths = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not paths:
        raise ValueError(f"{path}: holds no decision log (*.jsonl)")
    equal = True
    for each in paths:
        result = replay_file(each)
        equal = equal and not result.differences
        verdict = "[red]✗ differs[/]" if result.differences else "[green]✓ bit-equal[/]"
        screen.print(f"{verdict} {escape(str(each))}: {result.calls} calls", soft_wrap=True, highlight=False)
        for difference in result.differences:
            screen.print(f"  line {difference.line}", highlight=False)
            for label, decision in (("recorded", difference.recorded), ("replayed", difference.replayed)):
                screen.print(f"    {label} {escape(decision)}", soft_wrap=True, highlight=False)
    return equal
