"""The stand-ins of the golden pack through the same calls as the official networks."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from golden import SELECTION, on_every_pack

safetensors = pytest.importorskip("safetensors.numpy", reason="needs the extra 'full'")
pytest.importorskip("onnxruntime", reason="needs the extra 'full'")

from talkover.engines import EngineUnavailable  # noqa: E402
from talkover.tts.cosyvoice2.features import resample  # noqa: E402
from talkover.tts.cosyvoice2.onnx_models import SpeakerEncoder, SpeechTokenizer  # noqa: E402


def clip_16k(folder: Path, name: str):
    samples, rate_hz = soundfile.read(folder / "model_dir" / name, dtype="float32")
    return resample(samples, rate_hz, 16_000)


@on_every_pack
def test_speech_ids_and_speaker_vector_equal_the_released_ones(golden: Path) -> None:
    cases = safetensors.load_file(golden / "frontend_cases.safetensors")
    tokenizer = SpeechTokenizer(golden / "model_dir" / "speech_tokenizer_v2.onnx")
    prompt = clip_16k(golden, "prompt.wav")
    assert tokenizer.ids(prompt) == tuple(cases["intermediate.speech_token_untrimmed"][0])
    assert tokenizer.ids(clip_16k(golden, "source_16k.wav")) == tuple(cases["vc.source_speech_token"][0])
    vector = SpeakerEncoder(golden / "model_dir" / "campplus.onnx").vector(prompt)
    assert vector.shape == (1, 192)
    assert np.abs(vector - cases["vc.flow_embedding"]).max() < 5e-4


def test_a_clip_over_30_s_is_refused_before_any_work() -> None:
    tokenizer = SpeechTokenizer(SELECTION / "model_dir" / "speech_tokenizer_v2.onnx")
    with pytest.raises(ValueError, match=r"at most 30 s long, got 30\.1 s"):
        tokenizer.ids(np.zeros(round(30.1 * 16_000), np.float32))


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "campplus.onnx"
    with pytest.raises(EngineUnavailable, match=r"campplus\.onnx: does not exist"):
        SpeakerEncoder(broken)
    broken.write_bytes(b"version https://git-lfs")
    with pytest.raises(EngineUnavailable, match=r"campplus\.onnx: is not a model onnxruntime can read"):
        SpeakerEncoder(broken)
    with pytest.raises(EngineUnavailable, match="must have 2 inputs, has 1"):
        SpeechTokenizer(SELECTION / "model_dir" / "campplus.onnx")
