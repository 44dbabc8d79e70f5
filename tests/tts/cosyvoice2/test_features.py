"""Features against the released code's, and properties that hold for any audio."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import on_every_pack

safetensors = pytest.importorskip("safetensors.numpy", reason="needs the extra 'full'")

from talkover.tts.cosyvoice2 import features  # noqa: E402

TOLERANCE = 5e-4
RESAMPLING_TOLERANCE = 5e-6


def difference(got, wanted) -> float:
    assert got.shape == wanted.shape
    assert got.dtype == np.float32
    return float(np.abs(got - wanted).max())


@on_every_pack
def test_spectra_equal_the_released_ones(golden: Path) -> None:
    cases = safetensors.load_file(golden / "features.safetensors")
    assert difference(features.mel_spectrogram(cases["wav24k"][0]), cases["mel24k"]) < TOLERANCE
    assert difference(features.fbank(cases["wav16k"][0])[0], cases["fbank_mean_removed"]) < TOLERANCE
    assert difference(features.log_mel(cases["wav16k"][0]), cases["whisper_logmel128"]) < TOLERANCE


@on_every_pack
@pytest.mark.parametrize(("from_khz", "to_khz"), [("44k1", "24k"), ("44k1", "16k"), ("24k", "16k"), ("16k", "24k")])
def test_resampling_equals_the_released_one(golden: Path, from_khz: str, to_khz: str) -> None:
    cases = safetensors.load_file(golden / "features.safetensors")
    wanted = cases[f"resample_{from_khz}_to_{to_khz}"][0]
    rates = {"44k1": 44_100, "24k": 24_000, "16k": 16_000}
    from_hz, to_hz = rates[from_khz], rates[to_khz]
    wave = cases[f"wav{from_khz}"][0]
    # the pack does not say how much of the wave was resampled: these lengths give as many samples
    lengths = range((wanted.size - 1) * from_hz // to_hz + 1, wanted.size * from_hz // to_hz + 1)
    found = [difference(features.resample(wave[:length], from_hz, to_hz), wanted) for length in lengths]
    assert min(found) < RESAMPLING_TOLERANCE


@on_every_pack
def test_a_clip_is_heard_as_the_released_code_hears_it(golden: Path) -> None:
    cases = safetensors.load_file(golden / "frontend_cases.safetensors")
    clip, rate_hz = soundfile.read(golden / "model_dir" / "prompt.wav", dtype="float32")
    wanted = cases["intermediate.prompt_16k"][0]
    assert difference(features.resample(clip, rate_hz, 16_000), wanted) < RESAMPLING_TOLERANCE
    at_24k = features.resample(clip, rate_hz, 24_000)
    assert difference(features.mel_spectrogram(at_24k), cases["intermediate.mel_untrimmed"]) < TOLERANCE


@settings(deadline=None)
@given(n=st.integers(1, 3000), rates=st.sampled_from([(16_000, 24_000), (24_000, 16_000), (48_000, 16_000)]))
def test_resampled_length_is_that_of_the_same_duration(n: int, rates: tuple[int, int]) -> None:
    from_hz, to_hz = rates
    got = features.resample(np.ones(n, np.float32), from_hz, to_hz)
    assert got.size == -(-n * to_hz // from_hz)


def test_a_tone_stays_that_tone_at_another_rate() -> None:
    seconds = np.arange(22_050) / 44_100
    got = features.resample(np.sin(2 * np.pi * 1000 * seconds).astype(np.float32), 44_100, 24_000)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(12_000) / 24_000)
    assert np.abs(got - wanted)[200:-200].max() < 2e-3


@pytest.mark.parametrize(
    ("feature", "n_samples"), [(features.mel_spectrogram, 720), (features.fbank, 399), (features.log_mel, 200)]
)
def test_too_little_audio_is_refused(feature, n_samples: int) -> None:
    with pytest.raises(ValueError, match=str(n_samples)):
        feature(np.zeros(n_samples, np.float32))
    assert np.isfinite(feature(np.zeros(n_samples + 1, np.float32))).all()
