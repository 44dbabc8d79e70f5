"""Voices over HTTP: recorded, listed, spoken with, removed; and everything that is refused."""

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from fakes import ScriptedAsr, fake_engines, session_options
from folder_voices import FolderTts
from talkover.app import voice_called
from talkover.engines import EngineFailed, Engines, Hypothesis, NewVoice, VoiceRefused
from talkover.realtime.errors import ProtocolError
from talkover.realtime.settings import ResponseOptions
from talkover.rest.clip_transcripts import fill_transcripts
from talkover.tts.voice_folder import VoiceFolder

RATE_HZ = 24_000
Connect = Callable[..., httpx.Client]


def clip(seconds: float = 2.0, level: float = 0.3, rate_hz: int = RATE_HZ, channels: int = 1) -> bytes:
    file = io.BytesIO()
    tone = level * np.sin(np.arange(round(seconds * rate_hz)) * 0.1)
    soundfile.write(file, np.clip(np.stack([tone] * channels, axis=1), -1, 1), rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    return fake_engines(asr=ScriptedAsr("Good morning to you."), tts=FolderTts(VoiceFolder(None, tmp_path / "own")))


@pytest.fixture
def client(connect: Connect, engines: Engines) -> httpx.Client:
    return connect(engines)


def add(client: httpx.Client, data: bytes | None = None, **form: str) -> httpx.Response:
    return client.post("/v1/voices", files={"file": ("me.wav", clip() if data is None else data)}, data=form)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    return answer.json()["error"]


def speak(client: httpx.Client, voice: str) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"input": "Hi.", "voice": voice, "response_format": "pcm"})


# -------------------------------------------------------------------------------------------------------- and back


def test_a_recording_becomes_a_voice_and_leaves_again(client: httpx.Client, tmp_path: Path) -> None:
    added = add(client, name="Anna Maria", language="en-GB", transcript="Good  morning.")
    assert added.status_code == 201
    assert added.json() == {
        "object": "voice",
        "id": "anna-maria",
        "name": "Anna Maria",
        "language": "en-GB",
        "engine": "fake",
        "gender": "",
        "transcript": "Good morning.",
    }
    listing = client.get("/v1/voices").json()
    assert [voice["id"] for voice in listing["data"]] == ["tone", "anna-maria"]
    assert listing["custom"]["removable"] == ["anna-maria"]
    assert speak(client, "anna-maria").status_code == 200

    removed = client.delete("/v1/voices/anna-maria")
    assert removed.json() == {"object": "voice", "id": "anna-maria", "deleted": True}
    assert [voice["id"] for voice in client.get("/v1/voices").json()["data"]] == ["tone"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert client.delete("/v1/voices/anna-maria").status_code == 404


def test_a_missing_transcript_is_heard(client: httpx.Client, engines: Engines) -> None:
    assert add(client, id="anna").json()["transcript"] == "Good morning to you."
    assert engines.tts.folder.get("anna").transcript == "Good morning to you."


def test_a_name_in_another_script_gets_an_id(client: httpx.Client) -> None:
    added = add(client, name="小云", transcript="你好。").json()
    assert added["name"] == "小云"
    assert added["language"] == "zh"
    assert added["id"].startswith("voice-")


def test_a_voice_without_words_stays_without(connect: Connect, tmp_path: Path) -> None:
    client = connect(fake_engines(asr=ScriptedAsr(""), tts=FolderTts(VoiceFolder(None, tmp_path))))
    assert add(client, id="anna").json()["transcript"] == ""


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (clip(0.5), "at least 1.5 s long, got 0.50 s"),
        (clip(31), "at most 30 s"),
        (clip(level=0), "silent"),
        (clip(level=3), "clipped"),
        (clip(channels=2), "one channel, got 2"),
        (clip(rate_hz=8000), "16000 to 192000 Hz, got 8000"),
        (b"<?php system('ls'); ?>", "wav, flac, ogg or mp3"),
        (b"", "wav, flac, ogg or mp3"),
    ],
)
def test_a_bad_recording_is_refused_with_its_reason(client: httpx.Client, data: bytes, told: str) -> None:
    refused = add(client, data, id="anna")
    assert refused.status_code == 400
    assert told in error_of(refused)["message"]
    assert error_of(refused)["param"] == "file"
    assert client.get("/v1/voices").json()["custom"]["removable"] == []


@pytest.mark.parametrize("voice_id", ["../anna", "a/b", "..", "C:\\x", "anna.wav", "Anna", "a" * 41, "-rf", "a\u0000b"])
def test_names_that_could_be_paths_are_refused(client: httpx.Client, tmp_path: Path, voice_id: str) -> None:
    refused = add(client, id=voice_id)
    assert refused.status_code == 400
    assert error_of(refused)["param"] == "id"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["..", "%2e%2e", "..%2f..%2fetc", "anna%2f..", "%00"])
def test_nothing_outside_can_be_removed(client: httpx.Client, path: str) -> None:
    assert client.delete(f"/v1/voices/{path}").status_code in (404, 405)


def test_a_taken_name_and_a_shipped_voice(client: httpx.Client, connect: Connect, tmp_path: Path) -> None:
    assert add(client, id="anna").status_code == 201
    taken = add(client, id="anna")
    assert (taken.status_code, error_of(taken)["code"]) == (409, "voice_exists")
    shipped = connect(fake_engines(tts=FolderTts(VoiceFolder(tmp_path / "own", tmp_path / "other"))))
    kept = shipped.delete("/v1/voices/anna")
    assert (kept.status_code, error_of(kept)["code"]) == (403, "voice_not_removable")


