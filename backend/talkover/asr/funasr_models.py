"""Loads a folder in FunASR's layout through FunASR itself, and keeps its habits from the rest of the process.

`AutoModel` prints, configures logging, seeds every random generator, sets torch's threads, and starts a model whose
weights do not fit as if nothing were wrong. It asks the hub for newer files only when it is given a name, so it is
always given a folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import random
import sys
import threading
import zipfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from talkover.engines import EngineUnavailable
from talkover.messages import Samples
from talkover.yaml_tree import yaml_tree


class _SilentHere(io.TextIOBase):
    """A standard output that drops what this thread prints: engines are loaded side by side."""

    def __init__(self, real: TextIO) -> None:
        self._real = real
        self._thread = threading.get_ident()

    def write(self, text: str, /) -> int:
        return len(text) if threading.get_ident() == self._thread else self._real.write(text)

    def flush(self) -> None:
        self._real.flush()


@contextlib.contextmanager
def _contained() -> Generator[None]:
    """Undo what FunASR does to logging, random generators, torch's threads and the standard output."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.disabled
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    threads = torch.get_num_threads()
    root.disabled = True  # silences what is logged at the root itself; other loggers go on
    try:
        with contextlib.redirect_stdout(_SilentHere(sys.stdout)):
            yield
    finally:
        root.disabled = disabled
        root.handlers[:] = handlers
        root.setLevel(level)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_num_threads(threads)


with _contained():  # its imports configure logging, too
    from funasr import AutoModel
    from funasr.utils.load_utils import extract_fbank

_TRAINING_ONLY = ("ctc.", "criterion")
"""parts that no decoding here uses, and that checkpoints may lack"""
_loading = threading.Lock()


@dataclass(frozen=True, slots=True)
class FunasrModel:
    """A model ready to decode. Its parts are FunASR's own objects."""

    name: str
    """class of the model, e.g. ParaformerStreaming"""
    folder: Path
    model: Any
    tokenizer: Any
    frontend: Any
    options: dict[str, Any]
    """its config.yaml, as FunASR resolved it"""

    def features(self, utterances: Sequence[Samples], **streaming: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, 560) features and (B,) lengths of (n,) float32 at 16 kHz. `streaming`: `cache` and `is_final`."""
        features, lengths = extract_fbank(
            [torch.from_numpy(samples) for samples in utterances],
            data_type="sound",
            frontend=self.frontend,
            **streaming,
        )
        return features.to(self.device), lengths.to(self.device)

    @property
    def device(self) -> torch.device:
        return torch.device(self.options["device"])


def load_model(folder: Path, key: str, expected: Sequence[str], device: str) -> FunasrModel:
    """Load `folder` for the configuration key `key`. Raises EngineUnavailable naming the file that is wrong.

    `expected`: classes of models that will do. `device`: auto, or as torch writes it.
    """
    _check_files(folder, key, expected)
    saved = _saved_weights(folder / "model.pt", key)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with _loading, _contained():
        try:
            loaded = AutoModel(
                model=str(folder),
                device=device,
                ncpu=1,
                disable_update=True,
                disable_pbar=True,
                disable_log=True,
                trust_remote_code=False,
                log_level="ERROR",
            )
        except Exception as error:  # whatever a broken file makes FunASR raise
            raise EngineUnavailable(f"{key}: {folder} cannot be loaded: {type(error).__name__}: {error}") from error
    _check_weights(folder, key, loaded.model, saved)
    return FunasrModel(
        name=type(loaded.model).__name__,
        folder=folder,
        model=loaded.model,
        tokenizer=loaded.kwargs["tokenizer"],
        frontend=loaded.kwargs.get("frontend"),
        options=loaded.kwargs,
    )


def _check_files(folder: Path, key: str, expected: Sequence[str]) -> None:
    if not folder.is_dir():
        raise EngineUnavailable(f"{key}: {folder} is not a folder")
    path = folder / "config.yaml"
    try:
        config = yaml_tree(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"{key}: {path} cannot be read: {error}") from error
    if not isinstance(config, dict) or "model" not in config:
        raise EngineUnavailable(f"{key}: {path} names no model")
    if config["model"] not in expected:
        raise EngineUnavailable(f"{key}: {path}: model must be one of {', '.join(expected)}, got {config['model']!r}")
    needed = ["model.pt"]
    if config.get("tokenizer", "CharTokenizer") == "CharTokenizer":
        needed.append("tokens.txt" if (folder / "tokens.txt").is_file() else "tokens.json")
    if "frontend" in config:
        needed.append("am.mvn")
    for name in needed:
        if not (folder / name).is_file():
            raise EngineUnavailable(f"{key}: {folder / name} is missing")
    for name in ("tokens.json", "configuration.json"):
        try:
            json.loads((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise EngineUnavailable(f"{key}: {folder / name} cannot be read: {error}") from error


def _saved_weights(path: Path, key: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape in a checkpoint, read before FunASR does: it leaves to torch whether a pickle may run code."""
    try:
        saved: Any = torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
        for wrapper in ("state_dict", "model_state_dict", "model"):
            saved = saved.get(wrapper, saved)
        return {name.removeprefix("module."): tuple(value.shape) for name, value in saved.items()}
    except Exception as error:  # whatever unpickling a broken file raises
        raise EngineUnavailable(f"{key}: {path} cannot be loaded ({type(error).__name__})") from error


def _check_weights(folder: Path, key: str, model: torch.nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """FunASR keeps random weights wherever the file has none that fit."""
    wrong = [
        name
        for name, value in model.state_dict().items()
        if not name.startswith(_TRAINING_ONLY) and shapes.get(name) != tuple(value.shape)
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise EngineUnavailable(f"{key}: {folder / 'model.pt'} does not fit config.yaml: {wrong[0]}{more}")
