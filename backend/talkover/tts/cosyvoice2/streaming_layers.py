"""Layers that take a signal piece by piece and give what they would give for the whole, as soon as it is determined.

A layer with a window of its input waits until the window is filled: what it still needs of its input is kept in the
`Passage` of that signal, and its output lags behind. At the end of the signal it pads as a layer over the whole would.
So one piece that is the first and the last is the plain layer, and however a signal is cut, the outputs put together
are the same. Signals are (B, C, T); a piece may have no frames, and the output of a layer may have none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, pad


class Passage:
    """What the layers keep of one signal between two pieces of it."""

    def __init__(self, kept: dict[object, Tensor] | None = None) -> None:
        self.kept = {} if kept is None else kept
        """by the layer or a pair of layer and index; tensors in here are replaced, never written to"""
        self.last = False
        """whether the piece now on its way is the last one"""

    def copy(self) -> Passage:
        return Passage(dict(self.kept))

    def swap(self, key: object, keep: Tensor) -> None:
        # a slice would hold on to the whole piece
        self.kept[key] = keep.clone()

    def together(self, key: object, *signals: Tensor) -> tuple[Tensor, ...]:
        """Signals of different lag, cut to what all have; the rest waits."""
        waiting = [self._after_kept((key, index), signal) for index, signal in enumerate(signals)]
        ready = min(signal.shape[2] for signal in waiting)
        for index, signal in enumerate(waiting):
            self.swap((key, index), signal[:, :, ready:])
        return tuple(signal[:, :, :ready] for signal in waiting)

    def _after_kept(self, key: object, signal: Tensor) -> Tensor:
        kept = self.kept.get(key)
        return signal if kept is None or not kept.shape[2] else torch.cat((kept, signal), dim=2)


class StreamedConv(nn.Module):
    """A convolution padded with zeros on both sides."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, padding: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel) / math.sqrt(kernel * n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self._padding, self._stride, self._dilation = padding, stride, dilation
        self._span = (kernel - 1) * dilation + 1

    def forward(self, x: Tensor, passage: Passage) -> Tensor:
        kept = passage.kept.get(self)
        x = pad(x, (self._padding, 0)) if kept is None else torch.cat((kept, x), dim=2)
        if passage.last:
            x = pad(x, (0, self._padding))
        n = max(0, (x.shape[2] - self._span) // self._stride + 1)
        passage.swap(self, x[:, :, n * self._stride :])
        if n == 0:
            return x.new_empty(x.shape[0], self.weight.shape[0], 0)
        return conv1d(x, self.weight, self.bias, stride=self._stride, dilation=self._dilation)


class StreamedTransposedConv(nn.Module):
    """A transposed convolution that gives `stride` frames for each: `padding` are cut off on both sides."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out, kernel) / math.sqrt(n_in * kernel / stride))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self._stride = stride
        self._padding = (kernel - stride) // 2

    def forward(self, x: Tensor, passage: Passage) -> Tensor:
        y = overlap_add(x, self.weight, self._stride, self, passage)
        y = without_first(y, self._padding, (self, "cut"), passage)
        if passage.last:
            y = y[:, :, : y.shape[2] - self._padding]
        return y + self.bias[:, None]


def overlap_add(x: Tensor, weight: Tensor, stride: int, key: object, passage: Passage) -> Tensor:
    """(B, C_in, T) through weight (C_in, C_out, kernel): stride * T frames now, and kernel - stride more at the end."""
    overlap = weight.shape[2] - stride
    carried = passage.kept.get(key)
    if carried is None:
        carried = x.new_zeros(x.shape[0], weight.shape[1], overlap)
    if x.shape[2]:
        y = conv_transpose1d(x, weight, stride=stride)  # (B, C_out, stride * T + overlap)
        y[:, :, :overlap] += carried
    else:
        y = carried
    if passage.last:
        return y
    passage.swap(key, y[:, :, y.shape[2] - overlap :])
    return y[:, :, : y.shape[2] - overlap]


def without_first(x: Tensor, n: int, key: object, passage: Passage) -> Tensor:
    """The signal without its first `n` frames."""
    left = passage.kept.get(key)
    to_cut = n if left is None else left.shape[2]
    passage.kept[key] = x.new_empty(1, 1, max(0, to_cut - x.shape[2]))
    return x[:, :, to_cut:]


def mirrored_start(x: Tensor, n: int, key: object, passage: Passage) -> Tensor:
    """The signal with frames n .. 1 in front of frame 0."""
    begun = (key, "begun")
    if begun in passage.kept:
        return x
    kept = passage.kept.get(key)
    x = x if kept is None else torch.cat((kept, x), dim=2)
    if x.shape[2] <= n:
        passage.swap(key, x)
        return x[:, :, :0]
    passage.kept[begun] = x[:, :, :0]
    return torch.cat((x[:, :, 1 : n + 1].flip(2), x), dim=2)


def fused_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with gain and direction of normalised weights put together: g * v / |v|.

    The norm runs over all dimensions but the first. Both names under which torch has stored the pair are known.
    """
    fused = dict(state)
    for name in state:
        for gain, direction in (
            ("parametrizations.weight.original0", "parametrizations.weight.original1"),
            ("weight_g", "weight_v"),
        ):
            if name.endswith("." + gain) and (pair := name.removesuffix(gain) + direction) in state:
                g, v = fused.pop(name).float(), fused.pop(pair).float()
                norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
                fused[name.removesuffix(gain) + "weight"] = g * v / norm
    return fused
