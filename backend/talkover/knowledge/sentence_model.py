"""A model of sentence-transformers, loaded when it is first needed."""

from __future__ import annotations

import threading
from typing import Any, Literal

from talkover.engines import EngineUnavailable
from talkover.extras import install_command


class SentenceModel:
    """One of them, for many threads."""

    def __init__(
        self,
        kind: Literal["SentenceTransformer", "CrossEncoder"],
        setting: str,
        name: str,
        path: str,
        device: str,
        model: Any = None,
    ) -> None:
        """`setting`: the key that names it, for errors. `path`: what the library loads. `model`: loaded already."""
        self._kind = kind
        self._setting = setting
        self._name = name
        self._path = path
        self._device = None if device == "auto" else device
        self._model = model
        self._loading = threading.Lock()

    def loaded(self) -> Any:
        """Raises EngineUnavailable."""
        with self._loading:
            if self._model is None:
                self._model = self._load()
            return self._model

    def _load(self) -> Any:
        try:
            import sentence_transformers
        except ImportError as error:
            raise EngineUnavailable(
                f"{self._setting} = {self._name!r} needs sentence-transformers: {install_command('knowledge')}"
            ) from error
        try:
            return getattr(sentence_transformers, self._kind)(self._path, device=self._device)
        except (OSError, ValueError) as error:
            raise EngineUnavailable(
                f"{self._setting}: {self._name!r} cannot be loaded (a folder, or a name on Hugging Face): "
                f"{str(error).splitlines()[0]}"
            ) from error
