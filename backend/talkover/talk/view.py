"""The timeline of a conversation on the screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from talkover.talk.scene import Line, Scene

COLOURS = {"you": "cyan", "agent": "magenta"}


def timeline(scene: Scene, zero_s: float) -> Group:
    """A line for each turn, times counted from `zero_s`, and a summary."""
    table = Table(header_style="dim", box=None, pad_edge=False, expand=True)
    table.add_column("at", justify="right")
    table.add_column("for", justify="right")
    table.add_column("")
    table.add_column("what was said", overflow="fold", ratio=1)
    table.add_column("after", justify="right")
    for line in scene.lines:
        table.add_row(
            f"{line.start_s - zero_s:.2f} s",
            "" if line.end_s is None or line.end_s == line.start_s else f"{line.end_s - line.start_s:.1f} s",
            Text(line.who, style=COLOURS[line.who]),
            said(line).append("".join(f"\n{note}" for note in line.notes), style="dim"),
            "" if line.voice_to_voice_ms is None else f"{line.voice_to_voice_ms:.0f} ms",
        )
    return Group(table, Text(summary(scene.latencies_ms), style="dim"))


def said(line: Line) -> Text:
    """What was said; the unheard rest of an answer is struck out."""
    text = Text(line.text or "…")
    if line.unheard.strip():
        text.append(line.unheard, style="dim strike")
    return text


def summary(latencies_ms: Sequence[float]) -> str:
    """Voice-to-voice latency in one line; empty without any."""
    if not latencies_ms:
        return ""
    p50, worst = float(np.median(latencies_ms)), max(latencies_ms)
    return f"voice to voice: {p50:.0f} ms (median), {worst:.0f} ms at most, {len(latencies_ms)} answers"


def live(line: Line) -> str:
    """One turn as markup, for a conversation that goes on."""
    after = "" if line.voice_to_voice_ms is None else f" [dim]{line.voice_to_voice_ms:.0f} ms[/]"
    rest = f"[dim strike]{escape(line.unheard)}[/]" if line.unheard.strip() else ""
    return f"[{COLOURS[line.who]}]{line.who:>5}[/]  {escape(line.text or '…')}{rest}{after}"
