"""`talkover bench` as a user meets it, and how its results are shown and written."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from live import ROOT
from talkover.bench import report
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.client.server_process import own_environment

RESULT = PartResult(
    "latency",
    "Voice to voice",
    (
        Figure("met", "ms", summarize([float(value) for value in range(600, 700)]), targets=(Target("p50", 700),)),
        Figure("missed", "words", value=3.0, targets=(Target("value", 1),), note="the [worst]"),
        Figure("not measured", "s", targets=(Target("p50", 5),)),
    ),
    ("said by nobody",),
    [{"one": 1}],
)
FAILED = PartResult("ready", "Start", (), failure="the server ended")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "talkover", "bench", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=own_environment(), cwd=ROOT, check=False
    )


def test_the_table_shows_values_intervals_and_verdicts():
    console = Console(width=140, record=True, file=io.StringIO())
    report.show([RESULT, FAILED], console)
    text = console.export_text()
    assert "✓ p50≤700" in text
    assert "✗ ≤1" in text
    assert "the [worst]" in text
    assert "latency: said by nobody" in text
    assert "✗ ready: the server ended" in text
    (line,) = [line for line in text.splitlines() if " met " in line]
    assert "650 (" in line
    assert " 100 " in line


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1234"), (7.0, "7")]
)
def test_numbers_have_three_digits(value: float, shown: str):
    assert report.number(value) == shown


def test_the_json_holds_everything(tmp_path: Path):
    path = tmp_path / "results" / "x.json"
    report.write(path, {"date": "today"}, [RESULT, FAILED], {"latency": 0.5})
    written = json.loads(path.read_text())
    latency, ready = written["parts"]
    assert written["date"] == "today"
    assert latency["other_cores_busy"] == 0.5
    assert latency["figures"][0]["summary"]["n"] == 100
    assert [figure["met"] for figure in latency["figures"]] == [[True], [False], []]
    assert latency["details"] == [{"one": 1}]
    assert (ready["failure"], ready["other_cores_busy"]) == ("the server ended", None)


def test_an_unknown_part_is_refused():
    done = bench("--only", "speed")
    assert done.returncode == 2
    assert "--only must be one of latency, barge-in" in done.stderr


def test_a_folder_without_speech_is_refused(tmp_path: Path):
    done = bench("--speech", str(tmp_path))
    assert done.returncode == 2
    assert "must contain wav or flac files" in done.stderr


@pytest.mark.slow
def test_one_part_runs_to_its_end_and_leaves_a_file(tmp_path: Path):
    done = bench("--only", "overhead", "--quick", "--speech", "tests/data/speech", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "end of turn decided to first audio" in done.stdout
    assert re.search(r"Speech: tests/data/speech, \d+ recordings \(as asked by --speech\)", done.stderr)
    (path,) = tmp_path.glob("*.json")
    written = json.loads(path.read_text())
    (part,) = written["parts"]
    assert (written["quick"], part["name"], part["failure"]) == (True, "overhead", None)
    spoken = [detail["spoken_ms"] for detail in part["details"]]
    assert len(spoken) == part["figures"][0]["summary"]["n"] == 6
    assert all(0 < value < 1000 for value in spoken)


@pytest.mark.slow
def test_a_part_that_cannot_be_measured_is_told_and_the_others_go_on(tmp_path: Path):
    bad = tmp_path / "bad.toml"
    bad.write_text('[asr]\nengine = "nobody"\n')
    done = bench("--only", "ready", "--only", "overhead", "--quick", "--config", str(bad), "--output", str(tmp_path))
    assert done.returncode == 1
    assert "✗ ready: the server ended with code 2" in done.stdout
    assert "end of turn decided to first audio" in done.stdout
