"""Bytes of a streamed speech answer in, samples out: raw PCM, or a wav file whose header came first. Pure.

Servers that are asked for `pcm` answer in 24 kHz int16 as OpenAI does, at another rate that only their header tells,
or with a wav file all the same.
"""

from __future__ import annotations

import re
import struct

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, SILENCE, Resampler
from talkover.messages import Samples

MAX_HEADER_BYTES = 65_536
"""of a wav file up to its samples"""
_RATE = re.compile(r"\brate=(\d{4,6})\b")
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_RATES_HZ = range(8_000, 192_001)


class NotSpeech(ValueError):
    """The answer is no audio that can be played while it comes; the message says what it is."""


class SpeechDecoder:
    """One answer. Feed it as the bytes come, then `finish` it."""

    def __init__(self, content_type: str) -> None:
        """`content_type`: the header of the answer. Raises NotSpeech for one that is neither PCM nor wav."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith("text/") or kind in ("application/json", "application/problem+json"):
            raise NotSpeech(f"an answer of {kind}")
        if kind in ("audio/mpeg", "audio/mp3", "audio/ogg", "audio/opus", "audio/flac", "audio/aac"):
            raise NotSpeech(f"an answer of {kind}; only pcm and wav can be spoken while they come")
        rate = _RATE.search(content_type.lower())
        self._format = _Format(int(rate[1]) if rate else OUTPUT_RATE_HZ)
        self._pending = b""
        self._in_header: bool | None = None
        """whether it is a wav file whose samples have not begun; None: not known yet"""
        self._left: int | None = None
        """bytes of samples that a wav file still announces; None: until the end"""
        self._resampler: Resampler | None = None

    def feed(self, data: bytes) -> Samples:
        """(n,) float32 at 24 kHz; may be empty. Raises NotSpeech."""
        self._pending += data
        if self._in_header is None:
            if len(self._pending) < 4:
                return SILENCE
            self._in_header = self._pending[:4] == b"RIFF"
        if self._in_header and not self._read_header():
            return SILENCE
        return self._resampled(self._samples(), last=False)

    def finish(self) -> Samples:
        """What is left; the object is used up."""
        return self._resampled(SILENCE, last=True)

    def _read_header(self) -> bool:
        """Whether the samples begin now. Chunks other than `fmt` and `data` are skipped (RIFF, 1991)."""
        position = 12
        while len(self._pending) >= position + 8:
            name, size = struct.unpack_from("<4sI", self._pending, position)
            if name == b"data":
                self._pending = self._pending[position + 8 :]
                # a header written before the end is known announces no bytes, or as many as the field can hold
                self._left = size if 0 < size < 0x7FFF_0000 else None
                self._in_header = False
                return True
            if len(self._pending) < position + 8 + size:
                break
            if name == b"fmt ":
                self._format = _Format.of(self._pending[position + 8 : position + 8 + size])
            position += 8 + size + size % 2
        if len(self._pending) > MAX_HEADER_BYTES:
            raise NotSpeech("a wav file whose samples do not begin")
        return False

    def _samples(self) -> Samples:
        frame = self._format.frame_bytes
        available = len(self._pending) if self._left is None else min(len(self._pending), self._left)
        n_bytes = available - available % frame
        data, self._pending = self._pending[:n_bytes], self._pending[n_bytes:]
        if self._left is not None:
            self._left -= n_bytes
            if self._left < frame:  # what follows the samples is no sound
                self._pending = b""
        return self._format.samples(data)

    def _resampled(self, samples: Samples, last: bool) -> Samples:
        if self._resampler is None:
            self._resampler = Resampler(self._format.rate_hz, OUTPUT_RATE_HZ)
        return self._resampler.feed(samples, last)


class _Format:
    """How samples are written."""

    def __init__(self, rate_hz: int, channels: int = 1, is_float: bool = False) -> None:
        if rate_hz not in _RATES_HZ or not 1 <= channels <= 8:
            raise NotSpeech(f"audio of {rate_hz} Hz and {channels} channels")
        self.rate_hz = rate_hz
        self.channels = channels
        self.is_float = is_float

    @property
    def frame_bytes(self) -> int:
        return self.channels * (4 if self.is_float else 2)

    @classmethod
    def of(cls, fmt: bytes) -> _Format:
        """From the `fmt` chunk of a wav file. Raises NotSpeech for what is neither int16 nor float32."""
        if len(fmt) < 16:
            raise NotSpeech("a wav file with a broken header")
        kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
        if kind == _EXTENSIBLE and len(fmt) >= 26:
            (kind,) = struct.unpack_from("<H", fmt, 24)
        if (kind, bits) not in ((_PCM, 16), (_FLOAT, 32)):
            raise NotSpeech(f"a wav file of format {kind} with {bits} bits; int16 and float32 can be spoken")
        return cls(rate_hz, channels, kind == _FLOAT)

    def samples(self, data: bytes) -> Samples:
        """(n,) float32 in [-1, 1], channels averaged, of whole frames."""
        if self.is_float:
            values = np.frombuffer(data, "<f4").astype(np.float32)
            values = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
        else:
            values = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768)
        return values.reshape(-1, self.channels).mean(axis=1, dtype=np.float32)
