"""Audio as files: encoding speech while it is still being made, and reading what a client uploads."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import soundfile

from talkover.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, Resampler, samples_to_pcm16
from talkover.messages import Samples

FileFormat = Literal["wav", "pcm", "flac", "opus", "mp3"]

CONTENT_TYPES: dict[FileFormat, str] = {
    "wav": "audio/wav",
    "pcm": f"audio/pcm;rate={OUTPUT_RATE_HZ};encoding=signed-int;bits=16",
    "flac": "audio/flac",
    "opus": "audio/ogg;codecs=opus",
    "mp3": "audio/mpeg",
}

_CONTAINERS: dict[FileFormat, dict[str, Any]] = {
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    # Constant bit rate (80 kbit/s): with a variable one players need the index frame, which is only known at the end.
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.5},
}

_UNKNOWN_SIZE = 0xFFFFFFFF  # what players take for "until the end of the stream"
_READ_SAMPLES = 65_536
"""at a time, of all channels together: there may be 1024"""
READABLE_RATES_HZ = range(1_000, 384_001)
"""a header may claim anything; beyond a factor of 256 there is no resampling, and below 1 kHz no speech"""


class UnreadableAudio(ValueError):
    """The upload is no audio this server can read; the message says what it can."""


class AudioTooLong(ValueError):
    """The upload is longer than the limit."""


def wav_header(rate_hz: int, n_bytes: int | None = None) -> bytes:
    """The 44 bytes in front of mono int16; without `n_bytes` the sizes say that the end is not known yet."""
    data_size = _UNKNOWN_SIZE if n_bytes is None else n_bytes
    riff_size = _UNKNOWN_SIZE if n_bytes is None else n_bytes + 36
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff_size, b"WAVE", b"fmt ", 16, 1, 1),
        *(rate_hz, rate_hz * 2, 2, 16, b"data", data_size),
    )


class _ForwardOnly(io.RawIOBase):
    """A file libsndfile may seek in, of which only appended bytes are kept.

    The encoder of mp3 goes back at the end to complete its first frame, an index. That frame has left by then, empty,
    and plays as 24 ms of silence.
    """

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self._size = 0
        self._fresh = bytearray()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        block = bytes(memoryview(data))  # type: ignore[arg-type]  # any buffer; typeshed's Buffer needs Python 3.12
        new = self._position + len(block) - self._size
        if new > 0:
            self._fresh += block[len(block) - new :]
            self._size += new
        self._position += len(block)
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        """What was appended since the last call."""
        fresh = bytes(self._fresh)
        self._fresh.clear()
        return fresh


class StreamEncoder:
    """24 kHz speech in, bytes of one file format out, as early as the format allows.

    wav and pcm give every sample at once, mp3 frames of 24 ms, Ogg pages of one second. flac comes whole at the end:
    its readers (libsndfile among them) need the length that stands in its first bytes.
    """

    def __init__(self, file_format: FileFormat) -> None:
        self.file_format: FileFormat = file_format
        self._started = False
        self._sink: _ForwardOnly | io.BytesIO = io.BytesIO() if file_format == "flac" else _ForwardOnly()
        self._file: soundfile.SoundFile | None = None
        container = _CONTAINERS.get(file_format)
        if container is not None:
            sink = cast(BinaryIO, self._sink)
            self._file = soundfile.SoundFile(sink, "w", samplerate=OUTPUT_RATE_HZ, channels=1, **container)

    def feed(self, samples: Samples) -> bytes:
        """Bytes that are ready after (n,) float32 more; may be empty."""
        if self._file is not None:
            self._file.write(np.clip(samples, -1, 1))
            return b"" if isinstance(self._sink, io.BytesIO) else self._sink.take()
        head = b"" if self._started or self.file_format != "wav" else wav_header(OUTPUT_RATE_HZ)
        self._started = True
        return head + samples_to_pcm16(samples)

    def finish(self) -> bytes:
        """The last bytes; the object is used up."""
        if self._file is not None:
            self._file.close()
            return self._sink.getvalue() if isinstance(self._sink, io.BytesIO) else self._sink.take()
        return b"" if self._started else self.feed(np.zeros(0, np.float32))

    def close(self) -> None:
        """Let go of the encoder, also before the end."""
        if self._file is not None:
            self._file.close()


def read_audio(data: bytes, max_duration_s: float) -> Samples:
    """(n,) float32 at 16 kHz, mono, from the bytes of a wav, flac, ogg or mp3 file.

    Decoded in blocks, so that a small file that unpacks to hours costs no more than the limit. Raises UnreadableAudio
    and AudioTooLong.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.samplerate not in READABLE_RATES_HZ:
                least, most = READABLE_RATES_HZ[0], READABLE_RATES_HZ[-1]
                raise UnreadableAudio(f"the sample rate must be {least} to {most} Hz, got {file.samplerate}")
            resampler = Resampler(file.samplerate, INPUT_RATE_HZ)
            pieces: list[Samples] = []
            seconds = 0.0
            for block in _blocks(file):
                seconds += len(block) / file.samplerate
                if seconds > max_duration_s:
                    raise AudioTooLong(f"the audio must be at most {max_duration_s:.0f} s long")
                pieces.append(resampler.feed(block))
            pieces.append(resampler.feed(np.zeros(0, np.float32), last=True))
            return np.nan_to_num(np.concatenate(pieces), nan=0.0, posinf=1.0, neginf=-1.0)
    except soundfile.SoundFileError as error:
        raise UnreadableAudio("the file is not audio this server can read: wav, flac, ogg or mp3") from error


def _blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    """(n,) float32 at a time, channels averaged."""
    n_frames = max(1, _READ_SAMPLES // file.channels)
    while True:
        block = file.read(n_frames, dtype="float32", always_2d=True)
        if len(block) == 0:
            return
        yield np.asarray(block.mean(axis=1), np.float32)
