"""`spk2info.pt`: speakers the model was trained on, and voices that other programs saved from a clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2.voice_prompt import VoicePrompt, speaker_only, voice_prompt

SPEAKERS_FILE = "spk2info.pt"


def load_speakers(path: Path) -> dict[str, VoicePrompt]:
    """Speaker -> prompt; none when there is no such file. Raises EngineUnavailable, naming every entry at fault.

    An entry with `embedding` is a trained speaker. One with `flow_embedding`, speech ids and mel frames is a saved
    voice, whose transcript comes as the ids of the same tokenizer.
    """
    if not path.exists():
        return {}
    try:
        entries: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever unpickling raises
        raise EngineUnavailable(f"{path}: cannot be loaded ({type(error).__name__})") from error
    if not isinstance(entries, Mapping):
        raise EngineUnavailable(f"{path}: must hold a dictionary of speakers, got {type(entries).__name__}")
    speakers: dict[str, VoicePrompt] = {}
    problems: list[str] = []
    for name, entry in entries.items():
        try:
            speakers[str(name)] = _speaker(entry)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{name!r}: {_why(error)}")
    if problems:
        raise EngineUnavailable(f"{path}: {'; '.join(problems)}")
    return speakers


def _speaker(entry: Any) -> VoicePrompt:
    """Raises KeyError, TypeError and ValueError."""
    if not isinstance(entry, Mapping):
        raise TypeError(f"must be a dictionary, got {type(entry).__name__}")
    if "prompt_speech_feat" not in entry:
        return speaker_only(_tensor(entry, "embedding").reshape(1, -1))
    return voice_prompt(
        _ids(entry, "prompt_text"),
        _ids(entry, "flow_prompt_speech_token"),
        _tensor(entry, "prompt_speech_feat"),
        _tensor(entry, "flow_embedding").reshape(1, -1),
    )


def _ids(entry: Mapping[str, Any], key: str) -> list[int]:
    return [int(number) for number in _tensor(entry, key).reshape(-1)]


def _tensor(entry: Mapping[str, Any], key: str) -> Tensor:
    value = entry[key]
    if not isinstance(value, Tensor):
        raise TypeError(f"{key} must be a tensor, got {type(value).__name__}")
    return value


def _why(error: Exception) -> str:
    return f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
