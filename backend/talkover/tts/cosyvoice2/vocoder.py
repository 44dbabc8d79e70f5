"""Mel frames to samples while the mel is still growing.

Two ways. `SeamlessVocoder` gives exactly the samples of the whole mel in one piece, however it is cut; a sample comes
out once the 20 frames behind it are known. `CompatibleVocoder` does what the released code does, seams included: each
call starts anew with eight frames of the last one, and 160 ms are cross-faded with a gain of 1.08.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from talkover.messages import Samples
from talkover.tts.cosyvoice2.configuration import SAMPLES_PER_MEL_FRAME
from talkover.tts.cosyvoice2.hift import Hift
from talkover.tts.cosyvoice2.hift_source import FrameNoise, Noise
from talkover.tts.cosyvoice2.streaming_layers import Passage

LAG_FRAMES = 20
"""5 for the pitch, half of one for the phase, and the generator's receptive field"""
_OVERLAP_FRAMES = 8
_OVERLAP = _OVERLAP_FRAMES * SAMPLES_PER_MEL_FRAME


@dataclass(slots=True, eq=False)
class SeamlessState:
    """One utterance."""

    noise: Noise
    passage: Passage = field(default_factory=Passage)
    emitted: int = 0
    """samples"""
    given: int = 0
    """mel frames"""


class SeamlessVocoder:
    def __init__(self, hift: Hift) -> None:
        self._hift = hift

    def start(self, noise: Noise | None = None, *, seed: int = 0) -> SeamlessState:
        """`noise` instead of noise drawn from `seed`."""
        return SeamlessState(noise or FrameNoise(self._hift.m_source.harmonics, seed))

    def extend(self, state: SeamlessState, mel: Tensor, *, last: bool = False) -> Samples:
        """mel (1, 80, T), T may be 0 -> (n,) float32: the samples that are determined now."""
        state.passage.last = last
        if state.given + mel.shape[2] == 0:
            return np.zeros(0, np.float32)
        state.given += mel.shape[2]
        f0 = self._hift.pitch(mel, state.passage)
        source = self._hift.source(f0, state.noise, state.passage)
        samples = self._hift.decode(mel, source, state.passage)[0]
        state.emitted += len(samples)
        return samples.cpu().numpy()


@dataclass(slots=True, eq=False)
class CompatibleState:
    """One utterance."""

    noise: Noise
    mel: Tensor | None = None
    """the last eight frames, (1, 80, 8), and their samples below"""
    source: Tensor | None = None
    """(1, 1, 3840)"""
    samples: Tensor | None = None
    """(3840,)"""


class CompatibleVocoder:
    def __init__(self, hift: Hift) -> None:
        self._hift = hift

    def start(self, noise: Noise | None = None, *, seed: int = 0) -> CompatibleState:
        return CompatibleState(noise or FrameNoise(self._hift.m_source.harmonics, seed))

    def extend(self, state: CompatibleState, mel: Tensor, *, last: bool = False) -> Samples:
        """mel (1, 80, T), T > 0 -> (n,) float32: all but the last eight frames, with `last` all."""
        if state.mel is not None:
            mel = torch.cat((state.mel.to(mel), mel), dim=2)
        samples, source = vocode(self._hift, mel, state.noise, state.source)
        if state.samples is not None:
            samples = cross_fade(samples, state.samples)
        if last:
            return samples.cpu().numpy()
        state.mel, state.source = mel[:, :, -_OVERLAP_FRAMES:], source[:, :, -_OVERLAP:]
        state.samples = samples[-_OVERLAP:]
        return samples[:-_OVERLAP].cpu().numpy()


def vocode(hift: Hift, mel: Tensor, noise: Noise, cached_source: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """mel (1, 80, T) in one piece -> samples (480 T,) and source (1, 1, 480 T); the cache replaces its beginning."""
    passage = Passage()
    passage.last = True
    source = hift.source(hift.pitch(mel, passage), noise, passage)
    if cached_source is not None:
        source[:, :, : cached_source.shape[2]] = cached_source
    return hift.decode(mel, source, passage)[0], source


def cross_fade(new: Tensor, old: Tensor) -> Tensor:
    """`new` (n,) with its beginning faded in over `old`; the halves of the Hamming window add up to 1.08."""
    n = len(old)
    window = torch.hamming_window(2 * n, periodic=False, dtype=torch.float64, device=new.device)
    faded = new[:n].double() * window[:n] + old.double() * window[n:]
    return torch.cat((faded.to(new.dtype), new[n:]))
