"""SenseVoiceSmall through FunASR: Mandarin, Cantonese, English, Japanese and Korean, with emotion and events.

Final text only. One thread decodes for all sessions; utterances that wait at the same time are decoded as one batch.
FunASR's own `inference` takes one language for a whole batch and returns no probabilities, so its steps are taken one
by one here: four learnt queries (language, event, emotion, style of numbers) in front of the features, the encoder, and
a CTC layer read greedily.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from talkover.asr.batching import Batcher
from talkover.asr.funasr_models import FunasrModel, load_model
from talkover.asr.sensevoice_tags import hypothesis_of, spoken_language
from talkover.asr.utterance_audio import WholeUtteranceStream
from talkover.audio import INPUT_RATE_HZ
from talkover.config import Settings
from talkover.engines import EngineFailed, EngineUnavailable, Hypothesis, IsStale
from talkover.messages import Samples
from talkover.models import find_model
from talkover.models.catalogue import DEFAULT_MODELS

MODELS = ("SenseVoiceSmall",)
FILES = ("config.yaml", "model.pt", "am.mvn")
EVENT_QUERY, EMOTION_QUERY = 1, 2
"""rows of the embedding; those of languages and styles are in the model's own tables"""
N_TAG_FRAMES = 4
"""the encoder's first frames answer the queries, the others are speech"""

MIN_SAMPLES = 1600
"""100 ms; less holds no word"""
MAX_BATCH = 8
GATHER_S = 0.003
"""how long an utterance waits for others to share its batch"""


@dataclass(frozen=True, slots=True)
class Job:
    """An utterance to be decoded."""

    samples: Samples
    language: str
    """auto or one of the model's"""


class SenseVoice:
    """Decodes whole utterances; used by one thread."""

    def __init__(self, loaded: FunasrModel, with_digits: bool) -> None:
        self._loaded = loaded
        self._model: Any = loaded.model
        self._style: int = self._model.textnorm_dict["withitn" if with_digits else "woitn"]

    def recognise(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        with torch.inference_mode():
            speech, lengths = self._loaded.features([job.samples for job in jobs])  # (B, T, 560), (B,)
            queries = [
                [self._model.lid_dict.get(job.language, 0), EVENT_QUERY, EMOTION_QUERY, self._style] for job in jobs
            ]
            embedded = self._model.embed(torch.tensor(queries, device=speech.device))  # (B, 4, 560)
            encoded = self._model.encoder(torch.cat((embedded, speech), dim=1), lengths + N_TAG_FRAMES)
            encoded, encoded_lengths = encoded[0], encoded[1]
            log_probabilities = self._model.ctc.log_softmax(encoded)  # (B, T + 4, V)
            return [
                self._read(row[: int(length)]) for row, length in zip(log_probabilities, encoded_lengths, strict=True)
            ]

    def _read(self, log_probabilities: torch.Tensor) -> Hypothesis:
        """Greedy CTC over (T, V): repetitions and blanks dropped; confidence from the frames of the speech."""
        highest, ids = log_probabilities.max(dim=-1)
        tokens: list[int] = []
        spoken: dict[int, float] = {}
        """index of a token that is heard in the speech -> its highest log probability there"""
        previous: int = self._model.blank_id
        values: list[float] = highest.tolist()
        for frame, (token, value) in enumerate(zip(ids.tolist(), values, strict=True)):
            if token != self._model.blank_id:
                if token != previous:
                    tokens.append(token)
                if frame >= N_TAG_FRAMES:
                    spoken[len(tokens) - 1] = max(value, spoken.get(len(tokens) - 1, value))
            previous = token
        confidence = math.exp(sum(spoken.values()) / len(spoken)) if spoken else None
        return hypothesis_of(self._loaded.tokenizer.decode(tokens), confidence)


class SenseVoiceEngine:
    """`AsrEngine` for any number of sessions."""

    name = "sensevoice"
    slots = 1
    """one thread; what it does for several in one step counts as done for one"""

    def __init__(self, model: SenseVoice, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.finals: Batcher[Job, Hypothesis] = Batcher("sensevoice", model.recognise, MAX_BATCH, GATHER_S)

    def warmup(self) -> None:
        noise = 0.01 * np.random.default_rng(0).standard_normal(2 * INPUT_RATE_HZ).astype(np.float32)
        try:
            self.finals.submit(Job(noise, "auto")).wait(max(60.0, self.timeout_s), lambda: False)
        except EngineFailed as error:
            raise EngineUnavailable(f"asr engine 'sensevoice': {error}") from error

    def close(self) -> None:
        self.finals.close()

    def stream(self, language: str | None = None, hint: str = "") -> WholeUtteranceStream:
        """One utterance; the model takes no words to expect."""
        del hint
        spoken = spoken_language(language)

        def recognise(samples: Samples, is_stale: IsStale) -> Hypothesis | None:
            return self.finals.submit(Job(samples, spoken)).wait(self.timeout_s, is_stale)

        return WholeUtteranceStream(MIN_SAMPLES, recognise)


def create(settings: Settings) -> SenseVoiceEngine:
    """The engine for the registry. Raises EngineUnavailable."""
    asr = settings.asr
    folder = find_model(
        asr.model or DEFAULT_MODELS["sensevoice"], settings.models, ("config.yaml", "model.pt", "am.mvn")
    )
    # several threads a model wait for each other busily: on two loaded cores a full-size model becomes 20 times slower
    torch.set_num_threads(1)
    loaded = load_model(folder, "asr.model", MODELS, asr.device)
    return SenseVoiceEngine(SenseVoice(loaded, asr.inverse_normalization), asr.timeout_s)
