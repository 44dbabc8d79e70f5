"""Files of models and voices: they hold numbers, and nothing of them is ever run."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_zip
from golden import SELECTION
from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2.checkpoint import read_state
from talkover.tts.cosyvoice2.configuration import load_configuration
from talkover.tts.cosyvoice2.prompt_features import FeatureStore
from talkover.tts.cosyvoice2.trained_speakers import SPEAKERS_FILE, load_speakers
from talkover.vad.onnx_session import open_session

_QWEN = (SELECTION / "model_dir" / "CosyVoice-BlankEN" / "config.json").read_bytes()
_executed: list[str] = []


def executed(*arguments: object) -> object:
    """What the hostile files of the corpus call, if a loader lets them."""
    _executed.append(repr(arguments))
    return arguments


def fuzz_cosyvoice_yaml(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(EngineUnavailable):
        folder = Path(name)
        (folder / "CosyVoice-BlankEN").mkdir()
        (folder / "CosyVoice-BlankEN" / "config.json").write_bytes(_QWEN)
        (folder / "cosyvoice2.yaml").write_bytes(data)
        load_configuration(folder)


def fuzz_checkpoints(data: bytes) -> None:
    """State dicts and speakers, as pickle or safetensors."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("llm.pt", "flow.safetensors", SPEAKERS_FILE):
            (folder / file).write_bytes(data)
        for part in ("llm", "flow"):
            with contextlib.suppress(EngineUnavailable):
                read_state(folder, part)
        with contextlib.suppress(EngineUnavailable):
            load_speakers(folder / SPEAKERS_FILE)
    _nothing_was_executed()


def fuzz_voice_features(data: bytes) -> None:
    """A file of the cache: its features, or none."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "key.npz").write_bytes(data)
        found = FeatureStore(Path(folder)).get("key")
        assert found is None or found.mel.ndim == 3
    _nothing_was_executed()


def fuzz_onnx(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").write_bytes(data)
        with contextlib.suppress(EngineUnavailable):
            open_session(Path(folder) / "model.onnx", "vad.turn_model")


def _nothing_was_executed() -> None:
    ran = list(_executed)
    _executed.clear()
    assert not ran, f"a file was executed: {ran}"


FUZZERS = (
    Fuzzer("cosyvoice_yaml", fuzz_cosyvoice_yaml),
    Fuzzer("checkpoints", fuzz_checkpoints, mutate=mutated_zip),
    Fuzzer("voice_features", fuzz_voice_features, mutate=mutated_zip),
    Fuzzer("onnx", fuzz_onnx),
)
