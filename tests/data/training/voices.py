"""Sentences spoken by espeak-ng and, where it is installed, by flite: the speech the test models are trained on.

Mandarin comes from espeak-ng alone. `augmented` makes one recording into many: other speed, level, noise and silence
around it, so that the models learn the words and not the waveforms.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from sentences import Sentence

from talkover.audio import INPUT_RATE_HZ, resampled
from talkover.messages import Samples
from talkover.tts.espeak_library import SOURCE_RATE_HZ, Delivery, EspeakLibrary
from talkover.tts.espeak_pool import load_copies
from talkover.tts.language import script_runs

VARIANTS = ("", "f1", "f2", "f3", "f4", "m1", "m2", "m3", "m4", "m7")
UNSEEN_VARIANTS = ("f5", "m6")
"""never trained on"""
_ACCENTS = ("en-us", "en-us", "en-gb-x-rp", "en-gb-scotland")
_FLITE_VOICES = ("slt", "rms", "awb", "kal16")
_FLITE_SHARE = 0.5
"""of the English sentences, where flite is installed"""

Speaker = Callable[[str], Samples]


def espeak_speaker(library: EspeakLibrary, variant: str, rng: np.random.Generator) -> Speaker:
    """Speaks any script at a rate and pitch drawn once."""
    accent = str(rng.choice(_ACCENTS))
    pitch = int(rng.integers(35, 66))
    english_rate, mandarin_rate = int(rng.integers(130, 200)), int(rng.integers(160, 260))

    def speak(text: str) -> Samples:
        blocks: list[np.ndarray] = []
        for run in script_runs(text):
            is_mandarin = run.script == "Hani"
            voice = "cmn" if is_mandarin else accent
            delivery = Delivery(
                f"{voice}+{variant}" if variant else voice, mandarin_rate if is_mandarin else english_rate, pitch
            )
            library.speak(text[run.start : run.end], delivery, lambda block: blocks.append(block.samples) or True)
        samples = np.concatenate(blocks).astype(np.float32) / 32768
        return trimmed(resampled(samples, SOURCE_RATE_HZ, INPUT_RATE_HZ))

    return speak


def flite_speaker(voice: str, rng: np.random.Generator) -> Speaker:
    """Speaks English at a rate drawn once."""
    stretch = float(rng.uniform(0.85, 1.2))

    def speak(text: str) -> Samples:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            subprocess.run(
                ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", text, "-o", str(path)],
                check=True,
                capture_output=True,
            )
            samples, rate_hz = soundfile.read(path, dtype="float32")
        return trimmed(resampled(samples, rate_hz, INPUT_RATE_HZ))

    return speak


def spoken(
    sentences: Sequence[Sentence], variants: Sequence[str], count: int, rng: np.random.Generator
) -> list[tuple[Sentence, Samples]]:
    """`count` utterances of `sentences`, each by another voice, without silence around them."""
    (library,) = load_copies(1)
    has_flite = shutil.which("flite") is not None
    order = [index for _ in range(count // len(sentences) + 1) for index in rng.permutation(len(sentences))][:count]
    made: list[tuple[Sentence, Samples]] = []
    for index in order:
        sentence = sentences[index]
        by_flite = has_flite and sentence.language == "en" and rng.random() < _FLITE_SHARE
        speaker = (
            flite_speaker(str(rng.choice(_FLITE_VOICES)), rng)
            if by_flite
            else espeak_speaker(library, str(rng.choice(variants)), rng)
        )
        made.append((sentence, speaker(sentence.text)))
    library.terminate()
    return made


def trimmed(samples: Samples, threshold: float = 0.005) -> Samples:
    """`samples` from the first to the last audible one."""
    audible = np.flatnonzero(np.abs(samples) > threshold)
    return samples[audible[0] : audible[-1] + 1] if audible.size else samples[:0]


def augmented(samples: Samples, rng: np.random.Generator) -> Samples:
    """One more way in which `samples` may reach the recogniser; empty ones become silence or noise."""
    if samples.size:
        speed = rng.uniform(0.9, 1.1)
        samples = resampled(samples, round(INPUT_RATE_HZ * speed), INPUT_RATE_HZ)
        peak_dbfs = rng.uniform(-26, -1)
        samples = samples * np.float32(10 ** (peak_dbfs / 20) / max(1e-3, np.abs(samples).max()))
        level_dbfs = 10 * np.log10(np.mean(np.square(samples)) + 1e-12)
        lead, trail = (round(rng.uniform(0.0, 0.7) * INPUT_RATE_HZ) for _ in range(2))
        samples = np.concatenate([np.zeros(lead, np.float32), samples, np.zeros(trail, np.float32)])
        noise_dbfs = level_dbfs - rng.uniform(12, 45)
    else:
        samples = np.zeros(round(rng.uniform(0.3, 3.0) * INPUT_RATE_HZ), np.float32)
        noise_dbfs = rng.uniform(-75, -25)
    if rng.random() < 0.15:
        return samples.astype(np.float32)
    return (samples + coloured_noise(samples.size, rng) * 10 ** (noise_dbfs / 20)).astype(np.float32)


def coloured_noise(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) with RMS 1, its power falling by 0 to 6 dB per octave."""
    size = 1 << max(1, n - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.maximum(np.arange(spectrum.size), 1) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, size)[:n]
    return noise / (np.sqrt(np.mean(np.square(noise))) + 1e-12)