def test_too_large_an_upload_is_refused(client: httpx.Client) -> None:
    refused = add(client, bytes(10 * 2**20 + 1), id="anna")
    assert (refused.status_code, error_of(refused)["code"]) == (413, "file_too_large")


def test_an_engine_that_clones_nothing_says_so_and_lists_as_before(connect: Connect) -> None:
    client = connect()
    assert set(client.get("/v1/voices").json()) == {"object", "data", "aliases"}
    for refused in (add(client, id="anna"), client.delete("/v1/voices/tone")):
        assert (refused.status_code, error_of(refused)["code"]) == (400, "not_supported")


def test_a_recogniser_that_fails_is_told_and_leaves_nothing(connect: Connect, tmp_path: Path) -> None:
    class DeafAsr(ScriptedAsr):
        def stream(self, language: str | None = None, hint: str = "") -> Any:
            raise EngineFailed("deaf")

    client = connect(fake_engines(asr=DeafAsr(), tts=FolderTts(VoiceFolder(None, tmp_path))))
    refused = add(client, id="anna")
    assert (refused.status_code, error_of(refused)["code"]) == (500, "asr_error")
    assert not list(tmp_path.iterdir())
    assert add(client, id="anna", transcript="Hello.").status_code == 201


def test_the_key_is_asked_for(connect: Connect, engines: Engines) -> None:
    client = connect(engines, key="s3cret")
    assert add(client, id="anna").status_code == 401
    assert client.delete("/v1/voices/anna").status_code == 401


def test_another_site_cannot_make_a_browser_add_a_voice(client: httpx.Client) -> None:
    refused = client.post("/v1/voices", files={"file": ("x.wav", clip())}, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


# ----------------------------------------------------------------------------------------------- while it is used


def test_removing_a_voice_does_not_break_what_it_is_saying(client: httpx.Client, engines: Engines) -> None:
    add(client, id="anna", transcript="Hello.")
    text = "This is the first sentence of a long answer. " * 40
    body = {"input": text, "voice": "anna", "response_format": "pcm"}
    with client.stream("POST", "/v1/audio/speech", json=body) as answer:
        pieces = answer.iter_raw()
        received = len(next(pieces))
        assert client.delete("/v1/voices/anna").status_code == 200
        received += sum(len(piece) for piece in pieces)
    whole = client.post("/v1/audio/speech", json=body | {"voice": "tone"})
    assert received == len(whole.content)


def test_a_session_whose_voice_was_removed_speaks_with_the_default(engines: Engines) -> None:
    engines.tts.add_voice(NewVoice("anna", 0.3 * np.sin(np.arange(48_000) * 0.1).astype(np.float32), RATE_HZ))
    options = session_options(resolve_voice=lambda name: voice_called(engines.tts, name))
    settings = options.settings.updated({"audio": {"output": {"voice": "anna"}}}, options.resolve_voice)
    assert ResponseOptions().resolve(settings, options.resolve_voice).voice == "anna"
    engines.tts.remove_voice("anna")
    assert ResponseOptions().resolve(settings, options.resolve_voice).voice == "tone"
    with pytest.raises(ProtocolError, match="voice"):
        ResponseOptions(voice="anna").resolve(settings, options.resolve_voice)


def test_a_voice_added_while_running_can_be_chosen(serve: Callable[..., Any], engines: Engines) -> None:
    server = serve(engines)
    with httpx.Client(base_url=server.http_url) as client:
        add(client, id="anna", transcript="Hello.")
        assert speak(client, "anna").status_code == 200
    assert server.app.state.realtime is not None
    assert voice_called(engines.tts, "anna") == "anna"


def test_two_who_take_the_same_name_at_once(client: httpx.Client, engines: Engines) -> None:
    together = threading.Barrier(2)
    found: list[int] = []

    def race() -> None:
        together.wait()
        found.append(add(client, id="anna", transcript="Hello.").status_code)

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(found) == [201, 409]


# ----------------------------------------------------------------------------------------------- clips in the folder


def test_clips_without_transcript_are_written_down_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "anna.wav").write_bytes(clip())
    tts = FolderTts(VoiceFolder(None, tmp_path))
    fill_transcripts(tts, ScriptedAsr("Good morning."))
    assert (tmp_path / "anna.txt").read_text(encoding="utf-8") == "Good morning.\n"
    assert tts.folder.get("anna").transcript == "Good morning."


class UnsureAsr(ScriptedAsr):
    def stream(self, language: str | None = None, hint: str = "") -> Any:
        stream = super().stream(language, hint)
        stream.finish = lambda is_stale: Hypothesis("mumble", 6, 0.2)
        return stream


@pytest.mark.parametrize("asr", [ScriptedAsr(""), UnsureAsr()])
def test_what_is_not_understood_for_sure_is_not_written_down(tmp_path: Path, asr: ScriptedAsr) -> None:
    (tmp_path / "anna.wav").write_bytes(clip())
    tts = FolderTts(VoiceFolder(None, tmp_path))
    fill_transcripts(tts, asr)
    assert not (tmp_path / "anna.txt").exists()
    with pytest.raises(VoiceRefused):
        tts.remove_voice("nobody")
