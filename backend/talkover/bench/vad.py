"""Voice activity detection over recordings mixed with generated noise: how early, how late, how often wrong.

The truth comes from the energy of the clean recording, so any folder of speech without much noise will do. Every
recording stands between a second of room noise and one and a half more, and goes through engine and endpointer frame
by frame; nothing depends on the speed of the machine but the CPU column.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.table import Table

from talkover.audio import INPUT_RATE_HZ, VAD_FRAME_SAMPLES, level_dbfs, ms_to_samples, resampled
from talkover.client.recordings import Span, sound_files, sounding_spans
from talkover.config import Settings
from talkover.engines import VadEngine
from talkover.messages import Samples
from talkover.registry import create_engine
from talkover.vad.endpointing import Endpointer, TurnOptions
from talkover.vad.turn_events import SpeechEnded, SpeechStarted

ROOM_DBFS = -72.0
"""white noise under everything: no microphone is digitally silent"""
LEAD_S, TRAIL_S = 1.0, 1.5


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and where its utterances lie."""

    name: str
    samples: Samples
    utterances: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class VadResult:
    """How one engine did under one condition."""

    engine: str
    condition: str
    utterances: int
    missed: int
    onset_ms: tuple[float, float]
    """delay of SpeechStarted after the first sound, 50th and 90th percentile"""
    end_ms: tuple[float, float]
    """delay of SpeechEnded after the last sound, the hang-over included"""
    false_starts_per_min: float
    noise_starts_per_min: float
    """in noise without speech"""
    cpu_percent: float
    """of one core, for one stream in real time"""


# ------------------------------------------------------------------------------------------------------------- noise


