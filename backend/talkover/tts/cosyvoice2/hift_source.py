"""The vocoder's excitation: a sine at the pitch and its harmonics, plus noise, mixed to one signal.

The neural source-filter model (Wang et al. 2019) as HiFT-GAN uses it. Within a frame of 480 samples the pitch is
constant; the phase is right at the middle of each frame and linear between two middles. Before the first middle and
behind the last it stands still: so the source starts half a frame earlier and ends half a frame later than it is known.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from talkover.tts.cosyvoice2.configuration import SAMPLES_PER_MEL_FRAME, HiftConfig
from talkover.tts.cosyvoice2.streaming_layers import Passage

FRAME = SAMPLES_PER_MEL_FRAME
HALF = FRAME // 2


class Noise(Protocol):
    """Standard normal noise, sample after sample."""

    def __call__(self, n: int) -> Tensor:
        """Of the next n samples: (1, n, harmonics) float32 on the CPU."""
        ...

    def copy(self) -> Noise:
        """One that will give the same as this one."""
        ...


class Silence:
    """No noise: what comes out is then determined by the mel."""

    def __init__(self, harmonics: int) -> None:
        self._harmonics = harmonics

    def __call__(self, n: int) -> Tensor:
        return torch.zeros(1, n, self._harmonics)

    def copy(self) -> Silence:
        return self


class FrameNoise:
    """Drawn frame by frame, so that the noise of a sample does not depend on how the samples are asked for."""

    def __init__(self, harmonics: int, generator: torch.Generator) -> None:
        self._harmonics, self._generator = harmonics, generator
        self._left = torch.empty(1, 0, harmonics)

    def __call__(self, n: int) -> Tensor:
        drawn = [self._left]
        for _ in range(math.ceil((n - self._left.shape[1]) / FRAME)):
            drawn.append(torch.randn(1, FRAME, self._harmonics, generator=self._generator))
        noise = torch.cat(drawn, dim=1)
        self._left = noise[:, n:]
        return noise[:, :n]

    def copy(self) -> FrameNoise:
        other = FrameNoise(self._harmonics, self._generator.clone_state())
        other._left = self._left
        return other


class CallNoise:
    """Drawn as the released code draws at each call, in its order: phases that have no effect, noise, unused noise.

    Its noise tensor lies in memory harmonic by harmonic and is filled in that order, not sample by sample.
    """

    def __init__(self, harmonics: int, generator: torch.Generator) -> None:
        self._harmonics, self._generator = harmonics, generator

    def __call__(self, n: int) -> Tensor:
        torch.rand(1, self._harmonics, generator=self._generator)
        noise = torch.empty_strided((1, n, self._harmonics), (n * self._harmonics, 1, n))
        noise.normal_(generator=self._generator)
        torch.randn(1, n, 1, generator=self._generator)
        return noise

    def copy(self) -> CallNoise:
        return CallNoise(self._harmonics, self._generator.clone_state())


class HarmonicSource(nn.Module):
    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        self.harmonics = config.nb_harmonics + 1
        self._config = config
        self.l_linear = nn.Linear(self.harmonics, 1)

    def forward(self, f0: Tensor, noise: Noise, passage: Passage) -> Tensor:
        """f0 (1, T) in Hz -> source (1, 1, n): 480 samples per frame, half a frame behind until the last.

        Phases are summed in float64, in turns, so that neither length nor cutting costs precision.
        """
        config = self._config
        kept = passage.kept.get(self)
        f0 = f0.float()
        if kept is not None:
            f0 = torch.cat((kept[:, 0, :1].float(), f0), dim=1)  # the last frame of the piece before
        frames = f0.shape[1]
        if frames == 0 or (kept is not None and frames == 1 and not passage.last):
            return f0.new_empty(1, 1, 0)
        harmonic = torch.arange(1, self.harmonics + 1, device=f0.device)
        turns_per_sample = (f0.double()[:, :, None] * harmonic / config.sampling_rate) % 1.0  # (1, T, h)
        # turns at the middle of each frame, whole turns dropped
        at_middle = turns_per_sample * FRAME
        if kept is not None:
            at_middle[:, 0] = kept[:, 0, 1:]
        at_middle = at_middle.cumsum(dim=1) % 1.0
        passage.swap(self, torch.cat((f0[:, -1:].double(), at_middle[:, -1]), dim=1)[:, None])

        since_middle = torch.arange(FRAME, device=f0.device, dtype=torch.float64) + 0.5
        between = at_middle[:, :-1, None] + turns_per_sample[:, 1:, None] * since_middle[:, None]  # (1, T-1, 480, h)
        turns = [between.flatten(1, 2)]
        if kept is None:
            turns.insert(0, at_middle[:, :1].expand(-1, HALF, -1))
        if passage.last:
            turns.append(at_middle[:, -1:].expand(-1, HALF, -1))
        sines = torch.sin(2 * math.pi * (torch.cat(turns, dim=1) % 1.0)).float() * config.nsf_alpha  # (1, n, h)

        start = 0 if kept is None else HALF
        voiced = (f0 > config.nsf_voiced_threshold).float().repeat_interleave(FRAME, dim=1)[:, start:, None]
        voiced = voiced[:, : sines.shape[1]]  # (1, n, 1)
        loudness = voiced * config.nsf_sigma + (1 - voiced) * config.nsf_alpha / 3
        mixed = sines * voiced + noise(sines.shape[1]).to(f0.device) * loudness
        return torch.tanh(self.l_linear(mixed.to(self.l_linear.weight.dtype))).float().transpose(1, 2)
