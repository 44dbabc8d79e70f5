"""Spectra as speech models were trained on them: Kaldi's filter bank, Whisper's log-mel, and what these are made of.

Everything is evaluated in double precision and returned as float32. The filters must be exactly these: another window
moves the features further than a different microphone would.

Sources: Kaldi's filter bank (Povey et al. 2011), the log-mel spectrogram of Whisper (Radford et al. 2022), the mel
scale of Slaney's Auditory Toolbox (1998).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from talkover.messages import Samples

Array = NDArray[np.float64]

RATE_HZ = 16_000
"""of what is heard here, except where a function says otherwise"""
FBANK_BINS = 80

_HIGHEST_HZ = 8000.0
_FBANK_LOWEST_HZ = 20.0
_FBANK_WINDOW, _FBANK_HOP, _FBANK_FFT = 400, 160, 512
_LOG_MEL_WINDOW, _LOG_MEL_HOP = 400, 160
_PRE_EMPHASIS = 0.97


def fbank(samples: Samples) -> Samples:
    """What speaker encoders hear: (1, T, 80) float32 from (n,) at 16 kHz, T = 1 + (n - 400) // 160.

    The mean of each bin over time is removed. Raises ValueError for fewer than 400 samples.
    """
    if samples.size < _FBANK_WINDOW:
        raise ValueError(f"a filter bank needs at least {_FBANK_WINDOW} samples, got {samples.size}")
    frames = frames_of(samples.astype(np.float64), _FBANK_WINDOW, _FBANK_HOP)  # (T, 400)
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    # a symmetric Hann window to the power 0.85: Kaldi's "povey" window
    shaped = (frames - _PRE_EMPHASIS * before) * np.hanning(_FBANK_WINDOW) ** 0.85
    power = np.abs(np.fft.rfft(shaped, _FBANK_FFT)) ** 2  # (T, 257)
    energies = power[:, :-1] @ _kaldi_filters().T  # (T, 80)
    features = np.log(np.maximum(energies, float(np.finfo(np.float32).eps)))
    return (features - features.mean(axis=0)).astype(np.float32)[None]


def log_mel(samples: Samples, n_bins: int) -> Samples:
    """Whisper's spectrogram: (1, n_bins, n // 160) float32 from (n,) at 16 kHz.

    Raises ValueError for fewer than 201 samples.
    """
    margin = _LOG_MEL_WINDOW // 2
    if samples.size <= margin:
        raise ValueError(f"a log-mel spectrogram needs at least {margin + 1} samples, got {samples.size}")
    padded = np.pad(samples.astype(np.float64), margin, mode="reflect")
    frames = frames_of(padded, _LOG_MEL_WINDOW, _LOG_MEL_HOP)[:-1] * hann(_LOG_MEL_WINDOW)  # (T, 400)
    power = np.abs(np.fft.rfft(frames)) ** 2  # (T, 201)
    mel = power @ slaney_filters(RATE_HZ, _LOG_MEL_WINDOW, n_bins).T  # (T, n_bins)
    logarithm = np.log10(np.maximum(mel, 1e-10))
    logarithm = np.maximum(logarithm, logarithm.max() - 8)
    return ((logarithm + 4) / 4).T.astype(np.float32)[None]


def frames_of(samples: Array, size: int, hop: int) -> Array:
    """(1 + (n - size) // hop, size): every whole frame, as a view."""
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]


def hann(size: int) -> Array:
    """Periodic Hann window."""
    return np.hanning(size + 1)[:-1]


@cache
def slaney_filters(rate_hz: int, n_fft: int, n_bins: int) -> Array:
    """(n_bins, n_fft // 2 + 1) triangles of equal area, 0 to 8000 Hz, on Slaney's scale: linear to 1 kHz, then log."""
    edges = _slaney_hz(np.linspace(0.0, _slaney_mel(_HIGHEST_HZ), n_bins + 2))  # (n_bins + 2,)
    bins = np.linspace(0, rate_hz / 2, n_fft // 2 + 1)
    return _triangles(edges, bins) * (2 / (edges[2:] - edges[:-2]))[:, None]


@cache
def _kaldi_filters() -> Array:
    """(80, 256) triangles, equally spaced and linear in mel = 1127 ln(1 + f / 700); without the Nyquist bin."""
    edges = np.linspace(_htk_mel(np.array(_FBANK_LOWEST_HZ)), _htk_mel(np.array(_HIGHEST_HZ)), FBANK_BINS + 2)
    bins = np.arange(_FBANK_FFT // 2) * RATE_HZ / _FBANK_FFT
    return _triangles(edges, _htk_mel(bins))


def _triangles(edges: Array, positions: Array) -> Array:
    """(n - 2, positions): for every three neighbouring edges, 0 at the outer ones, 1 at the middle one."""
    left, peak, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (positions - left) / (peak - left)
    falling = (right - positions) / (right - peak)
    return np.maximum(0.0, np.minimum(rising, falling))


def _htk_mel(hz: Array) -> Array:
    return 1127.0 * np.log(1.0 + hz / 700.0)


_SLANEY_HZ_PER_MEL = 200.0 / 3
_SLANEY_LOG_FROM_HZ = 1000.0
_SLANEY_LOG_FROM_MEL = _SLANEY_LOG_FROM_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = math.log(6.4) / 27


def _slaney_mel(hz: float) -> float:
    if hz < _SLANEY_LOG_FROM_HZ:
        return hz / _SLANEY_HZ_PER_MEL
    return _SLANEY_LOG_FROM_MEL + math.log(hz / _SLANEY_LOG_FROM_HZ) / _SLANEY_LOG_STEP


def _slaney_hz(mel: Array) -> Array:
    logarithmic = _SLANEY_LOG_FROM_HZ * np.exp(_SLANEY_LOG_STEP * (mel - _SLANEY_LOG_FROM_MEL))
    return np.where(mel < _SLANEY_LOG_FROM_MEL, mel * _SLANEY_HZ_PER_MEL, logarithmic)
