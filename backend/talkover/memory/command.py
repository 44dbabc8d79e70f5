"""`talkover memory`: who is remembered, all that is stored of a caller, and its deletion."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from talkover.config import ConfigError, load_settings
from talkover.memory.store import MemoryStore, MemoryUnavailable, memory_file

app = typer.Typer(
    help="What callers agreed to have remembered: list, export, delete.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="TOML file.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override one value.")]
CallerArgument = Annotated[str, typer.Argument(help="The id under which the client names the caller.")]


@app.command("list")
def list_callers(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Ids of all callers, the newest first."""
    with _store(config, overrides) as store:
        for caller in store.callers():
            typer.echo(caller)


@app.command("export")
def export_caller(caller: CallerArgument, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Everything that is stored of a caller, as JSON."""
    with _store(config, overrides) as store:
        record = store.export(caller)
    if record is None:
        typer.echo(f"nothing is stored of {caller!r}", err=True)
        raise typer.Exit(1)
    typer.echo(json.dumps(asdict(record), ensure_ascii=False, indent=2))


@app.command("delete")
def delete_caller(caller: CallerArgument, config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Delete everything that is stored of a caller, their consent included."""
    with _store(config, overrides) as store:
        was_there = store.forget(caller)
    typer.echo(f"{caller!r} is forgotten" if was_there else f"nothing is stored of {caller!r}", err=not was_there)
    if not was_there:
        raise typer.Exit(1)


@contextmanager
def _store(config: Path | None, overrides: list[str] | None) -> Generator[MemoryStore]:
    try:
        memory = load_settings(config, overrides or ()).memory
        store = MemoryStore(memory_file(memory.path), memory.keep_days, memory.max_notes)
    except (ConfigError, MemoryUnavailable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    try:
        yield store
    finally:
        store.close()
