"""From a recording to what the models hear of it: three kinds of spectra, and the resampler they were trained behind.

Everything is evaluated in double precision and returned as float32. The filters must be exactly these: another
resampler or another window moves the features further than a different microphone would.

Sources: the mel spectrogram of HiFi-GAN (Kong et al. 2020), the resampler of torchaudio (a Hann-windowed sinc); see
`spectra.py` for the others.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from talkover import spectra
from talkover.messages import Samples
from talkover.spectra import FBANK_BINS, RATE_HZ, fbank, frames_of, hann, slaney_filters

Array = NDArray[np.float64]

__all__ = ["FBANK_BINS", "fbank", "log_mel", "mel_spectrogram", "resample"]

TOKENIZER_RATE_HZ = RATE_HZ
"""of the speech tokenizer and the speaker encoder"""
MEL_RATE_HZ = 24_000
MEL_HOP_SAMPLES = 480
MEL_WINDOW_SAMPLES = 1920
MEL_BINS = 80
LOG_MEL_BINS = 128
MIN_MEL_SAMPLES = (MEL_WINDOW_SAMPLES - MEL_HOP_SAMPLES) // 2 + 1
"""fewer cannot be mirrored at their borders"""

_SINC_ZEROS, _ROLL_OFF = 6, 0.99
_BLOCK_FRAMES = 16_384
"""resampled at a time: the product writes its overlapping frames out, all at once 600 MB for 30 s at 192 kHz"""


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """(n,) float32 at `from_hz` as (ceil(n * to_hz / from_hz),) float32 at `to_hz`."""
    if from_hz == to_hz or samples.size == 0:
        return samples.astype(np.float32)
    divisor = math.gcd(from_hz, to_hz)
    step, phases = from_hz // divisor, to_hz // divisor
    kernels, width = _sinc_kernels(step, phases)  # (phases, 2 width + step)
    padded = np.pad(samples.astype(np.float64), (width, width + step))
    frames = frames_of(padded, kernels.shape[1], step)  # (n // step + 1, 2 width + step), overlapping
    blocks = [frames[start : start + _BLOCK_FRAMES] @ kernels.T for start in range(0, len(frames), _BLOCK_FRAMES)]
    wanted = -(-samples.size * phases // step)
    return np.concatenate(blocks).reshape(-1)[:wanted].astype(np.float32)


def mel_spectrogram(samples: Samples) -> Samples:
    """The prompt mel of the flow: (1, n // 480, 80) float32, natural logarithm, from (n,) at 24 kHz.

    Raises ValueError for fewer than 721 samples.
    """
    if samples.size < MIN_MEL_SAMPLES:
        raise ValueError(f"a mel spectrogram needs at least {MIN_MEL_SAMPLES} samples, got {samples.size}")
    margin = (MEL_WINDOW_SAMPLES - MEL_HOP_SAMPLES) // 2
    padded = np.pad(samples.astype(np.float64), margin, mode="reflect")
    frames = frames_of(padded, MEL_WINDOW_SAMPLES, MEL_HOP_SAMPLES) * hann(MEL_WINDOW_SAMPLES)  # (T, 1920)
    spectrum = np.fft.rfft(frames)  # (T, 961)
    magnitude = np.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
    mel = magnitude @ slaney_filters(MEL_RATE_HZ, MEL_WINDOW_SAMPLES, MEL_BINS).T  # (T, 80)
    return np.log(np.maximum(mel, 1e-5)).astype(np.float32)[None]


def log_mel(samples: Samples) -> Samples:
    """What the speech tokenizer hears: (1, 128, n // 160) float32 from (n,) at 16 kHz.

    Raises ValueError for fewer than 201 samples.
    """
    return spectra.log_mel(samples, LOG_MEL_BINS)


@cache
def _sinc_kernels(step: int, phases: int) -> tuple[Array, int]:
    """Kernels (phases, 2 width + step) of the outputs between two input steps, and their width in input samples."""
    band = _ROLL_OFF * min(step, phases)
    width = math.ceil(_SINC_ZEROS * step / band)
    taps = np.arange(-width, width + step)[None] / step  # (1, taps)
    offsets = np.arange(phases)[:, None] / phases  # (phases, 1)
    position = np.clip((taps - offsets) * band, -_SINC_ZEROS, _SINC_ZEROS)  # (phases, taps)
    window = np.cos(position * np.pi / _SINC_ZEROS / 2) ** 2
    return np.sinc(position) * window * band / step, width
