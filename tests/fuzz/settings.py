"""What operators write: the configuration from file, environment and command line, personas, folders of voices."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from fuzz.harness import Fuzzer
from talkover.agent.persona import load_persona
from talkover.config import ConfigError, Settings, load_settings
from talkover.tts.voice_folder import VoiceFolder


def fuzz_configuration(data: bytes) -> None:
    """A file; lines that begin with `--set ` or `TALKOVER_` are the command line's and the environment's."""
    lines = data.split(b"\n")
    own = [line for line in lines if not line.startswith((b"--set ", b"TALKOVER_"))]
    overrides = [_text(line[6:]) for line in lines if line.startswith(b"--set ")]
    variables = [_text(line).partition("=") for line in lines if line.startswith(b"TALKOVER_")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talkover.toml"
        path.write_bytes(b"\n".join(own))
        try:
            settings = load_settings(path, overrides, {name: value for name, _, value in variables})
        except ConfigError:
            return
    assert isinstance(settings, Settings)
    assert settings.model_dump()


def fuzz_persona(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ConfigError):
        path = Path(folder) / "persona.toml"
        path.write_bytes(data)
        assert load_persona(str(path)).instructions


def fuzz_voice_folder(data: bytes) -> None:
    """Facts, transcript and clip of a voice, between lines of `%%`: it is there, or a problem is told."""
    facts, _, rest = data.partition(b"\n%%\n")
    transcript, _, clip = rest.partition(b"\n%%\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "voice.toml").write_bytes(facts)
        (folder / "voice.txt").write_bytes(transcript)
        (folder / "voice.wav").write_bytes(clip or _CLIP)
        voices = VoiceFolder(None, folder)
        assert len(voices.voices()) + len(voices.problems) == 1
        for voice in voices.voices():
            assert voice.transcript.isprintable()
            assert len(voice.name) <= 60


def _text(line: bytes) -> str:
    """As the operating system hands it over."""
    return line.decode("utf-8", "surrogateescape")


def _clip() -> bytes:
    """Two seconds that sound."""
    import numpy as np

    from talkover.tts.voice_clip import VoiceClip, wav_bytes

    return wav_bytes(VoiceClip(0.3 * np.sin(np.arange(32_000, dtype=np.float32) * 0.1, dtype=np.float32), 16_000))


_CLIP = _clip()

FUZZERS = (
    Fuzzer("configuration", fuzz_configuration),
    Fuzzer("persona", fuzz_persona),
    Fuzzer("voice_folder", fuzz_voice_folder, 16_384),
)
