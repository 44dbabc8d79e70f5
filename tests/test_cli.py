"""The command line as a user meets it: what it prints, what it writes, and how it ends."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import soundfile

from talkover import __version__, doctor
from talkover.access.keys import find_key, load_keys
from talkover.config import Settings, load_settings
from talkover.doctor import Check
from talkover.resources import resource

QUESTION = Path(__file__).parent / "data" / "speech" / "what_is_talkover_slt.flac"


def talkover(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "talkover", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
    )


def test_version() -> None:
    assert talkover("--version").stdout == f"talkover {__version__}\n"


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = """
import sys
from typer.testing import CliRunner
from talkover.cli import app
print(CliRunner().invoke(app, ["--help"]).output)
heavy = {"numpy", "fastapi", "openai", "pydantic", "uvicorn", "soundfile", "talkover.app"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    for command in ("serve", "say", "transcribe", "voices", "doctor", "talk", "bench", "models"):
        assert f" {command} " in result.stdout


def test_a_key_is_shown_once_and_configured_by_its_digest(tmp_path: Path) -> None:
    made = talkover("key", "desk")
    key = made.stdout.strip()
    assert key not in made.stderr
    path = tmp_path / "talkover.toml"
    path.write_text(made.stderr[made.stderr.index("[[access.keys]]") :])
    (found,) = load_keys(None, load_settings(path, environ={}).access, {})
    assert found == find_key([found], key)


# ------------------------------------------------------------------------------------------------------------- serve


def test_serve_lists_every_problem_of_the_configuration_and_ends_with_2() -> None:
    result = talkover("serve", "--port", "70000", "--set", "vad.threshold=3", "--set", "vad.threshhold=1")
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert "server.port" in lines[0]
    assert "vad.threshold: " in lines[1]
    assert "vad.threshhold: is not a known key" in lines[2]


def test_serve_says_that_a_planned_engine_is_not_there_yet() -> None:
    result = talkover("serve", "--set", "tts.engine=voxcpm")
    assert result.returncode == 2
    assert "tts.engine: 'voxcpm' is planned and not there yet" in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_on_a_busy_port_says_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = talkover("serve", "--port", str(port))
    assert result.returncode == 2
    assert f"{port}" in result.stderr
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


# --------------------------------------------------------------------------------------------------------------- say


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "opus", "ogg"])
def test_say_writes_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"speech.{suffix}"
    result = talkover("say", "Good morning.", "--output", str(path), "--voice", "en-gb-m1")
    assert result.returncode == 0, result.stderr
    samples, rate_hz = soundfile.read(path)
    assert 0.4 < len(samples) / rate_hz < 3


