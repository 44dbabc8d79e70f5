"""What is accepted as a voice, and how the rest is refused."""

import io

import numpy as np
import pytest
import soundfile

from recordings import SPEECH
from talkover.tts.voice_clip import ClipRefused, VoiceClip, clip_faults, read_clip, wav_bytes

RATE_HZ = 24_000


def tone(seconds: float, amplitude: float = 0.3, rate_hz: int = RATE_HZ):
    return (amplitude * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def file_of(samples, rate_hz: int = RATE_HZ, **options: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, **{"format": "WAV", "subtype": "PCM_16"} | options)
    return file.getvalue()


def faults_of(samples, rate_hz: int = RATE_HZ) -> str:
    with pytest.raises(ClipRefused) as refused:
        read_clip(file_of(samples, rate_hz))
    return str(refused.value)


def test_real_speech_is_accepted_and_comes_back_as_recorded() -> None:
    path = SPEECH / "what_is_talkover_slt.flac"
    samples, rate_hz = soundfile.read(path, dtype="float32")
    clip = read_clip(path.read_bytes())
    assert clip.rate_hz == rate_hz
    np.testing.assert_array_equal(clip.samples, samples)
    np.testing.assert_array_equal(read_clip(wav_bytes(clip)).samples, samples)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_other_formats_are_read(kind: str) -> None:
    subtype = {"FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}[kind]
    clip = read_clip(file_of(tone(3), format=kind, subtype=subtype))
    assert clip.duration_s == pytest.approx(3, abs=0.1)


def test_a_good_clip_has_no_faults() -> None:
    assert clip_faults(VoiceClip(tone(1.6), RATE_HZ)) == ()
    assert clip_faults(VoiceClip(tone(30), RATE_HZ)) == ()


def test_too_short_and_too_long() -> None:
    assert "at least 1.5 s long, got 1.20 s" in faults_of(tone(1.2))
    assert "at most 30 s long" in faults_of(tone(30.5))


def test_silent() -> None:
    assert "silent: 0.0 s" in faults_of(np.zeros(3 * RATE_HZ, np.float32))
    mostly_silent = np.concatenate([tone(0.5), np.zeros(3 * RATE_HZ, np.float32)])
    assert "silent: 0.5 s" in faults_of(mostly_silent)


def test_clipped() -> None:
    assert "clipped" in faults_of(np.clip(tone(3, amplitude=1.5), -1, 1))
    assert clip_faults(VoiceClip(tone(3, amplitude=0.98), RATE_HZ)) == ()


def test_stereo_and_low_rate_are_named_together() -> None:
    stereo = np.stack([tone(3, rate_hz=8000)] * 2, axis=1)
    told = faults_of(stereo, 8000)
    assert "one channel, got 2" in told
    assert "16000 to 192000 Hz, got 8000" in told


def test_every_fault_of_the_sound_is_named_at_once() -> None:
    told = faults_of(np.clip(tone(0.8, amplitude=2), -1, 1))
    assert "at least 1.5 s" in told
    assert "clipped" in told


def test_not_audio() -> None:
    with pytest.raises(ClipRefused, match="wav, flac, ogg or mp3"):
        read_clip(b"#!/bin/sh\nrm -rf /\n")
    with pytest.raises(ClipRefused, match="wav, flac, ogg or mp3"):
        read_clip(b"")


def test_size_is_refused_before_decoding() -> None:
    with pytest.raises(ClipRefused, match="at most 10 MiB"):
        read_clip(bytes(10 * 2**20 + 1))


def test_a_small_file_of_hours_is_not_unpacked() -> None:
    hour = file_of(np.zeros(16_000 * 3600, np.int16), 16_000, format="FLAC")
    assert len(hour) < 2**20
    with pytest.raises(ClipRefused, match="at most 30 s"):
        read_clip(hour)


def test_numbers_that_are_none() -> None:
    broken = tone(3)
    broken[100] = np.nan
    with pytest.raises(ClipRefused, match="not numbers"):
        read_clip(file_of(broken, subtype="FLOAT"))
