"""Paraformer through FunASR: partials from the streaming model, finals from the offline one, punctuation, digits.

Two threads serve all sessions, one for each model, so that the chunks of those who speak do not wait for the finals of
those who have spoken. Finals that wait at the same time are decoded as one batch. Any of the models may be absent:
without the streaming one there are no partials, without the offline one the streamed text is the final one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from talkover.asr import offline_paraformer, punctuation, streaming_paraformer
from talkover.asr.batching import Batcher
from talkover.asr.digits import InverseNormalizer
from talkover.asr.funasr_models import load_model
from talkover.asr.live_decoding import LiveThread, LiveUtterance, advance_all
from talkover.asr.offline_paraformer import OfflineParaformer, hint_words
from talkover.asr.punctuation import Punctuator
from talkover.asr.streaming_paraformer import StreamingParaformer
from talkover.asr.tokens import Token, confidence, lowest, written
from talkover.asr.utterance_audio import UtteranceAudio
from talkover.audio import INPUT_RATE_HZ
from talkover.config import Settings
from talkover.engines import EngineFailed, EngineUnavailable, Hypothesis, IsStale
from talkover.messages import Samples
from talkover.models import find_model
from talkover.sections.engines import AsrSettings

SecondPass = Literal["always", "unless_confident", "never"]

CONFIDENT = 0.8
"""probability every streamed token must have to go without the second pass"""
_MAX_BATCH = 16
_GATHER_S = 0.003
"""how long a final waits for others to share its batch"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FinalJob:
    """An utterance to be decoded as a whole."""

    samples: Samples
    hint: tuple[str, ...]


class ParaformerEngine:
    """`AsrEngine` for any number of sessions."""

    name = "paraformer"
    slots = 1
    """one thread; what it does for several in one step counts as done for one"""

    def __init__(
        self,
        offline: OfflineParaformer | None,
        streaming: StreamingParaformer | None,
        punctuator: Punctuator | None,
        normalizer: InverseNormalizer | None,
        second_pass: SecondPass,
        timeout_s: float,
    ) -> None:
        self.streaming = streaming
        self.second_pass: SecondPass = second_pass
        self.timeout_s = timeout_s
        self._punctuator = punctuator
        self._normalizer = normalizer
        self.finals = None if offline is None else _final_thread(offline)
        self.live: LiveThread | None = None if streaming is None else Batcher("paraformer-live", advance_all)

    def warmup(self) -> None:
        noise = 0.01 * np.random.default_rng(0).standard_normal(2 * INPUT_RATE_HZ).astype(np.float32)
        try:
            if self.streaming is not None and self.live is not None:
                utterance = LiveUtterance(self.streaming, self.live)
                utterance.feed(noise)
                utterance.finish(self.timeout_s, _never)
            if self.finals is not None:
                self.finals.submit(FinalJob(noise, ())).wait(self.timeout_s, _never)
            self.finished_text("a")
        except EngineFailed as error:
            raise EngineUnavailable(f"asr engine 'paraformer': {error}") from error

    def close(self) -> None:
        for thread in (self.live, self.finals):
            if thread is not None:
                thread.close()

    def stream(self, language: str | None = None, hint: str = "") -> ParaformerStream:
        """One utterance; the models tell Mandarin and English apart themselves, so `language` changes nothing."""
        del language
        return ParaformerStream(self, tuple(hint_words(hint)))

    def finished_text(self, text: str) -> str:
        """`text` as it is shown and answered: with punctuation, with digits."""
        if self._punctuator is not None:
            text = self._punctuator.punctuate(text)
        return text if self._normalizer is None else self._normalizer.written(text)


