"""`@openai/agents-realtime` from npm, as it is, against the server as a user starts it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from live import ServerProcess
from recordings import check_heard, speech, words
from talkover.audio import samples_to_pcm16
from wire import Event, check_order

pytestmark = [pytest.mark.node, pytest.mark.slow]

FOLDER = Path(__file__).parent / "node"
BYTES_PER_MS = 48


@pytest.fixture(scope="module")
def sdk(node: str) -> str:
    """Path of Node.js, once the packages are installed."""
    environ = os.environ | {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"}
    npm = shutil.which("npm", path=environ["PATH"])
    if npm is None:
        pytest.skip("npm is missing")
    stamp = FOLDER / "node_modules/.package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < (FOLDER / "package.json").stat().st_mtime:
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        installed = subprocess.run(
            command, cwd=FOLDER, env=environ, capture_output=True, text=True, timeout=300, check=False
        )
        if installed.returncode:
            pytest.skip(f"the packages cannot be installed: {installed.stderr.strip()[-300:]}")
    return node


@pytest.fixture
def talk(sdk: str, embedded: ServerProcess, tmp_path: Path) -> Any:
    """`talk(scenario, *recordings)` holds a conversation; returns what the script printed."""

    def run(scenario: str, *recordings: str) -> dict[str, Any]:
        files: list[Path] = []
        for name in recordings:
            files.append(tmp_path / f"{name}.pcm")
            files[-1].write_bytes(samples_to_pcm16(speech(name)))
        command = [sdk, FOLDER / "conversation.mjs", embedded.ws_url, scenario, *files]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert not outcome["problems"], outcome["problems"]
        assert not done.stderr.strip(), done.stderr
        check_order(outcome["events"])
        return outcome

    return run


def of(outcome: dict[str, Any], event_type: str) -> list[Event]:
    return [event for event in outcome["events"] if event["type"] == event_type]


def said(outcome: dict[str, Any]) -> list[tuple[str, str]]:
    """The history as the SDK keeps it: (role, text)."""
    return [
        (item["role"], " ".join(part.get("text") or part.get("transcript") or "" for part in item["content"]).strip())
        for item in outcome["history"]
        if item["type"] == "message"
    ]


def test_text_turn(talk: Any):
    outcome = talk("text")
    (question, answer) = said(outcome)
    assert question == ("user", "What time is it?")
    assert answer[0] == "assistant"
    assert words(answer[1])[:2] == ["it", "is"]
    (audio_bytes,) = outcome["audioBytes"].values()
    assert audio_bytes / BYTES_PER_MS > 200 * len(words(answer[1]))


def test_spoken_turn(talk: Any):
    outcome = talk("spoken", "time_slt")
    (question, answer) = said(outcome)
    assert question[0] == "user"
    assert {"what", "time"} <= set(words(question[1]))
    assert words(answer[1])[:2] == ["it", "is"]
    assert not outcome["interruptions"]


def test_barge_in(talk: Any, embedded: ServerProcess):
    outcome = talk("barge_in", "story_slt", "time_slt")
    cancelled, answered = of(outcome, "response.done")[:2]
    assert cancelled["response"]["status"] == "cancelled"
    assert cancelled["response"]["status_details"]["reason"] == "turn_detected"
    assert answered["response"]["status"] == "completed"

    started = of(outcome, "input_audio_buffer.speech_started")[1]
    assert cancelled["at_ms"] - started["at_ms"] < 200
    old = [e for e in of(outcome, "response.output_audio.delta") if e["response_id"] == cancelled["response"]["id"]]
    assert old[-1]["at_ms"] <= started["at_ms"]
    assert len(outcome["interruptions"]) == 1

    roles = [role for role, _ in said(outcome)]
    assert roles == ["user", "assistant", "user", "assistant"]
    heard = said(outcome)[1][1]
    deltas = of(outcome, "response.output_audio_transcript.delta")
    spoken = "".join(e["delta"] for e in deltas if e["response_id"] == cancelled["response"]["id"])
    sent_ms = outcome["audioBytes"][cancelled["response"]["id"]] / BYTES_PER_MS
    played_ms = of(outcome, "conversation.item.truncated")[0]["audio_end_ms"]
    assert 2000 < played_ms <= sent_ms
    check_heard(embedded.http_url, spoken, heard, played_ms, "default")


def test_function_call(talk: Any):
    outcome = talk("tool")
    calls = [item for item in outcome["history"] if item["type"] == "function_call"]
    assert [call["name"] for call in calls] == ["lights"]
    assert calls[0]["output"] == "the lights are on"
    assert of(outcome, "response.done")[1]["response"]["status"] == "completed"
