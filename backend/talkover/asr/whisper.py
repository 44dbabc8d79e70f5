"""The Whisper family through faster-whisper (CTranslate2): many languages, final text only, no torch.

One utterance is decoded at a time, with `asr.workers` CPU threads or on the GPU; others wait their turn. An utterance
that nobody waits for any more is skipped when its turn comes. Whisper invents text for noise and silence: segments that
it takes for silence itself are left out, and the temperature is fixed, so that no long search for one begins.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from tqdm import tqdm

from talkover.asr.batching import Batcher
from talkover.asr.utterance_audio import WholeUtteranceStream
from talkover.audio import INPUT_RATE_HZ, ms_to_samples
from talkover.config import Settings
from talkover.engines import EngineFailed, EngineUnavailable, Hypothesis, IsStale
from talkover.messages import Samples
from talkover.models import find_model
from talkover.models.catalogue import DEFAULT_MODELS
from talkover.sections.engines import AsrSettings

tqdm.monitor_interval = 0  # faster-whisper draws a bar for every utterance, hidden, with a thread that never ends

FILES = ("config.json", "model.bin", "tokenizer.json")

MAX_THREADS = 4
MIN_UTTERANCE_MS = 100
BEAM_ON_CPU, BEAM_ON_GPU = 1, 5
"""a beam of 5 takes a CPU about twice as long, for a few per cent fewer errors"""
SILENCE_PROBABILITY = 0.6
SILENCE_LOGPROB = -1.0
"""a segment is silence when its no-speech probability is above and its mean log probability below (Radford et al.
2022, section 4.5)"""


@dataclass(frozen=True, slots=True)
class Job:
    """An utterance to be decoded."""

    samples: Samples
    language: str | None
    hint: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment as Whisper gives it, as far as it matters here."""

    text: str
    avg_logprob: float
    no_speech_prob: float
    n_tokens: int


class WhisperEngine:
    """`AsrEngine` for any number of sessions."""

    name = "whisper"
    slots = 1
    """one thread; what it does for several in one step counts as done for one"""

    def __init__(self, model: WhisperModel, beam: int, hotwords: Sequence[str], timeout_s: float) -> None:
        self._model = model
        self._beam = beam
        self._hotwords = ", ".join(hotwords) or None
        self.timeout_s = timeout_s
        self.finals: Batcher[Job, Hypothesis] = Batcher("whisper", self._decode)

    def warmup(self) -> None:
        noise = 0.01 * np.random.default_rng(0).standard_normal(INPUT_RATE_HZ).astype(np.float32)
        try:
            self.finals.submit(Job(noise, "en", "")).wait(max(60.0, self.timeout_s), lambda: False)
        except EngineFailed as error:
            raise EngineUnavailable(f"asr engine 'whisper': {error}") from error

    def close(self) -> None:
        self.finals.close()

    def stream(self, language: str | None = None, hint: str = "") -> WholeUtteranceStream:
        plain = language.partition("-")[0].lower() if language else None
        known = plain if plain in self._model.supported_languages else None

        def recognise(samples: Samples, is_stale: IsStale) -> Hypothesis | None:
            return self.finals.submit(Job(samples, known, hint)).wait(self.timeout_s, is_stale)

        return WholeUtteranceStream(ms_to_samples(MIN_UTTERANCE_MS, INPUT_RATE_HZ), recognise)

    def _decode(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        return [self._decoded(job) for job in jobs]

    def _decoded(self, job: Job) -> Hypothesis:
        segments, info = self._model.transcribe(
            job.samples,
            language=job.language,
            initial_prompt=job.hint or None,
            hotwords=self._hotwords,
            beam_size=self._beam,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        pieces = [Piece(s.text, s.avg_logprob, s.no_speech_prob, len(s.tokens)) for s in segments]
        return hypothesis_of(pieces, info.language)


def hypothesis_of(pieces: Iterable[Piece], language: str | None) -> Hypothesis:
    """Segments joined, silent ones left out; the confidence is the geometric mean of the tokens' probabilities."""
    spoken = [piece for piece in pieces if piece.text.strip() and not _is_silence(piece)]
    text = " ".join("".join(piece.text for piece in spoken).split())
    n_tokens = sum(piece.n_tokens for piece in spoken)
    if not text or n_tokens == 0:
        return Hypothesis("")
    confidence = math.exp(sum(min(0.0, piece.avg_logprob) * piece.n_tokens for piece in spoken) / n_tokens)
    return Hypothesis(text, len(text), confidence, language)


def _is_silence(piece: Piece) -> bool:
    return piece.no_speech_prob > SILENCE_PROBABILITY and piece.avg_logprob < SILENCE_LOGPROB


def create(settings: Settings) -> WhisperEngine:
    """The engine for the registry. Raises EngineUnavailable."""
    folder = find_model(settings.asr.model or DEFAULT_MODELS["whisper"], settings.models, FILES)
    model, on_gpu = _load(folder, settings.asr)
    return WhisperEngine(model, BEAM_ON_GPU if on_gpu else BEAM_ON_CPU, settings.asr.hotwords, settings.asr.timeout_s)


def _load(folder: Path, asr: AsrSettings) -> tuple[WhisperModel, bool]:
    """The model, and whether it runs on a GPU."""
    import ctranslate2

    device, _, index = asr.device.partition(":")
    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    on_gpu = device == "cuda"
    options: dict[str, Any] = {
        "device": "cuda" if on_gpu else "cpu",  # CTranslate2 knows no other
        "device_index": int(index or 0),
        "compute_type": "float16" if on_gpu else "int8",
        "cpu_threads": asr.workers or min(MAX_THREADS, os.cpu_count() or 1),
        "local_files_only": True,
    }
    try:
        return WhisperModel(str(folder), **options), on_gpu
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineUnavailable(f"asr.model: {folder} cannot be loaded by faster-whisper: {error}") from error
