"""Formats, G.711, streaming resampling and chunking. Streaming must equal the whole, wherever it is cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkover.audio import (
    OUTPUT_RATE_HZ,
    AudioFormat,
    Chunker,
    Encoding,
    Resampler,
    WireDecoder,
    WireEncoder,
    decode,
    encode,
    level_dbfs,
    ms_to_samples,
    pcm16_to_samples,
    samples_to_ms,
    samples_to_pcm16,
)


def int16(data: bytes, encoding: Encoding) -> list[int]:
    return [round(float(value) * 32768) for value in decode(data, encoding)]


def tone(n_samples: int, rate_hz: int, frequency_hz: float = 440) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(n_samples) / rate_hz)).astype(np.float32)


# Values of ITU-T G.711, scaled to 16 bit, as another implementation (CPython's audioop) gives them.
@pytest.mark.parametrize(
    ("code", "value"),
    [
        (0xFF, 0),
        (0x7F, 0),
        (0x80, 32124),
        (0x00, -32124),
        (0xFE, 8),
        (0x7E, -8),
        (0xF0, 120),
        (0xEF, 132),
        (0xBF, 1980),
    ],
)
def test_mulaw_decodes_to_the_values_of_g711(code: int, value: int) -> None:
    assert int16(bytes([code]), "pcmu") == [value]


@pytest.mark.parametrize(
    ("code", "value"), [(0xD5, 8), (0x55, -8), (0xAA, 32256), (0x2A, -32256), (0xD4, 24), (0x80, 5504), (0x95, 2112)]
)
def test_alaw_decodes_to_the_values_of_g711(code: int, value: int) -> None:
    assert int16(bytes([code]), "pcma") == [value]


@pytest.mark.parametrize(("encoding", "silence"), [("pcmu", 0xFF), ("pcma", 0xD5)])
def test_silence_is_the_code_telephones_expect(encoding: Encoding, silence: int) -> None:
    assert encode(np.zeros(3, np.float32), encoding) == bytes([silence] * 3)


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_every_g711_code_survives_a_round_trip(encoding: Encoding) -> None:
    codes = bytes(range(256))
    again = encode(decode(codes, encoding), encoding)
    # Two mu-law codes mean zero; one of them is sent.
    differing = [(code, back) for code, back in zip(codes, again, strict=True) if code != back]
    assert differing == ([(0x7F, 0xFF)] if encoding == "pcmu" else [])


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_keeps_a_voice_within_its_quantisation_noise(encoding: Encoding) -> None:
    speech = tone(8000, 8000, 300)
    noise = decode(encode(speech, encoding), encoding) - speech
    signal_to_noise_db = level_dbfs(speech) - level_dbfs(noise)
    assert 35 < signal_to_noise_db < 45


def test_pcm_is_clipped_and_not_a_number_is_silence() -> None:
    wild = np.array([2.0, -2.0, np.nan, np.inf, -np.inf, 0.5], np.float32)
    assert np.frombuffer(samples_to_pcm16(wild), "<i2").tolist() == [32767, -32768, 0, 32767, -32768, 16384]


def test_pcm_round_trip_is_exact() -> None:
    values = np.arange(-32768, 32768, dtype="<i2").tobytes()
    assert samples_to_pcm16(pcm16_to_samples(values)) == values


def test_levels_and_durations() -> None:
    assert level_dbfs(np.zeros(0, np.float32)) == -120
    assert level_dbfs(np.zeros(10, np.float32)) == -120
    assert level_dbfs(np.ones(10, np.float32)) == pytest.approx(0)
    assert level_dbfs(tone(24000, 24000)) == pytest.approx(-9.03, abs=0.01)
    assert samples_to_ms(ms_to_samples(125, 24000), 24000) == 125
    assert AudioFormat("pcm", 24000).duration_ms(48000) == 1000
    assert AudioFormat("pcmu", 8000).duration_ms(8000) == 1000


FORMATS = [AudioFormat("pcm", 24000), AudioFormat("pcm", 16000), AudioFormat("pcmu", 8000), AudioFormat("pcma", 8000)]


@settings(max_examples=60, deadline=None)
@given(
    audio_format=st.sampled_from(FORMATS),
    cuts=st.lists(st.integers(0, 9600), max_size=12),
    odd=st.booleans(),
)
def test_wire_audio_cut_anywhere_decodes_like_the_whole(audio_format: AudioFormat, cuts: list[int], odd: bool) -> None:
    data = encode(tone(4800, audio_format.rate_hz), audio_format.encoding) + b"\x01" * odd
    borders = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    decoder, whole_decoder = WireDecoder(audio_format), WireDecoder(audio_format)
    pieces = [decoder.feed(data[start:end]) for start, end in pairwise(borders)]
    together = np.concatenate([*pieces, decoder.flush()])
    whole = np.concatenate([whole_decoder.feed(data), whole_decoder.flush()])
    np.testing.assert_allclose(together, whole, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    rates=st.sampled_from([(24000, 16000), (8000, 16000), (48000, 16000), (24000, 8000), (22050, 24000)]),
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=10),
)
def test_streaming_resampler_equals_one_shot(rates: tuple[int, int], sizes: list[int]) -> None:
    samples = tone(sum(sizes), rates[0])
    borders = np.cumsum([0, *sizes])
    streaming = Resampler(*rates)
    pieces = [streaming.feed(samples[a:b]) for a, b in pairwise(borders)]
    pieces.append(streaming.feed(samples[:0], last=True))
    together = np.concatenate(pieces)
    whole = Resampler(*rates).feed(samples, last=True)
    assert abs(together.size - whole.size) <= 1
    assert abs(together.size - samples.size * rates[1] / rates[0]) <= 1
    n = min(together.size, whole.size)
    np.testing.assert_allclose(together[:n], whole[:n], atol=1e-5)


def test_resampling_keeps_pitch_and_level() -> None:
    resampled = Resampler(24000, 16000).feed(tone(24000, 24000, 1000), last=True)
    spectrum = np.abs(np.fft.rfft(resampled))
    assert np.argmax(spectrum) * 16000 / resampled.size == pytest.approx(1000, abs=1)
    assert level_dbfs(resampled[800:-800]) == pytest.approx(-9.03, abs=0.05)


def test_same_rate_passes_through_untouched() -> None:
    samples = tone(100, 16000)
    assert Resampler(16000, 16000).feed(samples) is samples


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(0, 1500), max_size=12), size=st.integers(1, 700))
def test_chunker_loses_and_reorders_nothing(sizes: list[int], size: int) -> None:
    samples = np.arange(sum(sizes), dtype=np.float32)
    borders = np.cumsum([0, *sizes])
    chunker = Chunker(size)
    chunks = [chunk for a, b in pairwise(borders) for chunk in chunker.feed(samples[a:b])]
    assert all(chunk.shape == (size,) for chunk in chunks)
    assert chunker.pending.size < size
    np.testing.assert_array_equal(np.concatenate([*chunks, chunker.pending]), samples)
    chunker.reset()
    assert chunker.pending.size == 0


def test_chunker_does_not_keep_a_view_of_what_the_caller_reuses() -> None:
    buffer = np.ones(3, np.float32)
    chunker = Chunker(4)
    chunker.feed(buffer)
    buffer[:] = 0
    assert chunker.feed(np.zeros(1, np.float32))[0].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("audio_format", FORMATS, ids=str)
def test_encoded_response_has_the_duration_of_its_samples(audio_format: AudioFormat) -> None:
    encoder = WireEncoder(audio_format)
    second = tone(OUTPUT_RATE_HZ, OUTPUT_RATE_HZ)
    data = b"".join(encoder.feed(chunk) for chunk in np.split(second, 10)) + encoder.flush()
    assert audio_format.duration_ms(len(data)) == pytest.approx(1000, abs=0.2)
