"""Mel frames to samples while the mel is still growing.

Two ways. `SeamlessVocoder` gives exactly the samples of the whole mel in one piece, however it is cut; a sample comes
out once the 20 frames behind it are known. `CompatibleVocoder` does what the released code does, seams included: each
call starts anew with eight frames of the last one, and 160 ms are cross-faded with a gain of 1.08.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

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
EARLY_LAG_FRAMES = 12
"""enough for most of what lies ahead to have its effect"""
_OVERLAP_FRAMES = 8
_OVERLAP = _OVERLAP_FRAMES * SAMPLES_PER_MEL_FRAME
_FADE = 240
"""samples over which what was determined takes over from what was guessed"""


class VocoderStream(Protocol):
    """One utterance on its way through a vocoder."""

    def extend(self, mel: Tensor, *, last: bool = False) -> Samples:
        """mel (1, 80, T) -> (n,) float32: the samples that can be given now, with `last` all that are left."""
        ...


class Vocoder(Protocol):
    def start(self, noise: Noise | None = None, *, seed: int = 0) -> VocoderStream:
        """An utterance; `noise` instead of noise drawn from `seed`."""
        ...


def drawn_noise(hift: Hift, seed: int) -> FrameNoise:
    return FrameNoise(hift.m_source.harmonics, torch.Generator().manual_seed(seed))


class SeamlessVocoder:
    """The samples of the whole mel, piece by piece.

    `early` gives a first chunk that reaches 8 frames further: these are computed as if the mel ended there, and what
    follows is faded in over 10 ms. The sooner first sound costs a small deviation in those 0.16 s.
    """

    def __init__(self, hift: Hift, *, early: bool = False) -> None:
        self._hift, self._early = hift, early

    @property
    def lag_frames(self) -> int:
        """How many frames behind the first chunk ends."""
        return EARLY_LAG_FRAMES if self._early else LAG_FRAMES

    def start(self, noise: Noise | None = None, *, seed: int = 0) -> SeamlessStream:
        return SeamlessStream(self._hift, noise or drawn_noise(self._hift, seed), guess=self._early)


@dataclass(slots=True, eq=False)
class _Guess:
    """Samples behind the determined ones, computed as if the mel ended, and how many of them have been given."""

    samples: Tensor
    """(n,)"""
    given: int
    """negative when the determined samples have come further than what was given"""


@dataclass(slots=True, eq=False)
class SeamlessStream:
    hift: Hift
    noise: Noise
    guess: bool
    """whether to give samples before they are determined, once"""
    passage: Passage = field(default_factory=Passage)
    frames: int = 0
    """taken"""
    determined: int = 0
    """samples"""
    _guessed: _Guess | None = None

    @torch.inference_mode()
    def extend(self, mel: Tensor, *, last: bool = False) -> Samples:
        """T may be 0."""
        if self.frames + mel.shape[2] == 0:
            return np.zeros(0, np.float32)
        self.frames += mel.shape[2]
        samples = self._through(mel, self.noise, self.passage, last=last)
        self.determined += len(samples)
        if self._guessed is not None:
            samples = self._taking_over(samples, self._guessed)
        elif self.guess and not last and self.frames > EARLY_LAG_FRAMES:
            self._guessed = self._guess_ahead(mel)
            samples = torch.cat((samples, self._guessed.samples[: self._guessed.given]))
        return samples.cpu().numpy()

    def _through(self, mel: Tensor, noise: Noise, passage: Passage, *, last: bool) -> Tensor:
        passage.last = last
        source = self.hift.source(self.hift.pitch(mel, passage), noise, passage)
        return self.hift.decode(mel, source, passage)[0]

    def _guess_ahead(self, mel: Tensor) -> _Guess:
        rest = self._through(mel[:, :, :0], self.noise.copy(), self.passage.copy(), last=True)
        wanted = (self.frames - EARLY_LAG_FRAMES) * SAMPLES_PER_MEL_FRAME
        return _Guess(rest, max(0, wanted - self.determined))

    @staticmethod
    def _taking_over(samples: Tensor, guess: _Guess) -> Tensor:
        """The determined samples without those already given, faded in at the border."""
        n = min(len(samples), len(guess.samples))
        weight = ((torch.arange(n, device=samples.device) - guess.given) / _FADE).clamp(0, 1)
        mixed = torch.cat((samples[:n] * weight + guess.samples[:n] * (1 - weight), samples[n:]))
        given = guess.given
        guess.samples, guess.given = guess.samples[n:], guess.given - len(samples)
        return mixed[max(0, given) :]


class CompatibleVocoder:
    """What the released code gives, chunk by chunk."""

    lag_frames = _OVERLAP_FRAMES

    def __init__(self, hift: Hift) -> None:
        self._hift = hift

    def start(self, noise: Noise | None = None, *, seed: int = 0) -> CompatibleStream:
        return CompatibleStream(self._hift, noise or drawn_noise(self._hift, seed))


@dataclass(slots=True, eq=False)
class CompatibleStream:
    hift: Hift
    noise: Noise
    mel: Tensor | None = None
    """the last eight frames, (1, 80, 8), and their source and samples below"""
    source: Tensor | None = None
    """(1, 1, 3840)"""
    samples: Tensor | None = None
    """(3840,)"""

    @torch.inference_mode()
    def extend(self, mel: Tensor, *, last: bool = False) -> Samples:
        """At least nine frames unless `last`."""
        if self.mel is not None:
            mel = torch.cat((self.mel, mel), dim=2)
        samples, source = vocode(self.hift, mel, self.noise, self.source)
        if self.samples is not None:
            samples = cross_fade(samples, self.samples)
        if last:
            return samples.cpu().numpy()
        self.mel, self.source = mel[:, :, -_OVERLAP_FRAMES:], source[:, :, -_OVERLAP:]
        self.samples = samples[-_OVERLAP:]
        return samples[:-_OVERLAP].cpu().numpy()


def vocode(hift: Hift, mel: Tensor, noise: Noise, cached_source: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """mel (1, 80, T) in one piece -> samples (480 T,) and source (1, 1, 480 T); the cache replaces its beginning."""
    passage = Passage()
    passage.last = True
    source = hift.source(hift.pitch(mel, passage), noise, passage)
    if cached_source is not None:
        source = torch.cat((cached_source, source[:, :, cached_source.shape[2] :]), dim=2)
    return hift.decode(mel, source, passage)[0], source


def cross_fade(new: Tensor, old: Tensor) -> Tensor:
    """`new` (n,) with its beginning faded in over `old`; the halves of the Hamming window add up to 1.08."""
    n = len(old)
    window = torch.hamming_window(2 * n, periodic=False, dtype=torch.float64, device=new.device)
    faded = new[:n].double() * window[:n] + old.double() * window[n:]
    return torch.cat((faded.to(new.dtype), new[n:]))
