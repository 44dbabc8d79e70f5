"""`talkover ingest`: a folder read into its index, with progress and what became of each file."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from talkover.config import Settings
from talkover.knowledge.retriever import Refreshed, create_retriever


def ingest_folder(settings: Settings, console: Console) -> tuple[str, Refreshed]:
    """(how it will be searched, what was done). Raises EngineUnavailable, EngineFailed."""
    retriever = create_retriever(settings, settings.knowledge.path)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            reading = progress.add_task("Reading", total=None)
            embedding = progress.add_task("Embedding", total=None, visible=False)

            def on_file(done: int, total: int, path: str) -> None:
                progress.update(reading, completed=done, total=total, description=f"Reading {escape(path)}".strip())

            def on_chunks(done: int, total: int) -> None:
                progress.update(embedding, completed=done, total=total, visible=True)

            return retriever.name, retriever.refresh(on_file, on_chunks)
    finally:
        retriever.close()


def print_refreshed(name: str, refreshed: Refreshed, screen: Console, notes: Console) -> None:
    """The files that are left out with their reasons, and one line about the rest."""
    for path, problem in refreshed.skipped:
        notes.print(f"[yellow]![/] {escape(path)} {escape(problem)}", soft_wrap=True, highlight=False)
    usable = refreshed.files - len(refreshed.skipped)
    counts = [f"{usable} documents", f"{refreshed.chunks} passages", f"searched by {name}"]
    counts += [f"{refreshed.read} read anew"]
    counts += [f"{refreshed.embedded} passages embedded"] if refreshed.embedded else []
    counts += [f"{len(refreshed.skipped)} left out"] if refreshed.skipped else []
    counts += [f"{refreshed.removed} gone"] if refreshed.removed else []
    screen.print(", ".join(counts), highlight=False, soft_wrap=True)
