"""Punctuation for finals, by FunASR's CT-Transformer."""

from __future__ import annotations

import threading
from typing import Any

import torch

from talkover.asr.funasr_models import FunasrModel

MODELS = ("CTTransformer",)


class Punctuator:
    """Puts commas, full stops and question marks into a text; safe for many threads."""

    def __init__(self, loaded: FunasrModel) -> None:
        self._loaded = loaded
        self._model: Any = loaded.model
        self._lock = threading.Lock()
        """a few milliseconds; the model's word segmentation is shared"""

    def punctuate(self, text: str) -> str:
        """`text` with punctuation in the script of each clause; English sentences begin with a capital."""
        if not text:
            return ""
        with self._lock, torch.inference_mode():
            results, _ = self._model.inference(
                [text], key=["text"], tokenizer=self._loaded.tokenizer, device=str(self._loaded.device)
            )
        return str(results[0]["text"]).strip()