def test_say_writes_the_true_length_into_a_wav(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    talkover("say", "-", "--output", str(path), stdin="Good morning.")
    assert path.stat().st_size == 44 + 2 * soundfile.info(path).frames


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Hello.", "--output", "x.aac"], ".wav, .flac, .opus, .ogg, .mp3, .pcm, got 'x.aac'"),
        (["Hello.", "--output", "/absent/x.wav"], "/absent/x.wav: cannot be written: No such file or directory"),
        (["Hello.", "--voice", "nobody", "--output", "x.wav"], "nobody"),
        (["🎉", "--output", "x.wav"], "the text holds nothing that can be spoken"),
    ],
)
def test_say_tells_what_is_wrong_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = talkover("say", *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


# --------------------------------------------------------------------------------------------- transcribe and voices


def test_transcribe_prints_what_was_said_and_goes_on_after_a_bad_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    result = talkover("transcribe", str(bad), str(tmp_path / "absent.wav"), str(QUESTION))
    assert result.returncode == 1
    assert "bad.wav: the file is not audio" in result.stderr
    assert "absent.wav: cannot be read" in result.stderr
    assert "talkover" in result.stdout.lower()


def test_transcribe_writes_subtitles() -> None:
    result = talkover("transcribe", "--format", "srt", str(QUESTION))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("1\n00:00:0")


def test_voices_are_listed_with_their_other_names() -> None:
    result = talkover("voices")
    assert "en-us-f1" in result.stdout
    assert "zh-cn-f1" in result.stdout
    assert "alloy" in result.stdout


# ------------------------------------------------------------------------------------------------------------ doctor


@contextmanager
def endpoint(status: int, body: object) -> Iterator[str]:
    """A chat endpoint that answers every GET in one way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def finding(subject: str, settings: Settings | None = None, **environ: str) -> Check:
    checks = doctor.examine(settings or load_settings(overrides=["server.port=0"], environ={}), environ)
    return next(check for check in checks if check.subject == subject)


MODELS = {"data": [{"id": "qwen3"}, {"id": "llama"}]}


@pytest.mark.parametrize(
    ("status", "body", "model", "expected", "words"),
    [
        (200, MODELS, None, "ok", "answers: qwen3"),
        (200, MODELS, "llama", "ok", "answers: llama"),
        (200, MODELS, "gpt-9", "problem", "does not offer the model 'gpt-9'"),
        (200, {"data": []}, None, "ok", "no models listed"),
        (200, [1], None, "ok", "no models listed"),
        (401, {}, None, "problem", "refuses the key"),
        (404, {}, None, "note", "without a list of models"),
    ],
)
def test_doctor_asks_the_language_model(
    monkeypatch: pytest.MonkeyPatch, status: int, body: object, model: str | None, expected: str, words: str
) -> None:
    monkeypatch.setattr(doctor, "chosen_engines", lambda *_: {})  # starting the engines is another test
    with endpoint(status, body) as address:
        environ = {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "s3cret"} | ({"OPENAI_MODEL": model} if model else {})
        check = finding("language model", **environ)
    assert check.status == expected
    assert words in check.detail
    assert bool(check.remedy) == (expected == "problem")
    assert "s3cret" not in check.detail + check.remedy


def test_doctor_says_how_to_connect_a_model_or_that_none_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "chosen_engines", lambda *_: {})
    assert "OPENAI_API_KEY" in finding("language model").remedy
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        check = finding("language model", OPENAI_BASE_URL=address)
    assert (check.status, check.fatal) == ("problem", False)
    assert "must begin with http" in finding("language model", OPENAI_BASE_URL="ftp://x").detail


def test_doctor_says_which_models_are_missing_and_fetches_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_engines", lambda *_: ())
    place = f"models.folder={tmp_path}"
    home = {"HOME": str(tmp_path)}
    mandarin = resource("configs") / "mandarin.toml"
    missing = finding("model", load_settings(mandarin, ["server.port=0", place], {}), **home)
    assert missing.status == "problem"
    assert "about 6.1 GB" in missing.detail
    assert missing.remedy == "talkover models pull paraformer-zh-streaming paraformer-zh ct-punc cosyvoice2-0.5b"
    other = load_settings(None, ["server.port=0", place, "asr.engine=sensevoice"], {})
    assert finding("model", other, **home).remedy == "talkover models pull sensevoice-small --accept-licence"
    folder = tmp_path / "Systran--faster-whisper-small"
    folder.mkdir()
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (folder / name).write_bytes(b"x")
    there = load_settings(None, ["server.port=0", place, "asr.second_opinion=whisper"], {})
    assert finding("model", there, **home) == Check("model", "ok", f"whisper-small in {folder}")
    own = load_settings(None, ["server.port=0", place, "asr.engine=whisper", f"asr.model={folder}"], {})
    assert not [check for check in doctor.examine(own, home) if check.subject == "model"]


def test_doctor_starts_engines_without_downloads(tmp_path: Path) -> None:
    settings = load_settings(None, ["server.port=0", f"models.folder={tmp_path}", "asr.engine=whisper"], {})
    asr = next(check for check in doctor.examine(settings, {"HOME": str(tmp_path)}) if check.fatal)
    assert (asr.subject, asr.status) == ("asr", "problem")
    assert "talkover models pull whisper-small" in asr.remedy or "talkover[whisper]" in asr.remedy


def test_doctor_finds_a_busy_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "chosen_engines", lambda *_: {})
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        check = finding("port", load_settings(overrides=[f"server.port={port}"], environ={}))
    assert check.status == "problem"
    assert f"--port {port + 1}" in check.remedy


def test_doctor_ends_well_only_when_the_configured_engines_start() -> None:
    well = talkover("doctor", "--set", "server.port=0")
    assert well.returncode == 0, well.stdout
    assert "The configured engines start." in well.stdout
    ill = talkover("doctor", "--set", "server.port=0", "--set", "tts.engine=voxcpm")
    assert ill.returncode == 1
    assert "planned and not there yet" in ill.stdout
