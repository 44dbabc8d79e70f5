"""The command, as an operator runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from talkover.chaos.scenarios import SCENARIOS
from talkover.cli import app


def chaos(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["chaos", *arguments])
    return done.exit_code, done.output


def test_it_names_its_scenarios():
    code, output = chaos("--list")
    assert code == 0
    assert all(name in output for name in SCENARIOS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--only", "earthquake"), "got 'earthquake'"),
        (("--url", "http://127.0.0.1:1"), "--url must begin with ws://"),
        (("--url", "ws://127.0.0.1:1", "--only", "llm-fails"), "llm-fails happens inside a server"),
    ],
)
def test_what_it_cannot_do_is_refused(arguments: tuple[str, ...], says: str):
    code, output = chaos(*arguments)
    assert code == 2
    assert says in " ".join(output.split())


def test_a_server_nobody_can_reach_is_a_violation(tmp_path: Path):
    file = tmp_path / "result.json"
    code, _ = chaos("--url", "ws://127.0.0.1:9/v1/realtime", "--only", "jitter", "--json", str(file))
    assert code == 1
    assert "could not be tried" in json.loads(file.read_text())["scenarios"][0]["violations"][0]


def test_a_model_that_fails_is_heard_of_logged_survived_and_not_noticed_by_others(tmp_path: Path):
    file = tmp_path / "result.json"
    code, output = chaos("--instant", "--only", "llm-fails", "--witness-ms", "3000", "--json", str(file))
    assert code == 0, output
    found = json.loads(file.read_text())["scenarios"][0]
    assert found["violations"] == []
    assert "Sorry" in found["heard"]["said"]
    assert found["heard"]["is_spoken"]
    assert "responder failed" in found["log_line"]
    assert found["listens_after_ms"] is not None
    assert not found["reconnected"]
    assert len(found["witness"]["during_ms"]) >= 2
