"""A folder of recorded outputs, and one comparison with it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from talkover.tts.cosyvoice2.checkpoint import load_strict, read_state
from talkover.tts.cosyvoice2.configuration import CosyVoice2Config, load_golden_configuration
from talkover.tts.cosyvoice2.flow import Flow
from talkover.tts.cosyvoice2.hift import Hift
from talkover.tts.cosyvoice2.language_model import LanguageModel, load_text_speech_model
from talkover.tts.cosyvoice2.streaming_layers import fused_weight_norm

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    quantity: str
    difference: float
    """the largest of all elements; infinite for another shape, for not a number, and for unequal structures"""
    tolerance: float
    """0: must be equal"""

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance

    @staticmethod
    def failed(reason: str) -> Check:
        return Check(reason, math.inf, 0.0)

    @staticmethod
    def near(quantity: str, got: Any, wanted: Any, tolerance: float) -> Check:
        """Of two tensors or arrays."""
        a, b = torch.as_tensor(got).double(), torch.as_tensor(wanted).double()
        if a.shape != b.shape:
            return Check(quantity, math.inf, tolerance)
        difference = float((a - b).abs().max()) if a.numel() else 0.0
        return Check(quantity, math.inf if math.isnan(difference) else difference, tolerance)

    @staticmethod
    def equal(quantity: str, got: object, wanted: object) -> Check:
        return Check(quantity, 0.0 if got == wanted else math.inf, 0.0)


class Pack:
    """The files of a folder, each read when first asked for. A missing one raises OSError or EngineUnavailable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tensors: dict[str, dict[str, Tensor]] = {}

    def tensors(self, name: str) -> dict[str, Tensor]:
        if name not in self._tensors:
            path = self.folder / f"{name}.safetensors"
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing")
            self._tensors[name] = load_file(path)
        return self._tensors[name]

    def document(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    @cached_property
    def config(self) -> CosyVoice2Config:
        return load_golden_configuration(self.folder)

    @cached_property
    def lm(self) -> LanguageModel:
        state = read_state(self.folder, "llm")
        model = load_text_speech_model(state, self.config.llm, CPU, torch.float32)
        return LanguageModel(model, self.config.llm, self.config.sampling)

    @cached_property
    def flow(self) -> Flow:
        flow = Flow(self.config.flow).eval().requires_grad_(False)
        load_strict(flow, read_state(self.folder, "flow"), "flow")
        return flow

    @cached_property
    def hift(self) -> Hift:
        hift = Hift(self.config.hift).eval().requires_grad_(False)
        load_strict(hift, fused_weight_norm(read_state(self.folder, "hift")), "hift")
        return hift
