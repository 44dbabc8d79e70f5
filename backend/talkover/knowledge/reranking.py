"""A cross-encoder that reads question and passage together: slower and more exact than comparing vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from talkover.config import Settings
from talkover.knowledge.sentence_model import SentenceModel


class Reranker(Protocol):
    """Called from many threads."""

    name: str

    def warmup(self) -> None:
        """Load. Raises EngineUnavailable."""
        ...

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers; higher is better."""
        ...


class CrossEncoderReranker:
    """A cross-encoder of sentence-transformers, e.g. cross-encoder/ms-marco-MiniLM-L6-v2 or BAAI/bge-reranker-v2-m3."""

    def __init__(self, name: str, device: str = "auto", model: Any = None) -> None:
        """`name`: a folder, or a name on Hugging Face. `model`: loaded already."""
        self.name = name
        self._model = SentenceModel("CrossEncoder", "knowledge.reranker", name, name, device, model)

    def warmup(self) -> None:
        self.scores("What is this?", ["A passage."])

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        pairs = [(question, passage) for passage in passages]
        return [float(score) for score in self._model.loaded().predict(pairs, show_progress_bar=False)]


def create_reranker(settings: Settings) -> Reranker | None:
    name = settings.knowledge.reranker
    return None if name is None else CrossEncoderReranker(name, settings.knowledge.device)
