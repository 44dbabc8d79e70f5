"""`talkover talk` as a user meets it, against engines that answer at once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from recordings import SPEECH
from talkover.bench.overhead import COMMAND
from talkover.client.server_process import ServerProcess, own_environment

TALK = (sys.executable, "-m", "talkover", "talk")

pytestmark = pytest.mark.slow


def talk(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = own_environment({"COLUMNS": "110"})
    return subprocess.run([*TALK, *arguments], capture_output=True, text=True, timeout=60, env=environ, check=False)


@pytest.fixture(scope="module")
def instant() -> Iterator[str]:
    with ServerProcess(command=COMMAND) as server:
        server.wait_ready()
        yield server.url


def test_recordings_and_text_make_a_timeline_and_a_file(instant: str, tmp_path: Path):
    heard = tmp_path / "reply.wav"
    question = str(SPEECH / "time_slt.flac")
    done = talk("--url", instant, "--input", question, "--text", "Hello there", "--stereo", "--output", str(heard))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if re.match(r"\s*\d+\.\d\d s", line)]
    assert [re.search(r"\b(you|agent)\b", line).group() for line in lines] == ["you", "agent", "you", "agent"]  # pyright: ignore
    assert "time_slt" in done.stdout
    assert re.search(r"endpointing 5\d\d · ASR 0 · LLM \d+ · TTS \d+ ms", done.stdout)
    assert re.search(r"voice to voice: \d+ ms \(median\)", done.stdout)
    sound, rate_hz = soundfile.read(heard)
    assert (rate_hz, sound.shape[1]) == (24_000, 2)
    user, agent = np.abs(sound[:, 0]) > 0.01, np.abs(sound[:, 1]) > 0.01
    assert user.sum() / rate_hz > 0.3
    assert agent.sum() / rate_hz == pytest.approx(0.6, abs=0.1)  # a tone of 300 ms for each of two answers
    assert np.flatnonzero(agent)[0] > np.flatnonzero(user)[-1]


def test_the_next_recording_can_talk_over_the_answer(tmp_path: Path, embedded_story: str):
    arguments = ["--input", str(SPEECH / "story_slt.flac"), "--input", str(SPEECH / "stop_slt.flac"), "--barge-in", "2"]
    done = talk("--url", embedded_story, *arguments)
    assert done.returncode == 0, done.stderr
    assert re.search(r"talked over: silent after \d+ ms", done.stdout)


@pytest.fixture(scope="module")
def embedded_story() -> Iterator[str]:
    with ServerProcess() as server:
        server.wait_ready()
        yield server.url


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--url", "ws://127.0.0.1:9/v1/realtime", "--text", "x"], "no realtime server answers there"),
        (["--input", "missing.wav"], "missing.wav: cannot be read as a sound file"),
        (["--text", "x", "--output", "x.doc"], "--output must end in .wav, .flac, .ogg, got 'x.doc'"),
        (["--output", "x.wav"], "--output needs --input or --text"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], complaint: str):
    done = talk(*arguments)
    assert done.returncode in (1, 2)
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_the_server_refuses_are_said(instant: str):
    done = talk("--url", instant, "--text", "x", "--voice", "nobody")
    assert done.returncode == 1
    assert "the settings were refused" in done.stderr
