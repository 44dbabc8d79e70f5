"""`talkover models`: list what is known and what is here, download, verify."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Column, Table

from talkover.config import ConfigError, load_settings
from talkover.engines import EngineUnavailable
from talkover.models.catalogue import CATALOGUE, KnownModel, model_called
from talkover.models.download import Progress
from talkover.models.find import local_folder, model_folders, pull
from talkover.models.local import faults, own_folder, read_record, verify
from talkover.sections.engines import ModelsSettings

USAGE_FAULT = 2
FAILURE = 1

app = typer.Typer(
    help="Model files: what is known, what is here, downloads and checks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
screen = Console()
notes = Console(stderr=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="TOML file.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Repeatable.")]
NAMES_HELP = "Names of `talkover models list`, or hub names (owner/name)."


@app.command("list")
def list_models(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """What Talkover can use by name, with licence and size, and where it lies if it is here."""
    settings = _settings(config, overrides)
    table = Table(Column("name", no_wrap=True), "for", "MB", "licence", "here", title="Known models")
    for model in CATALOGUE:
        found = local_folder(model, settings, model.files, os.environ)
        here = escape(str(found)) if found is not None else "-"
        table.add_row(model.name, model.purpose, f"{model.size_mb}", _licences(model), here)
    screen.print(table)
    notes.print(f"Downloads go to {escape(str(model_folders(settings)))}", soft_wrap=True, highlight=False)


@app.command("pull")
def pull_models(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help=NAMES_HELP)],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Also weights that are neither Apache-2.0 nor MIT.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Download models, going on where an earlier attempt stopped, and check what arrived."""
    accepted = ["models.accept_other_licences=true"] if accept_licence else []
    settings = _settings(config, [*(overrides or []), *accepted])
    failed = False
    for model in _models(names):
        if (folder := local_folder(model, settings, model.files, os.environ)) is not None:
            notes.print(f"{model.name} is here: {escape(str(folder))}", soft_wrap=True, highlight=False)
            continue
        try:
            folder = _pull(model, settings)
        except EngineUnavailable as error:
            notes.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True, highlight=False)
            failed = True
            continue
        notes.print(f"[green]✓[/] {model.name}: {escape(str(folder))}", soft_wrap=True, highlight=False)
    if failed:
        raise typer.Exit(FAILURE)


@app.command("verify")
def verify_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help=NAMES_HELP + " Else all here.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Read every file and compare it with the checksum recorded when it was downloaded."""
    settings = _settings(config, overrides)
    chosen = _models(names or [])
    folders = {model.name: _present(model, settings) for model in chosen or CATALOGUE}
    if not chosen:
        folders = {name: folder for name, folder in folders.items() if folder is not None}
        if not folders:
            notes.print("No model is here. To get one: talkover models pull NAME")
    failed = False
    for name, folder in folders.items():
        failed |= not _verified(name, folder)
    if failed:
        raise typer.Exit(FAILURE)


def _verified(name: str, folder: Path | None) -> bool:
    """Verify one model and say how it is."""
    if folder is None:
        notes.print(f"[red]✗[/] {escape(name)} is not here: talkover models pull {escape(name)}", soft_wrap=True)
        return False
    model = model_called(name)
    record = read_record(folder)
    published = {
        path: sha256
        for source in (model.sources if model is not None else ())
        if record is not None and (source.hub, source.repo) == (record.hub, record.repo)
        for path, sha256 in source.sha256.items()
    }
    with notes.status(f"Reading {name}"):
        wrong = verify(folder, published) or faults(folder, model.files if model is not None else ())
    if wrong:
        for line in wrong:
            notes.print(f"[red]✗[/] {escape(f'{name}: {line}')}", soft_wrap=True, highlight=False)
        notes.print(f"  [cyan]→[/] rm -r {escape(str(folder))} && talkover models pull {escape(name)}", soft_wrap=True)
        return False
    said = f"{len(record.files)} files as downloaded" if record is not None else "complete; no checksums recorded"
    screen.print(f"[green]✓[/] {escape(name)}: {said}: {escape(str(folder))}", soft_wrap=True, highlight=False)
    return True


def _present(model: KnownModel, settings: ModelsSettings) -> Path | None:
    """The folder of a model, also one that is damaged."""
    if (found := local_folder(model, settings, model.files, os.environ)) is not None:
        return found
    own = (own_folder(model_folders(settings), repo) for repo in model.repos)
    return next((folder for folder in own if read_record(folder) is not None), None)


def _pull(model: KnownModel, settings: ModelsSettings) -> Path:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with ProgressBar(*columns, TimeRemainingColumn(), console=notes, transient=True) as bar:
        task = bar.add_task(model.name, total=None)

        def on_progress(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total or None)

        return pull(model, settings, model.files, on_progress, os.environ)


def _models(names: list[str]) -> list[KnownModel]:
    models = {name: model_called(name) for name in names}
    if unknown := [name for name, model in models.items() if model is None]:
        known = ", ".join(model.name for model in CATALOGUE)
        _fail(f"{unknown[0]!r} must be a hub name (owner/name) or one of {known}")
    return [model for model in models.values() if model is not None]


def _licences(model: KnownModel) -> str:
    """Of the first hub, and of the other where it differs."""
    licences = dict.fromkeys(f"{source.licence} ({source.hub})" for source in model.sources)
    distinct = {source.licence for source in model.sources}
    return "; ".join(licences) if len(distinct) > 1 else str(model.sources[0].licence)


def _settings(config: Path | None, overrides: list[str] | None) -> ModelsSettings:
    try:
        return load_settings(config, overrides or ()).models
    except ConfigError as error:
        _fail(*error.problems)


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        notes.print(f"[red]✗[/] {escape(line)}", soft_wrap=True, highlight=False)
    raise typer.Exit(USAGE_FAULT)