class ParaformerStream:
    """One utterance."""

    def __init__(self, engine: ParaformerEngine, hint: tuple[str, ...]) -> None:
        self._engine = engine
        self._hint = hint
        self._audio = UtteranceAudio()
        self._told: tuple[Token, ...] = ()
        self._live: LiveUtterance | None = None
        if engine.streaming is not None and engine.live is not None:
            self._live = LiveUtterance(engine.streaming, engine.live)

    def feed(self, samples: Samples) -> Hypothesis | None:
        kept = self._audio.add(samples)
        if self._live is not None:
            self._live.feed(kept)
        return self.partial()

    def partial(self) -> Hypothesis | None:
        if self._live is None:
            return None
        tokens, settled = self._live.newest()
        if tokens == self._told:
            return None
        self._told = tokens
        text = written(token.text for token in tokens)
        stable = written(token.text for token in tokens[:settled])
        stable_chars = len(stable) if text.startswith(stable) else 0
        return Hypothesis(text, stable_chars, confidence(tokens), language_of(text))

    @property
    def is_behind(self) -> bool:
        """Whether what was fed will still change the partial by itself."""
        return self._live is not None and self._live.is_behind

    def finish(self, is_stale: IsStale) -> Hypothesis:
        try:
            tokens = self._tokens(self._audio.joined(), is_stale)
        finally:
            self._stop_live()
        text = written(token.text for token in tokens)
        if text and not is_stale():
            text = self._engine.finished_text(text)
        return Hypothesis(text, len(text), confidence(tokens), language_of(text))

    def close(self) -> None:
        self._audio.clear()
        self._stop_live()

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.close()

    def _tokens(self, samples: Samples, is_stale: IsStale) -> Sequence[Token]:
        finals, policy = self._engine.finals, self._engine.second_pass
        if finals is None or (policy != "always" and self._live is not None):
            tokens = () if self._live is None else self._live.finish(self._engine.timeout_s, is_stale)
            if finals is None or policy == "never" or lowest(tokens) >= CONFIDENT or is_stale():
                return tokens
        self._stop_live()  # its chunks would only take time from this
        return finals.submit(FinalJob(samples, self._hint)).wait(self._engine.timeout_s, is_stale) or ()


def create(settings: Settings) -> ParaformerEngine:
    """The engine for the registry. Raises EngineUnavailable."""
    asr = settings.asr
    if asr.model is None and asr.streaming_model is None:
        raise EngineUnavailable(
            "asr engine 'paraformer' needs asr.model or asr.streaming_model: paraformer-zh, or a folder"
        )
    if asr.model is None and asr.second_pass == "always" and "second_pass" in asr.model_fields_set:
        raise EngineUnavailable("asr.second_pass 'always' needs asr.model: paraformer-zh, or a folder")
    # several threads a model wait for each other busily: on two loaded cores a full-size model becomes 20 times slower
    torch.set_num_threads(1)
    return ParaformerEngine(
        offline=_offline(settings, asr),
        streaming=_streaming(settings, asr),
        punctuator=_punctuator(settings, asr),
        normalizer=InverseNormalizer() if asr.inverse_normalization else None,
        second_pass=asr.second_pass,
        timeout_s=asr.timeout_s,
    )


def language_of(text: str) -> str | None:
    """BCP 47 tag of what a transcript is mostly written in; None for an empty one."""
    if not text:
        return None
    return "zh" if any("\u4e00" <= character <= "\u9fff" for character in text) else "en"


def _offline(settings: Settings, asr: AsrSettings) -> OfflineParaformer | None:
    if asr.model is None:
        return None
    folder = find_model(asr.model, settings.models)
    return OfflineParaformer(load_model(folder, "asr.model", offline_paraformer.MODELS, asr.device), asr.hotwords)


def _streaming(settings: Settings, asr: AsrSettings) -> StreamingParaformer | None:
    if asr.streaming_model is None:
        return None
    folder = find_model(asr.streaming_model, settings.models)
    loaded = load_model(folder, "asr.streaming_model", streaming_paraformer.MODELS, asr.device)
    return StreamingParaformer(loaded, asr.chunk_ms)


def _punctuator(settings: Settings, asr: AsrSettings) -> Punctuator | None:
    if asr.punctuation_model is None:
        return None
    folder = find_model(asr.punctuation_model, settings.models)
    return Punctuator(load_model(folder, "asr.punctuation_model", punctuation.MODELS, asr.device))


def _final_thread(offline: OfflineParaformer) -> Batcher[FinalJob, list[Token]]:
    def run(jobs: Sequence[FinalJob]) -> list[list[Token]]:
        found: dict[int, list[Token]] = {}
        for hint in dict.fromkeys(job.hint for job in jobs):
            rows = [index for index, job in enumerate(jobs) if job.hint == hint]
            decoded = offline.recognise([jobs[index].samples for index in rows], hint)
            found.update(zip(rows, decoded, strict=True))
        return [found[index] for index in range(len(jobs))]

    return Batcher("paraformer-final", run, max_batch=_MAX_BATCH, gather_s=_GATHER_S)


def _never() -> bool:
    return False
