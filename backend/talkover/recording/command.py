"""`talkover recordings`: which calls were recorded, their export with numbers masked, and their deletion."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from talkover.config import ConfigError, load_settings
from talkover.recording.export import export
from talkover.recording.folder import RecordingsFolder, StoredCall, delete

DAY_S = 86_400.0

app = typer.Typer(
    help="Recordings of calls: list, export, delete.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="TOML file.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override one value.")]
CallsArgument = Annotated[list[str] | None, typer.Argument(metavar="[CALL]...", help="Ids of the list.")]
CallerOption = Annotated[str | None, typer.Option("--caller", help="All of a caller, as the client names them.")]
OlderOption = Annotated[float | None, typer.Option("--older-than", metavar="DAYS", min=0, help="All that are older.")]


@app.command("list")
def list_calls(
    caller: CallerOption = None,
    older_than: OlderOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """The newest first: id, beginning in UTC, length, caller."""
    for stored in _chosen(_calls(config, overrides), None, caller, older_than):
        transcript = stored.transcript
        seconds = 0 if transcript is None else transcript.duration_ms // 1000
        columns = [stored.call, f"{stored.started_at:%Y-%m-%d %H:%M:%S}", f"{seconds // 60}:{seconds % 60:02d}"]
        columns += [transcript.caller] if transcript is not None and transcript.caller else []
        typer.echo("  ".join([*columns, *_remarks(stored)]))


@app.command("export")
def export_calls(
    calls: CallsArgument = None,
    caller: CallerOption = None,
    older_than: OlderOption = None,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Made when missing.")] = Path("recordings"),
    redact: Annotated[
        bool, typer.Option(help="Mask and silence numbers and e-mail addresses, leave out who called.")
    ] = True,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Copy recordings. Masked are numbers of three digits and more and e-mail addresses, as they were understood: not
    names, not postal addresses, and not what the recogniser misheard."""
    failed = False
    for stored in _selected(config, overrides, calls, caller, older_than):
        try:
            typer.echo(str(export(stored, to, redact)))
        except (OSError, ValueError) as error:
            typer.echo(f"{stored.call}: {error}", err=True)
            failed = True
    if failed:
        raise typer.Exit(1)


@app.command("delete")
def delete_calls(
    calls: CallsArgument = None,
    caller: CallerOption = None,
    older_than: OlderOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Delete recordings, sound and transcript, for good. One that is being made is left, and named."""
    failed = False
    for stored in _selected(config, overrides, calls, caller, older_than):
        try:
            if stored.is_live:
                raise OSError("the call is still being recorded")
            delete(stored.folder)
            typer.echo(f"{stored.call} is deleted")
        except OSError as error:
            typer.echo(f"{stored.call}: {error}", err=True)
            failed = True
    if failed:
        raise typer.Exit(1)


def _selected(
    config: Path | None,
    overrides: list[str] | None,
    calls: list[str] | None,
    caller: str | None,
    older_than: float | None,
) -> list[StoredCall]:
    """Ends the command when nothing is asked for or found: `delete` without a choice must not mean all."""
    if not calls and caller is None and older_than is None:
        typer.echo("name calls, or choose by --caller or --older-than", err=True)
        raise typer.Exit(2)
    stored = _calls(config, overrides)
    missing = set(calls or ()) - {one.call for one in stored}
    if missing:
        typer.echo(f"there is no recording of {', '.join(sorted(missing))}", err=True)
        raise typer.Exit(1)
    chosen = _chosen(stored, calls, caller, older_than)
    if not chosen:
        typer.echo("there is no such recording", err=True)
        raise typer.Exit(1)
    return chosen


def _chosen(
    stored: list[StoredCall], calls: list[str] | None, caller: str | None, older_than: float | None
) -> list[StoredCall]:
    """Those that fit all that is given."""
    before_s = None if older_than is None else time.time() - older_than * DAY_S
    return [
        one
        for one in stored
        if (not calls or one.call in calls)
        and (caller is None or (one.transcript is not None and one.transcript.caller == caller))
        and (before_s is None or one.started_at.timestamp() < before_s)
    ]


def _remarks(stored: StoredCall) -> list[str]:
    transcript = stored.transcript
    if stored.is_live:
        return ["(being recorded)"]
    if transcript is None:
        return ["(its transcript cannot be read)"]
    if not transcript.finished:
        return ["(incomplete: the server stopped)"]
    return [f"(incomplete: {transcript.fault})"] if transcript.fault is not None else []


def _calls(config: Path | None, overrides: list[str] | None) -> list[StoredCall]:
    try:
        path = load_settings(config, overrides or ()).recording.path
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if path is None:
        typer.echo("recording.path must be set: it names the folder of the recordings", err=True)
        raise typer.Exit(2)
    return RecordingsFolder(path).calls(time.time())
