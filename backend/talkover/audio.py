"""Constants of the audio that flows here, PCM and G.711, streaming resampling, and fixed-size chunking."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import samplerate
from numpy.typing import NDArray

from talkover.messages import AudioFormat, Encoding, Samples

INPUT_RATE_HZ = 16_000
"""what VAD and ASR hear"""
OUTPUT_RATE_HZ = 24_000
"""what the TTS speaks"""
VAD_FRAME_SAMPLES = 512
"""Silero's frame at 16 kHz: 32 ms"""

AUDIBLE = 10 ** (-50 / 20)
"""amplitude from which a sample counts as sound: -50 dB under full scale"""

SILENCE: Samples = np.zeros(0, np.float32)


def samples_to_ms(n_samples: int, rate_hz: int) -> float:
    return n_samples * 1000 / rate_hz


def ms_to_samples(duration_ms: float, rate_hz: int) -> int:
    return round(duration_ms * rate_hz / 1000)


def level_dbfs(samples: Samples) -> float:
    """RMS level in dB relative to full scale; -120 for silence and for no samples."""
    if samples.size == 0:
        return -120.0
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(-120.0, 10 * math.log10(power)) if power > 0 else -120.0


def silent_head(samples: Samples) -> int:
    """How many of (n,) samples come before the first that can be heard; n when none can."""
    loud = np.flatnonzero(np.abs(samples) >= AUDIBLE)
    return int(loud[0]) if loud.size else samples.size


# ------------------------------------------------------------------------------------------------- PCM and G.711


def pcm16_to_samples(data: bytes) -> Samples:
    """(n,) float32 in [-1, 1) from little-endian int16; the length must be even."""
    return (np.frombuffer(data, "<i2") / np.float32(32768)).astype(np.float32)


def samples_to_pcm16(samples: Samples) -> bytes:
    """Little-endian int16, clipped; NaN becomes silence."""
    scaled = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0) * 32768
    return np.clip(np.rint(scaled), -32768, 32767).astype("<i2").tobytes()


def _mulaw_table() -> Samples:
    """G.711 mu-law decoding (ITU-T G.711 table 2a): inverted bits; segment and step of an 8-bit code."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.asarray(np.where(code & 0x80, -magnitude, magnitude) / 32768, np.float32)


def _alaw_table() -> Samples:
    """G.711 A-law decoding (ITU-T G.711 table 1a): even bits inverted; segment and step of an 8-bit code."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, step, step + 0x100 << np.maximum(segment - 1, 0))
    return np.asarray(np.where(code & 0x80, magnitude, -magnitude) / 32768, np.float32)


def _encoding_table(decoded: Samples) -> NDArray[np.uint8]:
    """Nearest G.711 code for each of the 65536 int16 values, indexed by value + 32768."""
    levels = np.rint(decoded * 32768).astype(np.int32)
    order = np.argsort(levels, kind="stable")
    borders = (levels[order][1:] + levels[order][:-1]) / 2
    return order[np.searchsorted(borders, np.arange(-32768, 32768))].astype(np.uint8)


_DECODE: dict[Encoding, Samples] = {"pcmu": _mulaw_table(), "pcma": _alaw_table()}
_ENCODE: dict[Encoding, NDArray[np.uint8]] = {name: _encoding_table(table) for name, table in _DECODE.items()}
_ENCODE["pcmu"][32768] = 0xFF  # two codes are equally near to zero; these are the silence of the wire
_ENCODE["pcma"][32768] = 0xD5


def decode(data: bytes, encoding: Encoding) -> Samples:
    """(n,) float32 from wire bytes that end on a sample border."""
    if encoding == "pcm":
        return pcm16_to_samples(data)
    return _DECODE[encoding][np.frombuffer(data, np.uint8)]


def encode(samples: Samples, encoding: Encoding) -> bytes:
    """Wire bytes of (n,) float32."""
    if encoding == "pcm":
        return samples_to_pcm16(samples)
    values = np.frombuffer(samples_to_pcm16(samples), "<i2").astype(np.int32)
    return _ENCODE[encoding][values + 32768].tobytes()


# ------------------------------------------------------------------------------------------------------ streaming


class Resampler:
    """Stateful mono resampler (libsamplerate): chunks in, chunks out, equal to the one-shot result.

    It holds back 1 to 3 ms of audio, whatever the size of the chunks. soxr, better known, works in blocks of its own:
    it held back 22 ms on average from 24 to 16 kHz and 62 ms from 8 to 16 kHz, all of which a listener waits for.
    """

    FLUSH_S = 0.02
    """silence that pushes the last samples out of the filter"""

    def __init__(
        self, from_hz: int, to_hz: int, quality: Literal["sinc_fastest", "sinc_medium"] = "sinc_medium"
    ) -> None:
        self.from_hz, self.to_hz = from_hz, to_hz
        self._stream = None if from_hz == to_hz else samplerate.Resampler(quality, channels=1)
        self._fed = self._made = 0

    def feed(self, samples: Samples, last: bool = False) -> Samples:
        """(m,) float32; `last` flushes what the filter still holds, after which the object is used up."""
        if self._stream is None:
            return samples
        self._fed += samples.size
        if last:
            samples = np.concatenate([samples, np.zeros(round(self.from_hz * self.FLUSH_S), np.float32)])
        made = np.asarray(self._stream.process(samples, self.to_hz / self.from_hz), np.float32)
        if last:
            made = made[: max(0, round(self._fed * self.to_hz / self.from_hz) - self._made)]
        self._made += made.size
        return made


def resampled(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """(m,) float32: all of a recording at another rate."""
    return Resampler(from_hz, to_hz).feed(samples, last=True)


class Chunker:
    """Cuts a stream of any pieces into chunks of exactly `size` samples, keeping the rest for next time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._rest = SILENCE

    def feed(self, samples: Samples) -> list[Samples]:
        joined = np.concatenate([self._rest, samples]) if self._rest.size else samples
        whole = joined.size - joined.size % self.size
        self._rest = joined[whole:].copy()
        return [joined[i : i + self.size] for i in range(0, whole, self.size)]

    @property
    def pending(self) -> Samples:
        """What has not filled a chunk yet."""
        return self._rest

    def reset(self) -> None:
        self._rest = SILENCE


class WireDecoder:
    """Wire bytes of one format, cut anywhere, to float32 at the input rate; keeps odd bytes and the filter's state."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self._odd = b""
        self._resampler = Resampler(audio_format.rate_hz, INPUT_RATE_HZ, "sinc_fastest")

    def feed(self, data: bytes) -> Samples:
        data = self._odd + data
        whole = len(data) - len(data) % self.format.bytes_per_sample
        self._odd = data[whole:]
        return self._resampler.feed(decode(data[:whole], self.format.encoding))

    def flush(self) -> Samples:
        """What the resampler still holds; the object is used up."""
        return self._resampler.feed(SILENCE, last=True)


class WireEncoder:
    """float32 at the output rate to wire bytes of one format; one object per response."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self._resampler = Resampler(OUTPUT_RATE_HZ, audio_format.rate_hz)

    def feed(self, samples: Samples) -> bytes:
        return encode(self._resampler.feed(samples), self.format.encoding)

    def flush(self) -> bytes:
        """What the resampler still holds; the object is used up."""
        return encode(self._resampler.feed(SILENCE, last=True), self.format.encoding)
