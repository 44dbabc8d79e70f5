"""`talkover top`: a snapshot as a line and as a picture."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from talkover.top import ServerSilent, drawn, plain, read_snapshot, seen


def snapshot(**changes: Any) -> dict[str, Any]:
    figures = {"n": 7, "p50_ms": 612, "p95_ms": 871}
    rows = [
        {"id": f"sess_{index}", "age_s": 3725.4, "state": state, "responses": 4, "interruptions": 2, "errors": 0}
        | {"voice_to_voice_ms": latency_ms}
        for index, (state, latency_ms) in enumerate((("speaking", 598), ("thinking", None), ("listening", 640)))
    ]
    return {
        "data": rows,
        "max_sessions": 16,
        "waiting": 1,
        "uptime_s": 100.0,
        "engines": {"asr": "pocketsphinx", "llm": "[qwen]"},
        "queues": {"recognizer": 3, "sender": 1},
        "latency": {"window_s": 300.0, "turns": 7, "stages": {"voice_to_voice": figures}},
        "process": {"cpu_s": 20.0, "resident_bytes": 256 << 20, "open_files": 40.0, "threads": 31},
    } | changes


def picture(max_rows: int = 20, **changes: Any) -> str:
    console = Console(width=140, file=StringIO())
    console.print(drawn(seen(snapshot(**changes), None), "http://desk:8000", max_rows))
    return console.file.getvalue()


def test_a_line_has_what_an_alarm_needs() -> None:
    assert plain(seen(snapshot(), None)) == (
        "sessions=3/16 listening=1 thinking=1 speaking=1 waiting=1 "
        "voice_to_voice_p50=612 p95=871 queue_max=3 cpu=20% memory_mib=256"
    )


def test_load_is_that_between_two_looks_and_after_a_restart_that_since_the_start() -> None:
    later = snapshot(uptime_s=102.0, process=snapshot()["process"] | {"cpu_s": 21.0})
    assert seen(later, snapshot()).cpu_percent == 50
    assert seen(snapshot(), snapshot(uptime_s=5000.0)).cpu_percent == 20


def test_what_a_platform_does_not_tell_is_a_dash() -> None:
    unknown = {"cpu_s": None, "resident_bytes": None, "open_files": None, "threads": 5}
    line = plain(seen(snapshot(process=unknown), snapshot(process=unknown, uptime_s=90.0)))
    assert line.endswith("cpu=-% memory_mib=-")
    assert "files -" in picture(process=unknown)


def test_load_that_begins_to_be_told_is_known_at_the_look_after() -> None:
    silent = snapshot(uptime_s=90.0, process=snapshot()["process"] | {"cpu_s": None})
    assert seen(snapshot(), silent).cpu_percent is None
    assert seen(snapshot(uptime_s=101.0), snapshot()).cpu_percent == 0


def test_an_answer_is_shown_or_told_to_be_another_versions() -> None:
    assert read_snapshot(json.dumps(snapshot()).encode()) == snapshot()
    without_process = {key: value for key, value in snapshot().items() if key != "process"}
    for answer in (b"", b"<html>", b"[]", b'{"data": 5}', json.dumps(without_process).encode(), b"[" * 5000, b"\xff"):
        with pytest.raises(ServerSilent, match="another version"):
            read_snapshot(answer)


def test_the_picture_has_sessions_latencies_queues_and_engines() -> None:
    shown = picture()
    for words in (
        "sess_0",
        "1:02:05",
        "speaking",
        "598",
        "3 of 16 sessions, 1 waiting",
        "voice to voice",
        "612",
        "871",
    ):
        assert words in shown
    for words in ("llm [qwen]", "recognizer 3", "cpu 20 %", "memory 256 MiB", "7 turns of the last 5 minutes"):
        assert words in shown


def test_no_name_is_taken_for_markup() -> None:
    stages = {"[/]": {"n": 1, "p50_ms": 2, "p95_ms": 3}}
    assert "[/]" in picture(latency={"window_s": 300.0, "turns": 1, "stages": stages})


def test_more_sessions_than_lines_are_counted() -> None:
    shown = picture(max_rows=1)
    assert "sess_1" not in shown
    assert "and 2 more" in shown
