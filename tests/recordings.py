"""Speech to say to a server, and what to ask of the speech that comes back."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import soundfile

from talkover.audio import OUTPUT_RATE_HZ, resampled
from talkover.messages import Samples

SPEECH = Path(__file__).resolve().parent / "data/speech"
FRAME_MS = 20
HEARD_TOLERANCE_MS = 350
"""a word is heard by half, and one that ends a text is spoken longer"""


@cache
def speech(name: str, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    """(n,) float32 of a file in tests/data/speech, at `rate_hz`."""
    samples, file_rate_hz = soundfile.read(SPEECH / f"{name}.flac", dtype="float32")
    return resampled(samples, file_rate_hz, rate_hz)


def silence(duration_s: float, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    return np.zeros(round(duration_s * rate_hz), np.float32)


def tone(duration_s: float, rate_hz: int = OUTPUT_RATE_HZ) -> Samples:
    """What the scripted engines take for speech: a vowel, and a consonant's share, without which a sound is given
    longer to end."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * 400 * time_s) + 0.15 * np.sin(2 * np.pi * 3000 * time_s)).astype(np.float32)


def frames(samples: Samples, rate_hz: int = OUTPUT_RATE_HZ) -> Iterator[Samples]:
    """In pieces of 20 ms, as a microphone or a telephone delivers them."""
    size = rate_hz * FRAME_MS // 1000
    for begin in range(0, samples.size, size):
        yield samples[begin : begin + size]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def spoken_ms(http_url: str, text: str, voice: str) -> float:
    """How long the server's voice takes from the first sound of `text` to the last."""
    request = {"model": "tts-1", "input": text, "voice": voice, "response_format": "pcm"}
    answer = httpx.post(f"{http_url}/v1/audio/speech", json=request, trust_env=False, timeout=20).raise_for_status()
    loud = np.flatnonzero(np.abs(np.frombuffer(answer.content, "<i2").astype(np.int32)) > 300)
    return float(loud[-1] - loud[0]) * 1000 / OUTPUT_RATE_HZ


def check_heard(http_url: str, said: str, heard: str, played_ms: float, voice: str) -> None:
    """`heard` must be what of `said` fits into `played_ms` of speech, to the word. Raises AssertionError."""
    assert said.startswith(heard)
    assert len(heard) < len(said)
    following = re.match(r"\S*\s+\S+|\S+", said[len(heard) :])
    assert following
    one_more = heard + following[0]
    shortest_ms = spoken_ms(http_url, heard, voice) if heard else 0.0
    longest_ms = spoken_ms(http_url, one_more, voice)
    assert shortest_ms - HEARD_TOLERANCE_MS < played_ms < longest_ms + HEARD_TOLERANCE_MS, (
        f"{heard!r} takes {shortest_ms:.0f} ms, with the next word {longest_ms:.0f} ms; {played_ms:.0f} ms were played"
    )


def is_audible(pcm16: bytes) -> bool:
    """Whether at least a tenth of it is louder than -40 dBFS, in windows of 20 ms at 24 kHz."""
    samples = np.frombuffer(pcm16, np.int16).astype(np.float32) / 32768
    usable = samples[: samples.size // 480 * 480].reshape(-1, 480)
    return usable.size > 0 and float(np.mean(np.sqrt(np.mean(usable**2, axis=1)) > 0.01)) > 0.1


def wav(samples: Samples, rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