def white(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_normal(n)


def pink(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Power falls by 3 dB per octave."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 1))
    return np.fft.irfft(spectrum, n)


def hum(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mains: 50 Hz with harmonics, and a little hiss."""
    t = np.arange(n) / INPUT_RATE_HZ
    tones = sum(np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6)) / k for k in range(1, 12))
    return np.asarray(tones) + 0.02 * rng.standard_normal(n)


def music(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Chords of plucked notes at 100 beats a minute, with six harmonics each."""
    out = np.zeros(n + INPUT_RATE_HZ)
    t = np.arange(INPUT_RATE_HZ) / INPUT_RATE_HZ
    for start in range(0, n, INPUT_RATE_HZ * 60 // 100):
        for semitone in rng.choice((0, 3, 4, 7, 9, 12, 16), size=3, replace=False):
            pitch = 196 * 2 ** (semitone / 12)
            note = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 7))
            out[start : start + t.size] += np.asarray(note) * np.exp(-3 * t)
    return out[:n]


def keyboard(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Five clicks a second of 5 ms each, at random."""
    out = 0.01 * rng.standard_normal(n)
    click = rng.standard_normal(80) * np.exp(-np.arange(80) / 20)
    for start in rng.integers(0, max(1, n - click.size), size=5 * n // INPUT_RATE_HZ):
        out[start : start + click.size] += click * rng.uniform(0.3, 1)
    return out


Noise = Callable[[int, np.random.Generator], NDArray[np.float64]]
NOISES: dict[str, Noise] = {"white": white, "pink": pink, "hum": hum, "music": music, "keyboard": keyboard}


def at_level(noise: NDArray[np.float64], dbfs: float) -> Samples:
    """`noise` scaled to an RMS level."""
    power = float(np.mean(np.square(noise)))
    return (noise * np.sqrt(10 ** (dbfs / 10) / power)).astype(np.float32)


# ------------------------------------------------------------------------------------------------------------- truth


def utterances_of(samples: Samples, gap_ms: float) -> tuple[Span, ...]:
    """Stretches of sound in (n,) clean speech at 16 kHz, joined over pauses shorter than `gap_ms`."""
    return sounding_spans(samples, INPUT_RATE_HZ, gap_ms)


def load_clips(folder: Path, gap_ms: float) -> list[Clip]:
    """Every sound file below `folder` in room noise, with its utterances. Raises ValueError when there is none."""
    return [_load_clip(path, gap_ms) for path in sound_files(folder)]


def _load_clip(path: Path, gap_ms: float) -> Clip:
    data, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    speech = resampled(data.mean(axis=1), rate_hz, INPUT_RATE_HZ)
    lead, trail = (ms_to_samples(s * 1000, INPUT_RATE_HZ) for s in (LEAD_S, TRAIL_S))
    samples = np.concatenate([np.zeros(lead, np.float32), speech, np.zeros(trail, np.float32)])
    samples += at_level(white(samples.size, np.random.default_rng(0)), ROOM_DBFS)
    spans = tuple(Span(s.start_ms + LEAD_S * 1000, s.end_ms + LEAD_S * 1000) for s in utterances_of(speech, gap_ms))
    return Clip(path.stem, samples, spans)


def with_noise(clip: Clip, kind: str, snr_db: float) -> Clip:
    """`clip` with noise `snr_db` under the level of its speech."""
    spoken = [
        clip.samples[ms_to_samples(s.start_ms, INPUT_RATE_HZ) : ms_to_samples(s.end_ms, INPUT_RATE_HZ)]
        for s in clip.utterances
    ]
    level = level_dbfs(np.concatenate(spoken)) if spoken else -30.0
    rng = np.random.default_rng(zlib.crc32(f"{clip.name} {kind}".encode()))
    return replace(clip, samples=clip.samples + at_level(NOISES[kind](clip.samples.size, rng), level - snr_db))


# --------------------------------------------------------------------------------------------------------- measuring


@dataclass(slots=True)
class _Turns:
    """What the endpointer made of one clip."""

    turns: list[tuple[SpeechStarted, float]]
    """start, and when its end was decided"""
    cpu_s: float
    audio_s: float


def _turns(engine: VadEngine, samples: Samples, options: TurnOptions) -> _Turns:
    stream, endpointer = engine.stream(), Endpointer(options)
    turns: list[tuple[SpeechStarted, float]] = []
    started: SpeechStarted | None = None
    cpu_s = 0.0
    for begin in range(0, samples.size - VAD_FRAME_SAMPLES + 1, VAD_FRAME_SAMPLES):
        frame = samples[begin : begin + VAD_FRAME_SAMPLES]
        before_s = time.thread_time()
        events = endpointer.feed(stream.speech_probability(frame), level_dbfs(frame), agent_audible=False)
        cpu_s += time.thread_time() - before_s
        for event in events:
            if isinstance(event, SpeechStarted):
                started = event
            elif isinstance(event, SpeechEnded) and started is not None:
                turns.append((started, event.end_ms))
                started = None
    if started is not None:
        turns.append((started, endpointer.now_ms))
    return _Turns(turns, cpu_s, samples.size / INPUT_RATE_HZ)


def measure_engine(
    engine: VadEngine, clips: Sequence[Clip], condition: str, options: TurnOptions, noise: Samples | None = None
) -> VadResult:
    """How `engine` finds the utterances of `clips`, and what it takes for speech in `noise` alone."""
    onsets: list[float] = []
    ends: list[float] = []
    utterances = missed = false_starts = 0
    cpu_s = audio_s = 0.0
    for clip in clips:
        found = _turns(engine, clip.samples, options)
        cpu_s, audio_s = cpu_s + found.cpu_s, audio_s + found.audio_s
        for utterance in clip.utterances:
            utterances += 1
            hits = [t for t in found.turns if t[0].start_ms < utterance.end_ms and t[1] > utterance.start_ms]
            if not hits:
                missed += 1
                continue
            onsets.append(hits[0][0].at_ms - utterance.start_ms)
            ends.append(hits[-1][1] - utterance.end_ms)
        false_starts += sum(not _is_speech(clip.utterances, turn) for turn in found.turns)
    alone = None if noise is None else _turns(engine, noise, options)
    return VadResult(
        engine=engine.name,
        condition=condition,
        utterances=utterances,
        missed=missed,
        onset_ms=_p50_p90(onsets),
        end_ms=_p50_p90(ends),
        false_starts_per_min=false_starts / audio_s * 60,
        noise_starts_per_min=0.0 if alone is None else len(alone.turns) / alone.audio_s * 60,
        cpu_percent=cpu_s / audio_s * 100,
    )


def _is_speech(utterances: Iterable[Span], turn: tuple[SpeechStarted, float]) -> bool:
    return any(turn[0].start_ms < span.end_ms and turn[1] > span.start_ms for span in utterances)


def _p50_p90(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    p50, p90 = np.percentile(values, (50, 90))
    return float(p50), float(p90)


def measure(folder: Path, snr_db: float = 10.0, noise_s: float = 30.0) -> list[VadResult]:
    """Silero with and without its gate, and WebRTC, over the sound files below `folder`: clean and with each noise."""
    options = TurnOptions()
    clips = load_clips(folder, gap_ms=options.silence_duration_ms)
    engines: list[tuple[str, VadEngine]] = []
    for name, engine, gate in (
        ("silero", "silero", "none"),
        ("silero+gate", "silero", "webrtc"),
        ("webrtc", "webrtc", "none"),
    ):
        settings = Settings.model_validate({"vad": {"engine": engine, "gate": gate}})
        engines.append((name, create_engine("vad", engine, settings)))
    results: list[VadResult] = []
    for condition in ("clean", *NOISES):
        heard = clips if condition == "clean" else [with_noise(clip, condition, snr_db) for clip in clips]
        noise_samples = ms_to_samples(noise_s * 1000, INPUT_RATE_HZ)
        alone = at_level(NOISES.get(condition, white)(noise_samples, np.random.default_rng(1)), -40.0)
        if condition == "clean":
            alone = at_level(white(noise_samples, np.random.default_rng(1)), ROOM_DBFS)
        for name, engine in engines:
            result = measure_engine(engine, heard, condition, options, alone)
            results.append(replace(result, engine=name))
    return results


def table(results: Sequence[VadResult]) -> Table:
    """The results for the screen."""
    view = Table(title="Voice activity detection (server_vad, 500 ms of silence)")
    for column in (
        "condition",
        "engine",
        "hit %",
        "onset ms p50/p90",
        "end ms p50/p90",
        "false/min",
        "in noise/min",
        "CPU %",
    ):
        view.add_column(column, justify="left" if column in ("condition", "engine") else "right")
    for r in results:
        view.add_row(
            r.condition,
            r.engine,
            f"{100 * (1 - r.missed / max(1, r.utterances)):.0f}",
            f"{r.onset_ms[0]:.0f}/{r.onset_ms[1]:.0f}",
            f"{r.end_ms[0]:.0f}/{r.end_ms[1]:.0f}",
            f"{r.false_starts_per_min:.1f}",
            f"{r.noise_starts_per_min:.1f}",
            f"{r.cpu_percent:.2f}",
        )
    return view
