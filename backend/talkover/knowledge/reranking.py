"""A cross-encoder that reads question and passage together: slower and more exact than comparing vectors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol, cast

from talkover.config import Settings
from talkover.engines import EngineUnavailable
from talkover.extras import install_command


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
        self._device = None if device == "auto" else device
        self._model = model
        self._loading = threading.Lock()

    def warmup(self) -> None:
        self.scores("What is this?", ["A passage."])

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        pairs = [(question, passage) for passage in passages]
        return [float(score) for score in self._loaded().predict(pairs, show_progress_bar=False)]

    def _loaded(self) -> Any:
        with self._loading:
            if self._model is None:
                self._model = _load(self.name, self._device)
            return self._model


def _load(name: str, device: str | None) -> Any:
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise EngineUnavailable(
            f"knowledge.reranker = {name!r} needs sentence-transformers: {install_command('knowledge')}"
        ) from error
    try:
        return cast(Any, CrossEncoder)(name, device=device)
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"knowledge.reranker: {name!r} cannot be loaded (a folder, or a name on Hugging Face): "
            f"{str(error).splitlines()[0]}"
        ) from error


def create_reranker(settings: Settings) -> Reranker | None:
    name = settings.knowledge.reranker
    return None if name is None else CrossEncoderReranker(name, settings.knowledge.device)
