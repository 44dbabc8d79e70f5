"""Speaking faster or slower: mel frames interpolated in time, while they are still coming in.

Pitch and timbre stay, since the vocoder makes the sound anew from the frames. The released code does this for whole
utterances only; frame i is taken from the same place here, (i + 1/2) speed - 1/2 in frames of the original.
"""

from __future__ import annotations

import torch
from torch import Tensor

from talkover.messages import Samples
from talkover.tts.cosyvoice2.hift_source import Noise
from talkover.tts.cosyvoice2.vocoder import Vocoder, VocoderStream


class MelSpeed:
    """Frames of one utterance at `speed` times their rate."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._made = 0
        """frames given out"""
        self._start = 0
        """index of the first frame that is kept"""
        self._kept: Tensor | None = None
        """(1, 80, n): frames that those to come may lie between"""

    def feed(self, mel: Tensor, *, last: bool = False) -> Tensor:
        """(1, 80, T) -> (1, 80, T'): the frames whose neighbours are known now; with `last` all that are left."""
        known = mel if self._kept is None else torch.cat((self._kept, mel), dim=2)  # (1, 80, n)
        total = self._start + known.shape[2]
        end = max(self._made, int(total / self._speed) if last else self._n_between(total))
        places = (torch.arange(self._made, end, dtype=torch.float64, device=mel.device) + 0.5) * self._speed - 0.5
        places = places.clamp(0, max(0, total - 1)) - self._start
        left = places.floor().long()
        right = (left + 1).clamp(max=max(0, known.shape[2] - 1))
        share = (places - left).to(mel.dtype)
        frames = known[:, :, left] * (1 - share) + known[:, :, right] * share
        self._made = end
        needed = int(max(0.0, (end + 0.5) * self._speed - 0.5))
        dropped = min(max(0, needed - self._start), known.shape[2])
        self._kept, self._start = known[:, :, dropped:], self._start + dropped
        return frames

    def _n_between(self, total: int) -> int:
        """How many frames lie at or before frame `total` - 1."""
        return max(0, int((total - 0.5) / self._speed + 0.5)) if total else 0


class SpeedVocoder:
    """A vocoder that speaks at `speed` times the rate of the mel it is given."""

    def __init__(self, vocoder: Vocoder, speed: float) -> None:
        self._vocoder = vocoder
        self._speed = speed

    def start(self, noise: Noise | None = None, *, seed: int = 0) -> VocoderStream:
        stream = self._vocoder.start(noise, seed=seed)
        return stream if self._speed == 1.0 else _SpeedStream(stream, MelSpeed(self._speed))


class _SpeedStream:
    def __init__(self, stream: VocoderStream, speed: MelSpeed) -> None:
        self._stream = stream
        self._speed = speed

    def extend(self, mel: Tensor, *, last: bool = False) -> Samples:
        return self._stream.extend(self._speed.feed(mel, last=last), last=last)
