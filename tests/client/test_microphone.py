"""The virtual microphone's room, and the recordings that are spoken in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkover.audio import OUTPUT_RATE_HZ, level_dbfs
from talkover.client.microphone import ROOM_DBFS, Room
from talkover.client.recordings import read_recording, recording, sounding_spans
from talkover.messages import Samples


def noise(duration_ms: float, amplitude: float, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    rng = np.random.default_rng(1)
    return rng.uniform(-amplitude, amplitude, round(duration_ms * rate_hz / 1000)).astype(np.float32)


def clip(before_ms: float, sound_ms: float, after_ms: float, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    quiet = 1e-4
    parts = [noise(before_ms, quiet, rate_hz), noise(sound_ms, 0.5, rate_hz), noise(after_ms, quiet, rate_hz)]
    return np.concatenate(parts)


def test_a_room_is_never_quite_silent():
    assert level_dbfs(Room().samples(0, OUTPUT_RATE_HZ)) == pytest.approx(ROOM_DBFS, abs=0.2)


def test_what_is_said_appears_where_it_was_put():
    room = Room(level_dbfs=-200)
    said = room.say(recording("x", clip(100, 300, 100), OUTPUT_RATE_HZ), 4800)
    picked = np.concatenate([room.samples(start, 480) for start in range(0, 24_000, 480)])
    loud = np.flatnonzero(np.abs(picked) > 0.01)
    assert loud[0] / OUTPUT_RATE_HZ == pytest.approx(0.3, abs=0.001)
    assert loud[-1] / OUTPUT_RATE_HZ == pytest.approx(0.6, abs=0.001)
    assert said.onset_s(100.0) == pytest.approx(100.3)
    assert said.end_s(100.0) == pytest.approx(100.6)


def test_two_voices_at_once_add_up():
    room = Room(level_dbfs=-200)
    voice = recording("x", np.full(2400, 0.25, np.float32), OUTPUT_RATE_HZ)
    room.say(voice, 0)
    room.say(voice, 0)
    assert np.allclose(room.samples(0, 2400), 0.5)


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
def test_the_sound_in_a_recording_is_found_whatever_its_rate(rate_hz: int):
    spoken = recording("x", clip(250, 700, 410, rate_hz), rate_hz)
    assert (spoken.voiced.start_ms, spoken.voiced.end_ms) == (pytest.approx(250, abs=10), pytest.approx(950, abs=10))
    assert spoken.duration_ms == pytest.approx(1360, abs=1)


def test_pauses_shorter_than_the_gap_do_not_part_an_utterance():
    samples = np.concatenate([clip(100, 300, 100), clip(100, 300, 100)])
    assert len(sounding_spans(samples, OUTPUT_RATE_HZ, gap_ms=500)) == 1
    assert len(sounding_spans(samples, OUTPUT_RATE_HZ, gap_ms=150)) == 2


def test_a_click_is_no_speech():
    samples = np.concatenate([clip(100, 20, 300), clip(0, 300, 100)])
    (span,) = sounding_spans(samples, OUTPUT_RATE_HZ, gap_ms=100)
    assert span.start_ms == pytest.approx(420, abs=10)


def test_silence_cannot_be_said():
    with pytest.raises(ValueError, match="quiet: nothing can be heard"):
        recording("quiet", np.zeros(24_000, np.float32), OUTPUT_RATE_HZ)


def test_recordings_are_read_from_files(tmp_path: Path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([clip(100, 300, 100, 16_000)] * 2, axis=1), 16_000)
    spoken = read_recording(path, "hello")
    assert (spoken.name, spoken.text) == ("stereo", "hello")
    assert spoken.voiced.end_ms == pytest.approx(400, abs=10)


def test_a_file_that_is_no_sound_is_named(tmp_path: Path):
    path = tmp_path / "text.wav"
    path.write_text("not a wav")
    with pytest.raises(ValueError, match=r"text\.wav: cannot be read"):
        read_recording(path)
