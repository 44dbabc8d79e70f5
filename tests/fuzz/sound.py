"""Audio from outside: files of every container, and the samples of the wire."""

from __future__ import annotations

import contextlib

import numpy as np

from fuzz.harness import Fuzzer
from fuzz.mutation import mutated_ogg
from talkover.audio import INPUT_RATE_HZ, AudioFormat, Chunker, Encoding, WireDecoder, WireEncoder, decode, encode
from talkover.rest.audio_files import AudioTooLong, UnreadableAudio, read_audio
from talkover.tts.voice_clip import MAX_CLIP_S, MAX_RATE_HZ, MIN_RATE_HZ, ClipRefused, read_clip, wav_bytes

_MAX_DURATION_S = 5.0
_FORMATS: tuple[tuple[Encoding, int], ...] = (
    *(("pcmu", 8000), ("pcma", 8000), ("pcm", 24_000), ("pcm", 8000), ("pcm", 16_000), ("pcm", 48_000)),
)


def fuzz_audio_containers(data: bytes) -> None:
    """An upload: for transcription, and as a voice."""
    with contextlib.suppress(UnreadableAudio, AudioTooLong):
        samples = read_audio(data, _MAX_DURATION_S)
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert np.isfinite(samples).all()
        assert samples.size <= (_MAX_DURATION_S + 0.1) * INPUT_RATE_HZ
    with contextlib.suppress(ClipRefused):
        clip = read_clip(data)
        assert clip.samples.ndim == 1
        assert MIN_RATE_HZ <= clip.rate_hz <= MAX_RATE_HZ
        assert clip.duration_s <= MAX_CLIP_S
        assert read_clip(wav_bytes(clip)).rate_hz == clip.rate_hz


def fuzz_wire_audio(data: bytes) -> None:
    """The first byte names the format, the second how the rest is cut: the cuts change nothing."""
    if len(data) < 2:
        return
    encoding, rate_hz = _FORMATS[data[0] % len(_FORMATS)]
    size, payload = data[1] + 1, data[2:]
    audio_format = AudioFormat(encoding, rate_hz)
    whole = payload[: len(payload) - len(payload) % audio_format.bytes_per_sample]
    samples = decode(whole, encoding)
    assert samples.dtype == np.float32
    assert np.abs(samples).max(initial=0.0) <= 1
    if encoding != "pcmu" or b"\x7f" not in whole:  # mu-law has two codes for zero
        assert encode(samples, encoding) == whole
    pieces = WireDecoder(audio_format)
    cut = [pieces.feed(payload[at : at + size]) for at in range(0, len(payload), size)]
    heard = np.concatenate([*cut, pieces.flush()])
    at_once = WireDecoder(audio_format)
    expected = np.concatenate([at_once.feed(payload), at_once.flush()])
    np.testing.assert_allclose(heard, expected, atol=1e-4)
    assert abs(heard.size - samples.size * INPUT_RATE_HZ / rate_hz) <= 2
    chunker = Chunker(size)
    assert all(chunk.size == size for piece in cut for chunk in chunker.feed(piece))
    encoder = WireEncoder(audio_format)
    assert len(encoder.feed(heard) + encoder.flush()) % audio_format.bytes_per_sample == 0


FUZZERS = (
    Fuzzer("audio_containers", fuzz_audio_containers, 32_768, mutated_ogg),
    Fuzzer("wire_audio", fuzz_wire_audio, 1024),
)
