"""Recorded speech to say to a server, and where in it somebody really speaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from talkover.audio import OUTPUT_RATE_HZ, level_dbfs, ms_to_samples, resampled, samples_to_ms
from talkover.messages import Samples

SOUND_SUFFIXES = (".wav", ".flac")
PIECE_MS = 10
"""grain in which a recording is searched for sound"""
TRUTH_BELOW_PEAK_DB = 35.0
"""pieces quieter than this under the loudest ones (95th percentile) are pauses"""
SPOKEN_BELOW_PEAK_DB = 30.0
"""the same where one end of speech is wanted: breath and room after the last word do not count, so that a latency
measured from it is rather too long than too short"""
TRUTH_MIN_MS = 60
"""louder stretches shorter than this are clicks"""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of sound."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Recording:
    """Something to say."""

    name: str
    samples: Samples
    """(n,) float32 at 24 kHz"""
    voiced: Span
    """from the first to the last sound in it"""
    text: str = ""
    """what is said, where it is known"""

    @property
    def duration_ms(self) -> float:
        return samples_to_ms(self.samples.size, OUTPUT_RATE_HZ)

    def trimmed(self, lead_ms: float, tail_ms: float) -> Recording:
        """With at most so much before the first and after the last sound."""
        start_ms = max(0.0, self.voiced.start_ms - lead_ms)
        begin = ms_to_samples(start_ms, OUTPUT_RATE_HZ)
        end = ms_to_samples(self.voiced.end_ms + tail_ms, OUTPUT_RATE_HZ)
        voiced = Span(self.voiced.start_ms - start_ms, self.voiced.end_ms - start_ms)
        return replace(self, samples=self.samples[begin:end], voiced=voiced)


def sounding_spans(
    samples: Samples, rate_hz: int, gap_ms: float, below_peak_db: float = TRUTH_BELOW_PEAK_DB
) -> tuple[Span, ...]:
    """Stretches of sound in (n,) clean speech, joined over pauses shorter than `gap_ms`; exact to 10 ms."""
    piece = ms_to_samples(PIECE_MS, rate_hz)
    levels = np.asarray([level_dbfs(samples[i : i + piece]) for i in range(0, samples.size - piece + 1, piece)])
    if not levels.size:
        return ()
    loud = (levels > np.percentile(levels, 95) - below_peak_db) & (levels > -100)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(np.int8), [0]])))
    spans: list[Span] = []
    for start, end in zip(edges[::2] * float(PIECE_MS), edges[1::2] * float(PIECE_MS), strict=True):
        if end - start < TRUTH_MIN_MS:
            continue
        if spans and start - spans[-1].end_ms < gap_ms:
            spans[-1] = replace(spans[-1], end_ms=float(end))
        else:
            spans.append(Span(float(start), float(end)))
    return tuple(spans)


def recording(name: str, samples: Samples, rate_hz: int, text: str = "") -> Recording:
    """From (n,) mono samples of any rate. Raises ValueError when nothing can be heard in them."""
    speech = resampled(samples, rate_hz, OUTPUT_RATE_HZ)
    spans = sounding_spans(samples, rate_hz, float("inf"), SPOKEN_BELOW_PEAK_DB)
    if not spans:
        raise ValueError(f"{name}: nothing can be heard in it")
    return Recording(name, speech.astype(np.float32), spans[0], text)


def sound_files(folder: Path) -> list[Path]:
    """Every WAV and FLAC file below `folder`, sorted. Raises ValueError when there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in SOUND_SUFFIXES)
    if not found:
        raise ValueError(f"{folder}: must contain wav or flac files")
    return found


def read_recording(path: Path, text: str = "") -> Recording:
    """A sound file of any kind libsndfile reads, mixed down to mono. Raises ValueError."""
    try:
        data, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as a sound file: {error}") from error
    return recording(path.stem, np.asarray(data.mean(axis=1), np.float32), int(rate_hz), text)
