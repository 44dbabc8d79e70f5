"""Sounds that are no speech, and levels. Pure; the same seed gives the same samples. All is float32 at 24 kHz.

Coughs and laughter are modelled, not recorded: bursts of breath noise through a throat's resonances, and voiced
syllables. They have the envelope, the spectrum and (laughter) the pitch that make a voice detector doubt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.messages import Samples

Wave = NDArray[np.float64]

THROAT = ((550.0, 0.97), (1400.0, 0.95), (2600.0, 0.93))
"""resonances of an open mouth: Hz, and the radius of the pole"""
VOWEL = ((700.0, 0.985), (1150.0, 0.98), (2600.0, 0.97))
"""the same for the vowel of "ha" """


def cough(rng: np.random.Generator) -> Samples:
    """Two or three explosive bursts, the last one longer and partly voiced; 0.5 to 0.9 s."""
    parts: list[Wave] = []
    n_bursts = int(rng.integers(2, 4))
    for index in range(n_bursts):
        length_ms = rng.uniform(90, 140) + (80 if index == n_bursts - 1 else 0)
        burst = _resonant(rng.standard_normal(_n(length_ms)), THROAT)
        envelope = _decay(burst.size, 0.004, length_ms / 3000)
        parts += [burst * envelope, np.zeros(_n(rng.uniform(60, 130)))]
    return _finished(np.concatenate(parts))


def throat_clearing(rng: np.random.Generator) -> Samples:
    """A rough, low voiced noise in two pushes; about 0.6 s."""
    parts: list[Wave] = []
    for length_ms in (220.0, 260.0):
        n = _n(length_ms)
        rough = 0.6 * _pulses(n, rng.uniform(75, 95), 0.12, rng) + 0.25 * rng.standard_normal(n)
        parts += [_resonant(rough, THROAT) * np.hanning(n), np.zeros(_n(70))]
    return _finished(np.concatenate(parts))


def laughter(rng: np.random.Generator) -> Samples:
    """Five to seven syllables of "ha" at five a second, falling in pitch and strength."""
    parts: list[Wave] = []
    pitch_hz = rng.uniform(180, 260)
    for index in range(int(rng.integers(5, 8))):
        breath = 0.3 * _resonant(rng.standard_normal(_n(70)), THROAT) * np.hanning(_n(70))
        n = _n(rng.uniform(90, 120))
        voiced = _resonant(_pulses(n, pitch_hz * 0.95**index, 0.02, rng), VOWEL) * np.hanning(n)
        parts += [0.9**index * breath, 0.9**index * voiced, np.zeros(_n(15))]
    return _finished(np.concatenate(parts))


def sneeze(rng: np.random.Generator) -> Samples:
    """A voiced intake and one long burst of hiss; about 0.7 s."""
    n = _n(200)
    intake = 0.2 * _resonant(_pulses(n, 220, 0.05, rng), VOWEL) * np.linspace(0, 1, n)
    burst = rng.standard_normal(_n(380))
    return _finished(np.concatenate([intake, np.zeros(_n(60)), burst * _decay(burst.size, 0.006, 0.11)]))


def door(rng: np.random.Generator) -> Samples:
    """A slam: a low thud with a rattle behind it."""
    n = _n(450)
    t = np.arange(n) / OUTPUT_RATE_HZ
    thud = np.sin(2 * np.pi * 70 * t) * np.exp(-t / 0.08)
    rattle = _resonant(rng.standard_normal(n), ((900.0, 0.9), (2100.0, 0.85))) * np.exp(-t / 0.05)
    return _finished(thud + 0.5 * rattle / np.max(np.abs(rattle)))


def keyboard(rng: np.random.Generator) -> Samples:
    """Two seconds of typing: eight clicks a second."""
    out = np.zeros(_n(2000))
    click = rng.standard_normal(_n(6)) * _decay(_n(6), 0.0005, 0.0015)
    for start in np.sort(rng.integers(0, out.size - click.size, 16)):
        out[start : start + click.size] += click * rng.uniform(0.3, 1)
    return _finished(out)


def music(rng: np.random.Generator) -> Samples:
    """Four seconds of plucked chords at 100 beats a minute."""
    beat = _n(600)
    t = np.arange(2 * beat) / OUTPUT_RATE_HZ
    out = np.zeros(_n(4000) + t.size)
    for start in range(0, _n(4000), beat):
        for semitone in rng.choice((0, 3, 4, 7, 9, 12, 16), size=3, replace=False):
            pitch_hz = 196 * 2 ** (float(semitone) / 12)
            for harmonic in range(1, 7):
                tone = np.sin(2 * np.pi * pitch_hz * harmonic * t) / harmonic
                out[start : start + t.size] += tone * np.exp(-3 * t)
    return _finished(out[: _n(4000)])


def babble(voices: list[Samples], seconds: float, rng: np.random.Generator) -> Samples:
    """Several voices at once, each repeated from a place of its own: a cafe, when there are enough of them."""
    n = round(seconds * OUTPUT_RATE_HZ)
    out = np.zeros(n)
    for voice in voices:
        shifted = np.roll(np.resize(voice, n), int(rng.integers(0, n)))
        out += shifted / max(1e-9, float(np.sqrt(np.mean(np.square(shifted)))))
    return _finished(out)


VOCAL: dict[str, Callable[[np.random.Generator], Samples]] = {
    "cough": cough,
    "throat": throat_clearing,
    "laughter": laughter,
    "sneeze": sneeze,
}
OTHER: dict[str, Callable[[np.random.Generator], Samples]] = {"door": door, "keyboard": keyboard, "music": music}

# ----------------------------------------------------------------------------------------------------------- levels


def active_rms(samples: Samples) -> float:
    """RMS of what is within 30 dB of the loudest 10 ms, as speech levels are told without its pauses; 0 for silence."""
    piece = _n(10)
    whole = samples[: samples.size // piece * piece].astype(np.float64).reshape(-1, piece)
    power = np.mean(np.square(whole), axis=1)
    if not power.size or power.max() <= 0:
        return 0.0
    return float(np.sqrt(np.mean(power[power >= power.max() / 1000])))


def at_level(samples: Samples, dbfs: float) -> Samples:
    """Scaled so that its active RMS has this level. Peaks are clipped at full scale."""
    rms = active_rms(samples)
    if rms == 0:
        return samples
    return np.clip(samples * (10 ** (dbfs / 20) / rms), -1, 1).astype(np.float32)


def silence(ms: float) -> Samples:
    return np.zeros(_n(ms), np.float32)


# ----------------------------------------------------------------------------------------------------------- inside


def _n(ms: float) -> int:
    return ms_to_samples(ms, OUTPUT_RATE_HZ)


def _decay(n: int, attack_s: float, decay_s: float) -> Wave:
    t = np.arange(n) / OUTPUT_RATE_HZ
    return np.minimum(1, t / attack_s) * np.exp(-np.maximum(0, t - attack_s) / decay_s)


def _pulses(n: int, pitch_hz: float, jitter: float, rng: np.random.Generator) -> Wave:
    """A glottis: one pulse per period, whose length varies by `jitter`."""
    out = np.zeros(n)
    position = 0.0
    while position < n:
        out[int(position)] = 1.0
        position += OUTPUT_RATE_HZ / pitch_hz * (1 + jitter * rng.standard_normal())
    return out


def _resonant(source: Wave, poles: tuple[tuple[float, float], ...]) -> Wave:
    """Two-pole resonators one after the other, by their impulse responses of 30 ms."""
    t = np.arange(_n(30))
    out = source
    for frequency_hz, radius in poles:
        omega = 2 * np.pi * frequency_hz / OUTPUT_RATE_HZ
        response = radius**t * np.sin((t + 1) * omega) / np.sin(omega)
        out = np.asarray(np.convolve(out, response)[: source.size], np.float64)
    return out / max(1e-9, float(np.max(np.abs(out))))


def _finished(wave: Wave) -> Samples:
    return (0.9 * wave / max(1e-9, float(np.max(np.abs(wave))))).astype(np.float32)
