"""What the models get to know of a voice before they speak: text, speech ids, mel frames and a speaker vector.

Which of these a request carries decides how it is spoken (`cross_lingual`, `instructed`): a prompt is made once per
clip, and the other ways of speaking with the same voice are views of it that share its `key`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

MEL_BINS = 80
SPEAKER_DIM = 192
MEL_FRAMES_PER_ID = 2


@dataclass(frozen=True, slots=True, eq=False)
class VoicePrompt:
    """The prompt of one voice. Use `voice_prompt` or `speaker_only` to make one: they check that the parts fit."""

    text_ids: tuple[int, ...]
    """what the LM reads before the text: the transcript, or an instruction"""
    lm_speech_ids: tuple[int, ...]
    """what the LM takes as already spoken; empty unless `text_ids` is the transcript"""
    flow_speech_ids: tuple[int, ...]
    """P ids that precede the generated ones in the flow"""
    mel: Tensor
    """(1, 2P, 80) float32, natural logarithm: the frames of `flow_speech_ids`"""
    speaker: Tensor
    """(1, 192) float32, as the speaker encoder gives it, not normalised"""
    key: str
    """hash of what the flow sees (ids, mel, speaker): prompts of the same key share its prompt state"""

    def cross_lingual(self) -> VoicePrompt:
        """For a text in another language than the clip: the LM sees nothing of it, the flow keeps the voice."""
        return replace(self, text_ids=(), lm_speech_ids=())

    def instructed(self, instruction_ids: Sequence[int]) -> VoicePrompt:
        """For a style said in words; `instruction_ids` must end with the id of `<|endofprompt|>`."""
        return replace(self, text_ids=tuple(instruction_ids), lm_speech_ids=())


def voice_prompt(text_ids: Sequence[int], speech_ids: Sequence[int], mel: Tensor, speaker: Tensor) -> VoicePrompt:
    """A prompt to speak as the clip does, with clip ids and mel frames of any length cut to fit: two frames per id.

    `mel` is (1, M, 80). Raises ValueError for other shapes and for a clip without a single whole id.
    """
    _check_shape("mel", mel, (1, mel.shape[1] if mel.dim() == 3 else -1, MEL_BINS))
    _check_shape("speaker", speaker, (1, SPEAKER_DIM))
    n_ids = min(mel.shape[1] // MEL_FRAMES_PER_ID, len(speech_ids))
    if n_ids == 0:
        raise ValueError(f"{mel.shape[1]} mel frames and {len(speech_ids)} speech ids are too few for a voice")
    ids = tuple(int(number) for number in speech_ids[:n_ids])
    mel = mel[:, : MEL_FRAMES_PER_ID * n_ids].float().contiguous()  # (1, 2P, 80)
    speaker = speaker.float()
    return VoicePrompt(tuple(text_ids), ids, ids, mel, speaker, _key(ids, mel, speaker))


def speaker_only(speaker: Tensor) -> VoicePrompt:
    """A prompt of nothing but a trained speaker's vector (1, 192)."""
    _check_shape("speaker", speaker, (1, SPEAKER_DIM))
    mel, speaker = torch.zeros(1, 0, MEL_BINS), speaker.float()
    return VoicePrompt((), (), (), mel, speaker, _key((), mel, speaker))


def _check_shape(name: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != wanted:
        raise ValueError(f"{name} must be {wanted}, got {tuple(tensor.shape)}".replace("-1", "n"))


def _key(ids: tuple[int, ...], mel: Tensor, speaker: Tensor) -> str:
    digest = hashlib.sha256(repr(ids).encode())
    for tensor in (mel, speaker):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
