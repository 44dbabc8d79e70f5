"""`talkover talk`: hold a conversation with a server, and show who said what when and where the time went."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape

from talkover.client.connection import ConversationEnded, JsonObject, ServerUnreachable
from talkover.client.recordings import read_recording
from talkover.client.server_process import ServerFailed, ServerProcess
from talkover.talk.by_microphone import talk
from talkover.talk.devices import NoDevice
from talkover.talk.recorded import Script, converse

DEFAULT_URL = "ws://127.0.0.1:8000/v1/realtime"
OUTPUT_SUFFIXES = (".wav", ".flac", ".ogg")
USAGE_FAULT = 2
FAILURE = 1

screen = Console()
notes = Console(stderr=True)


def command(
    url: Annotated[
        str | None, typer.Option(help=f"Realtime server; default {DEFAULT_URL}, or one of its own if none runs.")
    ] = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", "-i", metavar="FILE", help="Say this recording instead of the microphone. Repeatable."),
    ] = None,
    texts: Annotated[
        list[str] | None, typer.Option("--text", "-t", metavar="TEXT", help="Type this, after --input. Repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write what was heard: wav, flac or ogg.")
    ] = None,
    stereo: Annotated[bool, typer.Option("--stereo", help="Write both sides: the user left, the agent right.")] = False,
    barge_in_s: Annotated[
        float | None,
        typer.Option("--barge-in", metavar="SECONDS", help="Say the next recording so long into the answer."),
    ] = None,
    voice: Annotated[str | None, typer.Option(help="See `talkover voices`.")] = None,
    instructions: Annotated[str | None, typer.Option(help="How the agent should behave.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Start a server for this conversation.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration of a server started here.")
    ] = None,
) -> None:
    """Hold a conversation from the terminal: with microphone and loudspeaker, or with recordings.

    A server with a key takes it from TALKOVER_API_KEY.
    """
    sys.setswitchinterval(0.001)
    try:
        recordings = [read_recording(path) for path in inputs or ()]
        if output is not None and output.suffix.lower() not in OUTPUT_SUFFIXES:
            raise ValueError(f"--output must end in {', '.join(OUTPUT_SUFFIXES)}, got {output.name!r}")
        if output is not None and not (recordings or texts):
            raise ValueError("--output needs --input or --text: a conversation by microphone is not recorded")
    except ValueError as error:
        _fail(str(error), USAGE_FAULT)
    session: JsonObject = {"audio": {"input": {"transcription": {"model": "default"}}}}
    if voice is not None:
        session["audio"]["output"] = {"voice": voice}
    if instructions is not None:
        session["instructions"] = instructions
    try:
        with _server(url, serve, config) as address:
            if recordings or texts:
                script = Script(tuple(recordings), tuple(texts or ()), barge_in_s)
                converse(address, session, script, output, stereo, screen, notes)
            else:
                talk(address, session, screen)
    except (ServerUnreachable, ServerFailed, ConversationEnded, NoDevice, TimeoutError) as error:
        _fail(str(error), FAILURE)


# ---------------------------------------------------------------------------------------------------------- server


@contextmanager
def _server(url: str | None, serve: bool, config: Path | None) -> Generator[str]:
    """Address of the server: the one asked for, the one that runs here, else one started for this conversation."""
    if url is not None and not serve:
        yield url
        return
    if not serve and config is None and _runs(DEFAULT_URL):
        yield DEFAULT_URL
        return
    arguments = () if config is None else ("--config", str(config))
    why = "" if serve or config is not None else f"No server at {DEFAULT_URL}: "
    with ServerProcess(arguments, environ=os.environ) as server:
        with notes.status(f"{why}starting one"):
            ready_s = server.wait_ready()
        notes.print(f"{why}started one at {server.url} in {ready_s:.1f} s, for this conversation only", highlight=False)
        yield server.url


def _runs(url: str) -> bool:
    """Whether a Talkover server answers there, be it full."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return b'"status"' in connection.getresponse().read(1000)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _fail(message: str, code: int) -> NoReturn:
    notes.print(f"[red]✗[/] {escape(message)}", soft_wrap=True, highlight=False)
    raise typer.Exit(code)
