"""`talkover top`: a running server at a glance, in the terminal."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import Annotated, Literal, TypedDict
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 4 << 20
STATE_STYLES = {"listening": "green", "thinking": "yellow", "speaking": "cyan"}


class _Session(TypedDict):
    id: str
    age_s: float
    state: Literal["listening", "thinking", "speaking"]
    responses: int
    interruptions: int
    errors: int
    voice_to_voice_ms: int | None


class _Figures(TypedDict):
    n: int
    p50_ms: int
    p95_ms: int


class _Latency(TypedDict):
    window_s: float
    turns: int
    stages: dict[str, _Figures]


class _Process(TypedDict):
    cpu_s: float | None
    resident_bytes: float | None
    open_files: float | None
    threads: float


class Snapshot(TypedDict):
    """What of `GET /v1/sessions` is shown; see `SessionList.snapshot`."""

    data: list[_Session]
    max_sessions: int
    waiting: int
    uptime_s: float
    engines: dict[str, str]
    queues: dict[str, int]
    latency: _Latency
    process: _Process


class ServerSilent(Exception):
    """There is no answer that could be shown; the message says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A snapshot, and what only two of them tell."""

    snapshot: Snapshot
    cpu_percent: float | None
    """of one core, since the snapshot before; since the start where there was none"""


def fetch(url: str, key: str | None) -> Snapshot:
    """What the server at `url` tells of its sessions. Raises ServerSilent."""
    request = Request(f"{url.rstrip('/')}/v1/sessions", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
            return read_snapshot(answer.read(MAX_ANSWER_BYTES))
    except ServerSilent as error:
        raise ServerSilent(f"{url}: {error}") from error
    except HTTPError as error:
        reasons = {401: "it wants a key: --key or TALKOVER_API_KEY", 404: "it is no Talkover, or an older one"}
        raise ServerSilent(f"{url}: {reasons.get(error.code, f'it answered with HTTP {error.code}')}") from error
    except (URLError, OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ServerSilent(f"{url}: no server answers there ({reason})") from error


def read_snapshot(answer: bytes) -> Snapshot:
    """Raises ServerSilent for what is no answer of this version."""
    try:
        snapshot = msgspec.json.decode(answer)
        msgspec.convert(snapshot, Snapshot)
    except (ValueError, RecursionError) as error:
        raise ServerSilent(f"it is no Talkover, or of another version ({error})") from error
    return snapshot


def seen(snapshot: Snapshot, before: Snapshot | None) -> Seen:
    used_s, over_s = snapshot["process"]["cpu_s"], snapshot["uptime_s"]
    if before is not None and before["uptime_s"] < over_s:
        before_s = before["process"]["cpu_s"]
        used_s = None if used_s is None or before_s is None else used_s - before_s
        over_s -= before["uptime_s"]
    return Seen(snapshot, None if used_s is None or over_s <= 0 else 100 * used_s / over_s)


# ------------------------------------------------------------------------------------------------------- the views


def plain(state: Seen) -> str:
    """One line, for pipes and logs."""
    snapshot, stages = state.snapshot, state.snapshot["latency"]["stages"]
    counted = dict.fromkeys(STATE_STYLES, 0)
    for session in snapshot["data"]:
        counted[session["state"]] += 1
    latency = stages.get("voice_to_voice")
    parts = [
        f"sessions={len(snapshot['data'])}/{snapshot['max_sessions']}",
        *(f"{name}={count}" for name, count in counted.items()),
        f"waiting={snapshot['waiting']}",
        f"voice_to_voice_p50={latency['p50_ms']} p95={latency['p95_ms']}" if latency else "voice_to_voice=-",
        f"queue_max={max(snapshot['queues'].values(), default=0)}",
        f"cpu={_or_dash(state.cpu_percent, '.0f')}%",
        f"memory_mib={_or_dash(_mib(snapshot), '.0f')}",
    ]
    return " ".join(parts)


def drawn(state: Seen, url: str, max_rows: int) -> Group:
    """The whole picture; `max_rows` sessions at most."""
    snapshot = state.snapshot
    process = snapshot["process"]
    engines = " · ".join(f"{slot} {name}" for slot, name in snapshot["engines"].items())
    head = Text.assemble(
        (f"Talkover {url}", "bold"),
        f"  up {_duration(snapshot['uptime_s'])}  cpu {_or_dash(state.cpu_percent, '.0f')} %"
        f"  memory {_or_dash(_mib(snapshot), '.0f')} MiB  threads {process['threads']}"
        f"  files {_or_dash(process['open_files'], '.0f')}\n",
        (engines, "dim"),
    )
    return Group(head, _sessions(snapshot, max_rows), _latencies(snapshot), _queues(snapshot))


def _sessions(snapshot: Snapshot, max_rows: int) -> Table:
    rows = snapshot["data"]
    table = Table(title=f"{len(rows)} of {snapshot['max_sessions']} sessions, {snapshot['waiting']} waiting")
    for name in ("session", "age", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("last voice to voice, ms", "answers", "interrupted", "errors"):
        table.add_column(name, justify="right")
    for row in rows[:max_rows]:
        style = STATE_STYLES.get(row["state"], "")
        table.add_row(
            escape(row["id"]),
            _duration(row["age_s"]),
            f"[{style}]{row['state']}[/]",
            _or_dash(row["voice_to_voice_ms"], "d"),
            *(str(row[name]) for name in ("responses", "interruptions", "errors")),
        )
    if len(rows) > max_rows:
        table.caption = f"and {len(rows) - max_rows} more"
    return table


def _latencies(snapshot: Snapshot) -> Table:
    latency = snapshot["latency"]
    table = Table(title=f"{latency['turns']} turns of the last {latency['window_s'] / 60:g} minutes")
    table.add_column("stage")
    for name in ("p50, ms", "p95, ms", "n"):
        table.add_column(name, justify="right")
    for stage, figures in latency["stages"].items():
        table.add_row(escape(stage.replace("_", " ")), *(str(figures[name]) for name in ("p50_ms", "p95_ms", "n")))
    return table


def _queues(snapshot: Snapshot) -> Text:
    queues = "  ".join(f"{name} {depth}" for name, depth in snapshot["queues"].items())
    return Text(f"queues of the fullest session: {queues or 'none'}")


def _mib(snapshot: Snapshot) -> float | None:
    resident = snapshot["process"].get("resident_bytes")
    return None if resident is None else resident / (1 << 20)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


# ----------------------------------------------------------------------------------------------------- the command


def command(
    url: Annotated[str, typer.Argument(help="Of the server.")] = "http://127.0.0.1:8000",
    key: Annotated[str | None, typer.Option(envvar="TALKOVER_API_KEY", help="What the server asks for.")] = None,
    every_s: Annotated[float, typer.Option("--every", min=0.2, max=3600, help="Seconds between looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, an object a line.")] = False,
) -> None:
    """Sessions, latencies, queues and load of a running server, live. Into a pipe: a line for each look."""
    screen = Console()
    if once or as_json or not screen.is_terminal:
        _print_lines(url, key, every_s, once, as_json)
    else:
        _show_live(url, key, every_s, screen)


def _print_lines(url: str, key: str | None, every_s: float, once: bool, as_json: bool) -> None:
    before: Snapshot | None = None
    try:
        while True:
            snapshot = fetch(url, key)
            typer.echo(json.dumps(snapshot) if as_json else plain(seen(snapshot, before)))
            sys.stdout.flush()
            if once:
                return
            before = snapshot
            time.sleep(every_s)
    except ServerSilent as error:
        typer.echo(f"✗ {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        return


def _show_live(url: str, key: str | None, every_s: float, screen: Console) -> None:
    """Until Ctrl-C. A server that is away is looked for again: it may be restarting."""
    before: Snapshot | None = None
    with Live(console=screen, screen=True, auto_refresh=False) as live:
        try:
            while True:
                try:
                    snapshot = fetch(url, key)
                    live.update(drawn(seen(snapshot, before), url, max(1, screen.height - 20)), refresh=True)
                    before = snapshot
                except ServerSilent as error:
                    live.update(Text(f"✗ {error}; looking again every {every_s:g} s"), refresh=True)
                    before = None
                time.sleep(every_s)
        except KeyboardInterrupt:
            return
