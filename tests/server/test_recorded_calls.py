"""A recorded call over the socket: what it leaves on the disk, and that a refusal leaves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from fakes import ScriptedAsr, ScriptedLlm, ToneTts, fake_engines
from live import eventually
from recordings import silence, tone
from talkover.recording.command import app as command
from talkover.recording.folder import TRANSCRIPT
from talkover.recording.transcript import Transcript, decoded
from wire import WireClient

UTTERANCE = np.concatenate([silence(0.6), tone(0.6), silence(1.2)])


def stored(path: Path) -> list[Path]:
    return sorted(path.glob("*_sess_*"))


def finished(path: Path) -> Transcript | None:
    made = [decoded((folder / TRANSCRIPT).read_bytes()) for folder in stored(path) if (folder / TRANSCRIPT).is_file()]
    return made[0] if made and made[0].finished else None


def run(name: str, path: Path, *arguments: str) -> tuple[int, str]:
    options = ["--set", f"recording.path={path}", "--set", 'recording.consent=""']
    result = CliRunner().invoke(command, [name, *arguments, *options])
    return result.exit_code, result.output


@pytest.mark.slow
def test_a_call_over_the_socket_leaves_sound_and_transcript_and_a_refusal_nothing(serve, tmp_path: Path) -> None:
    path = tmp_path / "calls"
    engines = fake_engines(ScriptedAsr("Hello there", "No."), ScriptedLlm("Good day."), ToneTts(ms_per_char=5))
    server = serve(engines, f"recording.path={path}", "recording.consent=This call is recorded.")
    with WireClient(server.ws_url, check=False) as client:
        client.update(s2s={"version": 1, "events": ["recording"], "caller": "+49 30 1234"})
        client.until("s2s.recording.updated")
        client.say_live(UTTERANCE)
        client.nth("response.done", 2)
        client.read_for(0.3)
    assert eventually(lambda: finished(path) is not None)
    (folder,) = stored(path)
    transcript = finished(path)
    assert transcript is not None
    assert [(item.who, item.text) for item in transcript.items] == [("user", "Hello there"), ("agent", "Good day.")]
    assert (transcript.caller, transcript.notice) == ("+49 30 1234", "This call is recorded.")
    sound, rate_hz = soundfile.read(folder / "audio.flac")
    assert (sound.shape[1], rate_hz) == (2, 24_000)
    assert sound.shape[0] * 1000 / rate_hz == pytest.approx(transcript.duration_ms, abs=2)
    user, agent = transcript.items
    assert np.abs(sound[user.start_ms * 24 : user.end_ms * 24, 0]).max() > 0.1
    assert np.abs(sound[agent.start_ms * 24 : agent.end_ms * 24, 1]).max() > 0.1
    assert user.start_ms > 50  # the onset, and the padding before it
    assert not np.abs(sound[: user.start_ms * 24, 1]).max(), "the sentence before was not recorded"
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {"0o600"}
    with WireClient(server.ws_url, check=False) as client:
        client.update(s2s={"version": 1, "events": ["recording"]})
        client.until("s2s.recording.updated")
        client.say(UTTERANCE)
        client.nth("s2s.recording.updated", 2)
        assert client.of("s2s.recording.updated")[-1]["reason"] == "refused"
    assert eventually(lambda: server.realtime.active_sessions == 0)
    assert stored(path) == [folder]
    assert run("list", path)[1].startswith(transcript.call)
    assert run("delete", path, "--caller", "+49 30 1234") == (0, f"{transcript.call} is deleted\n")
    assert not stored(path)
