"""How a voice sounds at its end: pitch, loudness and length of the last sounds. A light extractor and pure judgements.

Speakers of English and Mandarin let pitch and loudness fall and draw out the last syllable when they are done, and hold
pitch level or break off when they are not (Ward & Tsukahara 2000; Gravano & Hirschberg 2011). One ending says little,
so the judgement is a modest log-odds that only shifts how long a pause is waited for.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from talkover.audio import INPUT_RATE_HZ, VAD_FRAME_SAMPLES
from talkover.messages import Samples

LOWEST_HZ, HIGHEST_HZ = 65.0, 420.0
LEAST_PERIODICITY = 0.45
"""under this a frame has no pitch: breath, fricative, noise"""
OCTAVE_TOLERANCE = 0.88
"""of the highest peak: the shortest lag that reaches it is the period, its multiples are not"""
BRIGHT_FROM_HZ = 2500.0
FADED_DB = 15.0
"""this far under the stretch's loudest frame it is reverberation or breath"""

CONTOUR_FRAMES = 48
"""1.5 s of voiced frames are remembered"""
ENDING_FRAMES = 8
"""the last 256 ms of voice: one to two syllables"""


@dataclass(frozen=True, slots=True)
class Pitch:
    """What one frame of 32 ms sounds like."""

    f0_hz: float = 0.0
    """0 where there is no pitch"""
    periodicity: float = 0.0
    """0 (noise) to 1 (a pure tone or vowel)"""
    brightness: float = 0.0
    """share of the energy above 2.5 kHz, 0 to 1: high in s, sh, t, k; next to none in m, n, u"""


UNVOICED = Pitch()


class PitchTracker:
    """Pitch of a stream, frame by frame, over windows of two frames."""

    _SIZE = 2 * VAD_FRAME_SAMPLES

    def __init__(self) -> None:
        window = np.hanning(self._SIZE).astype(np.float32)
        self._window = window
        spectrum = np.fft.rfft(window, 2 * self._SIZE)
        own = np.fft.irfft(np.abs(spectrum) ** 2)[: self._SIZE]
        self._first, self._last = math.ceil(INPUT_RATE_HZ / HIGHEST_HZ), math.floor(INPUT_RATE_HZ / LOWEST_HZ)
        self._own = own[: self._last + 2] / own[0]
        self._bright_bin = round(BRIGHT_FROM_HZ * 2 * self._SIZE / INPUT_RATE_HZ)
        self._before: Samples = np.zeros(VAD_FRAME_SAMPLES, np.float32)

    def feed(self, frame: Samples) -> Pitch:
        """The next (512,) samples. Autocorrelation divided by the window's own (Boersma 1993)."""
        frame = np.nan_to_num(frame)
        samples = np.concatenate([self._before, frame])
        self._before = frame
        power = np.abs(np.fft.rfft((samples - samples.mean()) * self._window, 2 * self._SIZE)) ** 2
        total = float(power.sum())
        if total < 1e-6:
            return UNVOICED
        brightness = float(power[self._bright_bin :].sum()) / total
        correlation = np.fft.irfft(power)[: self._last + 2]
        normal = correlation / (correlation[0] * self._own)
        lags = normal[self._first : self._last + 1]
        best = float(lags.max())
        peaks = (lags >= OCTAVE_TOLERANCE * best) & (lags >= normal[self._first - 1 : self._last])
        peaks &= lags >= normal[self._first + 1 : self._last + 2]
        found = np.flatnonzero(peaks)
        if best < LEAST_PERIODICITY or not found.size:
            return Pitch(0.0, max(0.0, best), brightness)
        lag = self._first + int(found[0])
        before, at, after = (float(value) for value in normal[lag - 1 : lag + 2])
        curve = before - 2 * at + after
        shift = 0.5 * (before - after) / curve if curve < 0 else 0.0
        return Pitch(INPUT_RATE_HZ / (lag + shift), min(1.0, best), brightness)

    def reset(self) -> None:
        self._before = np.zeros(VAD_FRAME_SAMPLES, np.float32)


# ------------------------------------------------------------------------------------------------------- the ending


@dataclass(frozen=True, slots=True)
class Ending:
    """How the voice ended, relative to how it had sounded before."""

    pitch_st: float
    """median pitch of the ending over that of the stretch before it, in semitones; below 0: it fell"""
    slope_st_per_s: float
    """pitch movement within the ending"""
    level_db: float
    """loudness of the ending over that before it"""
    steady_ms: float
    """how long the last sound kept its pitch and loudness: a drawn-out last syllable, or a hesitation when very long"""


class Contour:
    """The last second and a half of one utterance's voiced frames."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, float]] = deque(maxlen=CONTOUR_FRAMES)

    def feed(self, pitch: Pitch, level_dbfs: float) -> None:
        """A voiced frame."""
        if math.isfinite(level_dbfs):
            self._frames.append((pitch.f0_hz, level_dbfs))

    def ending(self) -> Ending | None:
        """None while there is too little voice to compare with."""
        frames = list(self._frames)
        loudest = max((level for _, level in frames), default=0.0)
        while frames and frames[-1][1] < loudest - FADED_DB:
            frames.pop()
        if len(frames) < 2 * ENDING_FRAMES:
            return None
        before, last = frames[:-ENDING_FRAMES], frames[-ENDING_FRAMES:]
        earlier = [semitones(f0_hz) for f0_hz, _ in before if f0_hz]
        final = [(index, semitones(f0_hz)) for index, (f0_hz, _) in enumerate(last) if f0_hz]
        if len(earlier) < ENDING_FRAMES // 2 or len(final) < 3:
            return None
        pitches = np.array([pitch for _, pitch in final])
        times_s = np.array([index for index, _ in final]) * VAD_FRAME_SAMPLES / INPUT_RATE_HZ
        spread = times_s - times_s.mean()
        slope = float((spread * (pitches - pitches.mean())).sum() / (spread**2).sum())
        return Ending(
            pitch_st=float(np.median(pitches) - np.median(earlier)),
            slope_st_per_s=slope,
            level_db=float(np.mean([level for _, level in last]) - np.mean([level for _, level in before])),
            steady_ms=_steady_frames(frames) * VAD_FRAME_SAMPLES * 1000 / INPUT_RATE_HZ,
        )


def _steady_frames(frames: list[tuple[float, float]]) -> int:
    """Frames from the end whose pitch stays within a semitone and whose level stays within 6 dB of their middle."""
    count = 0
    pitches: list[float] = []
    levels: list[float] = []
    for f0_hz, level in reversed(frames):
        if not f0_hz:
            break
        pitches.append(semitones(f0_hz))
        levels.append(level)
        if max(pitches) - min(pitches) > 2 or max(levels) - min(levels) > 12:
            break
        count += 1
    return count


def semitones(f0_hz: float) -> float:
    """Pitch on the scale of hearing, over 100 Hz."""
    return 12 * math.log2(f0_hz / 100)
