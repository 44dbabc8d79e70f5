"""From sentences to what a recogniser is trained on: recordings, augmented, as features with token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from funasr.frontends.wav_frontend import WavFrontend
from sentences import Sentence
from voices import augmented

from talkover.audio import INPUT_RATE_HZ
from talkover.messages import Samples

FRONTEND = {
    "fs": INPUT_RATE_HZ,
    "window": "hamming",
    "n_mels": 80,
    "frame_length": 25,
    "frame_shift": 10,
    "lfr_m": 7,
    "lfr_n": 6,
    "dither": 0.0,
}
"""as in the official models, but without dither: the same audio gives the same features"""
FEATURES = FRONTEND["n_mels"] * FRONTEND["lfr_m"]
_SILENT_SHARE, _JOINED_SHARE = 0.06, 0.2
_LONGEST_PAUSE_S = 0.6

Utterance = tuple[tuple[str, ...], Samples]


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance as a model sees it."""

    features: torch.Tensor
    """(T, 560) float32, not normalised"""
    tokens: tuple[int, ...]


def variations(made: Sequence[tuple[Sentence, Samples]], count: int, rng: np.random.Generator) -> list[Utterance]:
    """`count` augmented utterances: recordings alone, two in a row, and silence or noise without a word."""
    utterances: list[Utterance] = []
    for _ in range(count):
        kind = rng.random()
        sentence, samples = made[rng.integers(len(made))]
        tokens = sentence.tokens
        if kind < _SILENT_SHARE:
            tokens, samples = (), samples[:0]
        elif kind < _SILENT_SHARE + _JOINED_SHARE:
            other, other_samples = made[rng.integers(len(made))]
            pause = np.zeros(round(rng.uniform(0.05, _LONGEST_PAUSE_S) * INPUT_RATE_HZ), np.float32)
            tokens, samples = tokens + other.tokens, np.concatenate([samples, pause, other_samples])
        utterances.append((tokens, augmented(samples, rng)))
    return utterances


def examples(utterances: Sequence[Utterance], ids: dict[str, int]) -> list[Example]:
    frontend = WavFrontend(**FRONTEND)
    made: list[Example] = []
    for tokens, samples in utterances:
        features, _ = frontend(torch.from_numpy(samples)[None], torch.tensor([samples.size]))
        made.append(Example(features[0], tuple(ids[token] for token in tokens)))
    return made


def normalisation(made: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """What is added to and then multiplied with features: minus their mean, one over their deviation; (560,) each."""
    features = torch.cat([example.features for example in made])
    return -features.mean(0), 1 / features.std(0).clamp(min=1e-3)


def error_rate(wanted: Sequence[tuple[str, ...]], got: Sequence[Sequence[str]]) -> float:
    """Edits per token over all utterances."""
    return sum(map(_edits, wanted, got)) / max(1, sum(map(len, wanted)))


def _edits(wanted: Sequence[str], got: Sequence[str]) -> int:
    row = list(range(len(got) + 1))
    for i, token in enumerate(wanted, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (token != other))
    return row[-1]
