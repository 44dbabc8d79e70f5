"""Encoding while speech is being made, checked by decoding it with other programs' rules, and reading uploads."""

import io
import wave

import numpy as np
import pytest
import soundfile

from talkover.audio import level_dbfs, pcm16_to_samples
from talkover.rest.audio_files import (
    CONTENT_TYPES,
    AudioTooLong,
    FileFormat,
    StreamEncoder,
    UnreadableAudio,
    read_audio,
    wav_header,
)

FORMATS: list[FileFormat] = ["wav", "pcm", "flac", "opus", "mp3"]


def melody(seconds: float, rate_hz: int = 24000) -> np.ndarray:
    """A tone that falls from 600 to 300 Hz and swells, so that misplaced audio shows."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * (600 * time_s - 150 / seconds * time_s**2)
    return (0.5 * np.sin(phase) * np.linspace(0.2, 1, time_s.size)).astype(np.float32)


def encoded(samples: np.ndarray, file_format: FileFormat, chunk: int = 1920) -> list[bytes]:
    encoder = StreamEncoder(file_format)
    pieces = [encoder.feed(samples[start : start + chunk]) for start in range(0, samples.size, chunk)]
    return [*pieces, encoder.finish()]


def decoded(data: bytes, file_format: FileFormat) -> np.ndarray:
    if file_format == "pcm":
        return pcm16_to_samples(data)
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32")
    assert (rate_hz, samples.ndim) == (24000, 1)
    return samples


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_stream_decodes_to_what_went_in(file_format: FileFormat) -> None:
    samples = melody(3)
    heard = decoded(b"".join(encoded(samples, file_format)), file_format)
    assert abs(heard.size - samples.size) <= 2400  # mp3 pads to whole frames
    # Lossy codecs shift by their delay and change the wave: compare where the energy lies.
    lag = int(np.argmax(np.correlate(heard[20000:30000], samples[22000:28000], "valid"))) - 2000
    n = min(heard.size, samples.size) - abs(lag)
    difference = heard[max(lag, 0) :][:n] - samples[max(-lag, 0) :][:n]
    assert level_dbfs(difference[2000:-2000]) < level_dbfs(samples) - 20


@pytest.mark.parametrize(("file_format", "seconds"), [("wav", 0.05), ("pcm", 0.05), ("mp3", 0.2), ("opus", 2.2)])
def test_audio_leaves_before_the_end_is_known(file_format: FileFormat, seconds: float) -> None:
    samples = melody(seconds)
    pieces = encoded(samples, file_format, chunk=480)
    early = b"".join(pieces[:-1])
    assert decoded(early, file_format).size > samples.size // 3


def test_flac_comes_whole_because_its_readers_need_the_length() -> None:
    *early, whole = encoded(melody(1), "flac")
    assert not any(early)
    with soundfile.SoundFile(io.BytesIO(whole)) as file:
        assert file.frames == 24000


def test_an_abandoned_encoder_is_let_go() -> None:
    encoder = StreamEncoder("mp3")
    encoder.feed(melody(0.2))
    encoder.close()
    encoder.close()


@pytest.mark.parametrize("file_format", FORMATS)
def test_no_audio_is_no_error(file_format: FileFormat) -> None:
    assert isinstance(b"".join(encoded(np.zeros(0, np.float32), file_format)), bytes)


def test_every_format_has_a_content_type() -> None:
    assert set(CONTENT_TYPES) == set(FORMATS)


def test_streamed_wav_is_read_by_the_standard_library() -> None:
    data = b"".join(encoded(melody(0.5), "wav"))
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.readframes(24000) == data[44:]


def test_wav_header_of_known_length_is_exact() -> None:
    samples = melody(0.25)
    data = wav_header(24000, samples.size * 2) + b"\0" * samples.size * 2
    with wave.open(io.BytesIO(data)) as file:
        assert file.getnframes() == samples.size


def as_file(samples: np.ndarray, rate_hz: int, container: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=container, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("rate_hz", "container", "subtype"),
    [
        (16000, "WAV", "PCM_16"),
        (44100, "WAV", "FLOAT"),
        (8000, "WAV", "ULAW"),
        (48000, "FLAC", None),
        (48000, "OGG", "OPUS"),
        (22050, "OGG", "VORBIS"),
        (44100, "MP3", None),
    ],
)
def test_uploads_of_every_kind_arrive_at_16_khz(rate_hz: int, container: str, subtype: str | None) -> None:
    heard = read_audio(as_file(melody(2, rate_hz), rate_hz, container, subtype), max_duration_s=10)
    assert heard.dtype == np.float32
    assert heard.size == pytest.approx(32000, abs=1600)
    first = np.abs(np.fft.rfft(heard[3200:6400]))
    last = np.abs(np.fft.rfft(heard[25600:28800]))
    assert np.argmax(first) * 5 == pytest.approx(555, abs=25)
    assert np.argmax(last) * 5 == pytest.approx(345, abs=25)


def test_channels_are_averaged() -> None:
    voice = melody(1, 16000)
    heard = read_audio(as_file(np.stack([voice, 0 * voice], axis=1), 16000, "WAV", "FLOAT"), max_duration_s=10)
    np.testing.assert_allclose(heard, voice / 2, atol=1e-6)


def test_wild_floats_become_audio() -> None:
    wild = np.array([np.nan, np.inf, -np.inf, 0.5] * 400, np.float32)
    heard = read_audio(as_file(wild, 16000, "WAV", "FLOAT"), max_duration_s=10)
    assert np.all(np.isfinite(heard))


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not audio at all", b"\x1aE\xdf\xa3" + bytes(100)])
def test_unreadable_uploads_are_named(data: bytes) -> None:
    with pytest.raises(UnreadableAudio, match="wav, flac, ogg or mp3"):
        read_audio(data, max_duration_s=10)


def test_a_small_file_that_unpacks_to_hours_stops_at_the_limit() -> None:
    bomb = as_file(np.zeros(8000 * 3600, np.int16), 8000, "FLAC")
    assert len(bomb) < 2**20
    with pytest.raises(AudioTooLong, match="at most 10 s"):
        read_audio(bomb, max_duration_s=10)
