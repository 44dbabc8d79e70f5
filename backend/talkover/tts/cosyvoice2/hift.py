"""The vocoder HiFT: mel frames to samples, by a source at the pitch that a network filters (Li et al. 2023).

Pitch from the mel, source from the pitch, and a generator that ends in an inverse short-time Fourier transform with a
hop of four samples. All layers are streamed (`streaming_layers.py`): fed one piece that is the first and the last,
this is the plain vocoder; fed several, it gives the same samples, each as soon as what it depends on is known, 20 mel
frames later.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, leaky_relu

from talkover.tts.cosyvoice2.configuration import HiftConfig
from talkover.tts.cosyvoice2.hift_source import HarmonicSource, Noise
from talkover.tts.cosyvoice2.streaming_layers import (
    Passage,
    StreamedConv,
    StreamedTransposedConv,
    mirrored_start,
    overlap_add,
    without_first,
)

_MAX_MAGNITUDE = 100.0
_SNAKE_EPS = 1e-9
_LAST_SLOPE = 0.01
"""torch's default: the released code does not pass its own slope here"""


class Snake(nn.Module):
    """x + sin^2(alpha x) / alpha (Ziyin et al. 2020), alpha per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        return x + torch.sin(x * alpha).square() / (alpha + _SNAKE_EPS)


class ResidualBlock(nn.Module):
    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def conv(dilation: int) -> StreamedConv:
            return StreamedConv(channels, channels, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation)

        self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(conv(1) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor, passage: Passage) -> Tensor:
        layers = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for snake1, conv1, snake2, conv2 in layers:
            x, h = passage.together(conv1, x, conv2(snake2(conv1(snake1(x), passage)), passage))
            x = x + h
        return x


class PitchPredictor(nn.Module):
    """mel (1, 80, T) -> f0 (1, T) in Hz, five frames behind until the last."""

    def __init__(self, n_in: int, channels: int) -> None:
        super().__init__()
        self.condnet = nn.ModuleDict(
            {str(2 * n): StreamedConv(n_in if n == 0 else channels, channels, 3, padding=1) for n in range(5)}
        )
        self.classifier = nn.Linear(channels, 1)

    def forward(self, mel: Tensor, passage: Passage) -> Tensor:
        x = mel
        for conv in self.condnet.values():
            x = elu(conv(x, passage))
        return self.classifier(x.transpose(1, 2)).squeeze(2).abs()


class ShortTimeFourier(nn.Module):
    """Centred frames of 16 samples every 4, a periodic Hann window, and the way back. Holds no weights."""

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        window = torch.hann_window(n_fft, dtype=torch.float64)
        bins = n_fft // 2 + 1
        angle = 2 * math.pi * torch.outer(torch.arange(bins), torch.arange(n_fft)).double() / n_fft
        forth = torch.cat((angle.cos(), -angle.sin())) * window  # (2 * bins, n_fft)
        weight = torch.full((bins, 1), 2.0, dtype=torch.float64)
        weight[0] = weight[-1] = 1.0
        back = torch.cat((weight * angle.cos(), -weight * angle.sin())) * window / n_fft
        self._forth, self._back, self._power = forth.float(), back.float()[:, None], window.square().float()[None, None]

    def spectrum(self, signal: Tensor, passage: Passage) -> Tensor:
        """(1, 1, n) -> (1, 18, frames): nine real parts, nine imaginary ones; the signal is mirrored at both ends."""
        half = self.n_fft // 2
        signal = mirrored_start(signal, half, (self, "mirror"), passage)
        kept = passage.kept.get((self, "spectrum"))
        if kept is not None:
            signal = torch.cat((kept, signal), dim=2)
        if passage.last:
            signal = torch.cat((signal, signal[:, :, -half - 1 : -1].flip(2)), dim=2)
        n = max(0, (signal.shape[2] - self.n_fft) // self.hop + 1)
        passage.swap((self, "spectrum"), signal[:, :, n * self.hop :])
        if n == 0:
            return signal.new_empty(1, self._forth.shape[0], 0)
        frames = signal[0, 0].unfold(0, self.n_fft, self.hop)  # (frames, 16)
        return (frames @ self._forth.to(signal.device).T).T[None]

    def signal(self, spectrum: Tensor, passage: Passage) -> Tensor:
        """(1, 18, frames) -> (1, 1, n)"""
        half = self.n_fft // 2
        back, power = self._back.to(spectrum.device), self._power.to(spectrum.device)
        summed = overlap_add(spectrum, back, self.hop, (self, "signal"), passage)
        norm = overlap_add(torch.ones_like(spectrum[:, :1]), power, self.hop, (self, "power"), passage)
        summed = without_first(summed, half, (self, "cut signal"), passage)
        norm = without_first(norm, half, (self, "cut power"), passage)
        if passage.last:
            summed, norm = summed[:, :, : summed.shape[2] - half], norm[:, :, : norm.shape[2] - half]
        return summed / norm


class Hift(nn.Module):
    """Module names are the keys of `hift.pt` with the weight normalisation fused."""

    def __init__(self, config: HiftConfig) -> None:
        super().__init__()
        self.config = config
        base, bins = config.base_channels, config.istft_n_fft + 2
        rates, kernels = config.upsample_rates, config.upsample_kernel_sizes
        widths = [base // 2 ** (n + 1) for n in range(len(rates))]
        self.m_source = HarmonicSource(config)
        self.f0_predictor = PitchPredictor(config.in_channels, config.f0_cond_channels)
        self.conv_pre = StreamedConv(config.in_channels, base, 7, padding=3)
        self.ups = nn.ModuleList(
            StreamedTransposedConv(base // 2**n, widths[n], kernel, stride=rate)
            for n, (rate, kernel) in enumerate(zip(rates, kernels, strict=True))
        )
        # frames of the source's spectrum per frame behind each up-sampling
        strides = [math.prod(rates[n + 1 :]) for n in range(len(rates))]
        self.source_downs = nn.ModuleList(
            StreamedConv(bins, width, 1 if s == 1 else 2 * s, padding=0 if s == 1 else s // 2, stride=s)
            for s, width in zip(strides, widths, strict=True)
        )
        self.source_resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations)
            for width, kernel, dilations in zip(
                widths, config.source_resblock_kernel_sizes, config.source_resblock_dilation_sizes, strict=True
            )
        )
        self._per_stage = len(config.resblock_kernel_sizes)
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations)
            for width in widths
            for kernel, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
        )
        self.conv_post = StreamedConv(widths[-1], bins, 7, padding=3)
        self.stft = ShortTimeFourier(config.istft_n_fft, config.istft_hop_len)

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_pre.weight.dtype

    def pitch(self, mel: Tensor, passage: Passage) -> Tensor:
        """mel (1, 80, T) -> f0 (1, T) float32, in Hz."""
        return self.f0_predictor(mel.to(self.conv_pre.weight), passage).float()

    def source(self, f0: Tensor, noise: Noise, passage: Passage) -> Tensor:
        """f0 (1, T) -> (1, 1, n) float32."""
        return self.m_source(f0, noise, passage)

    def decode(self, mel: Tensor, source: Tensor, passage: Passage) -> Tensor:
        """mel (1, 80, T), source (1, 1, n) -> samples (1, m) float32, within the audio limit."""
        spectrum = self.stft.spectrum(source, passage).to(self.dtype)  # (1, 18, 120 T + 1)
        x = self.conv_pre(mel.to(self.conv_pre.weight), passage)
        for n, up in enumerate(self.ups):
            x = up(leaky_relu(x, self.config.lrelu_slope), passage)
            if n == len(self.ups) - 1:
                x = mirrored_start(x, 1, (up, "mirror"), passage)
            excitation = self.source_resblocks[n](self.source_downs[n](spectrum, passage), passage)
            x, excitation = passage.together((up, "excitation"), x, excitation)
            x = x + excitation
            blocks = self.resblocks[n * self._per_stage : (n + 1) * self._per_stage]
            outputs = passage.together((up, "blocks"), *[block(x, passage) for block in blocks])
            x = torch.stack(outputs).mean(dim=0)
        return self.samples(self.conv_post(leaky_relu(x, _LAST_SLOPE), passage).float(), passage)

    def samples(self, x: Tensor, passage: Passage) -> Tensor:
        """(1, 18, frames), nine log magnitudes and nine numbers whose sine is the phase -> samples (1, m)."""
        bins = x.shape[1] // 2
        magnitude, phase = x[:, :bins].exp().clamp(max=_MAX_MAGNITUDE), x[:, bins:].sin()
        spectrum = torch.cat((magnitude * phase.cos(), magnitude * phase.sin()), dim=1)
        limit = self.config.audio_limit
        return self.stft.signal(spectrum, passage)[:, 0].clamp(-limit, limit)
