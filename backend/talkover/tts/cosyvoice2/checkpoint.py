"""Weights from a file into a module, strictly: whatever is missing, unexpected or of another shape is named at once.

The official files are plain state dicts saved by `torch.save`; they are read with `weights_only`, so that a file can
hold numbers and nothing that runs. The miniature checkpoints of the tests are safetensors with the same keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from talkover.engines import EngineUnavailable

Part = Literal["llm", "flow", "hift"]

PARAMETERS = {"llm": 505_803_812, "flow": 112_549_360, "hift": 20_821_295}
"""unique parameters of the released 0.5B model"""
_MAX_NAMED = 8
_GAN_PREFIX = "generator."
"""left on the keys of a vocoder that was saved together with its discriminator"""


class CheckpointMismatch(EngineUnavailable):
    """The weights do not fit the module; the message names every key up to a limit."""


def find_state_file(folder: Path, part: Part) -> Path | None:
    """The file with the weights of `part`: `<part>.pt`, else `<part>.safetensors`; None without one."""
    return next((path for suffix in ("pt", "safetensors") if (path := folder / f"{part}.{suffix}").is_file()), None)


def read_state(folder: Path, part: Part) -> dict[str, Tensor]:
    """The state dict of a part, on the CPU, memory-mapped where the format allows. Raises EngineUnavailable."""
    path = find_state_file(folder, part)
    if path is None:
        raise EngineUnavailable(f"{folder / part}.pt is missing")
    try:
        state: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
        )
    except Exception as error:  # whatever unpickling a broken file raises, AssertionError and struct.error among them
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EngineUnavailable(f"{path} cannot be loaded: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise EngineUnavailable(f"{path}: must be a state dict, a mapping of names to tensors")
    if part == "hift" and state and all(str(name).startswith(_GAN_PREFIX) for name in state):
        state = {name.removeprefix(_GAN_PREFIX): value for name, value in state.items()}
    return state


def load_strict(module: nn.Module, state: Mapping[str, Tensor], part: str) -> None:
    """Copy `state` into `module`. Raises CheckpointMismatch unless keys and shapes are exactly those of the module.

    A module made on the meta device takes the tensors of `state` themselves instead of copies of them.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    misshapen = [
        f"{name} has {list(state[name].shape)} instead of {list(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    wrong_type = [name for name in own if name in state and not state[name].is_floating_point()]
    findings = (("missing", missing), ("unexpected", unexpected), ("wrong shape", misshapen), ("no floats", wrong_type))
    if any(names for _, names in findings):
        told = "; ".join(f"{title}: {_listed(names)}" for title, names in findings if names)
        raise CheckpointMismatch(f"weights of {part} do not fit the configuration: {told}")
    on_meta = any(value.is_meta for value in own.values())
    module.load_state_dict(dict(state), strict=True, assign=on_meta)


def parameter_count(module: nn.Module) -> int:
    """Parameters of a module, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def _is_zip(path: Path) -> bool:
    """Whether `torch.save` wrote its present format, the only one that can be memory-mapped."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
