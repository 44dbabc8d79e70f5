"""A model folder in the official layout, loaded: dimensions, tokenizer and the three networks that speak."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2.checkpoint import Part, find_state_file, load_strict, read_state
from talkover.tts.cosyvoice2.configuration import TEXT_FOLDER, YAML_NAME, CosyVoice2Config, load_configuration
from talkover.tts.cosyvoice2.flow import Flow
from talkover.tts.cosyvoice2.hift import Hift
from talkover.tts.cosyvoice2.language_model import TextSpeechModel, load_text_speech_model
from talkover.tts.cosyvoice2.onnx_models import SPEAKER_ENCODER_FILE, SPEECH_TOKENIZER_FILE
from talkover.tts.cosyvoice2.streaming_layers import fused_weight_norm
from talkover.tts.cosyvoice2.tokenizer import TextTokenizer, load_tokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


_NEEDED = (
    YAML_NAME,
    f"{TEXT_FOLDER}/config.json",
    f"{TEXT_FOLDER}/vocab.json",
    f"{TEXT_FOLDER}/merges.txt",
    SPEECH_TOKENIZER_FILE,
    SPEAKER_ENCODER_FILE,
)
_PARTS: tuple[Part, ...] = ("llm", "flow", "hift")


@dataclass(frozen=True, slots=True, eq=False)
class SpeechModels:
    """What speaks, ready to infer."""

    config: CosyVoice2Config
    tokenizer: TextTokenizer
    llm: TextSpeechModel
    flow: Flow
    hift: Hift
    device: torch.device


def check_files(folder: Path) -> None:
    """Raises EngineUnavailable, naming every file that the folder lacks."""
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    missing += [f"{part}.pt" for part in _PARTS if find_state_file(folder, part) is None]
    if missing:
        raise EngineUnavailable(
            f"tts.model: {folder} is not a CosyVoice2 folder, it lacks {', '.join(missing)}; "
            "talkover models pull cosyvoice2-0.5b fetches a whole one"
        )


def load_models(folder: Path, device: str = "auto", precision: str = "auto") -> SpeechModels:
    """Raises EngineUnavailable, naming the file and what is wrong with it.

    `device`: auto takes a GPU when there is one. `precision`: of the language model and the flow, auto is float32 on a
    CPU and bfloat16 on a GPU. The vocoder is always float32: its phase is a sum over the whole utterance.
    """
    check_files(folder)
    chosen = _device(device)
    dtype = DTYPES.get(precision, torch.bfloat16 if chosen.type == "cuda" else torch.float32)
    config = load_configuration(folder)
    tokenizer = load_tokenizer(folder, config.llm.qwen.vocab_size)
    llm = load_text_speech_model(read_state(folder, "llm"), config.llm, chosen, dtype)
    flow = Flow(config.flow)
    load_strict(flow, read_state(folder, "flow"), "flow")
    hift = Hift(config.hift)
    load_strict(hift, fused_weight_norm(read_state(folder, "hift")), "hift")
    return SpeechModels(
        config,
        tokenizer,
        llm,
        flow.to(device=chosen, dtype=dtype).eval().requires_grad_(False),
        hift.to(device=chosen).float().eval().requires_grad_(False),
        chosen,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "mps":  # has no float64, which sampling and phase need
        raise EngineUnavailable("tts.device: cosyvoice2 runs on cpu and cuda, got 'mps'")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable(f"tts.device: {name!r} is not available on this machine; auto takes what there is")
    return device
