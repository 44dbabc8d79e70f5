"""An engine in front of another: when its final is uncertain, the other one hears the utterance, too.

The other engine gets the audio only then, so certain utterances cost nothing, and it has a limited time, by default the
silence that passes anyway between a likely end of a turn and its confirmation. When it fails or takes longer, the first
text stands, uncertain as it is.
"""

from __future__ import annotations

import logging
import time

from talkover.asr.fusion import Score, fused, text_score, tokens_of
from talkover.asr.utterance_audio import UtteranceAudio
from talkover.config import Settings
from talkover.engines import AsrEngine, AsrStream, EngineFailed, EngineUnavailable, Hypothesis, IsStale
from talkover.messages import Samples
from talkover.registry import create_engine, unknown_engine
from talkover.resources import knowledge_folder

log = logging.getLogger(__name__)

MAX_DOCUMENT_BYTES = 2_000_000


class SecondOpinion:
    """`AsrEngine` made of two."""

    def __init__(self, first: AsrEngine, second: AsrEngine, below: float, score: Score, wait_s: float) -> None:
        self.name = f"{first.name}+{second.name}"
        self.first, self.second = first, second
        self.below = below
        self.score = score
        self.wait_s = wait_s

    def warmup(self) -> None:
        self.first.warmup()
        self.second.warmup()

    def close(self) -> None:
        self.first.close()
        self.second.close()

    def stream(self, language: str | None = None, hint: str = "") -> SecondOpinionStream:
        return SecondOpinionStream(self, language, hint)


class SecondOpinionStream:
    """One utterance."""

    def __init__(self, engine: SecondOpinion, language: str | None, hint: str) -> None:
        self._engine = engine
        self._language, self._hint = language, hint
        self._stream: AsrStream = engine.first.stream(language, hint)
        self._audio = UtteranceAudio()

    def feed(self, samples: Samples) -> Hypothesis | None:
        self._audio.add(samples)
        return self._stream.feed(samples)

    def partial(self) -> Hypothesis | None:
        return self._stream.partial()

    def finish(self, is_stale: IsStale) -> Hypothesis:
        heard = self._stream.finish(is_stale)
        uncertain = heard.confidence is not None and heard.confidence < self._engine.below
        # where the first heard no words, the other would only invent some
        if not uncertain or not tokens_of(heard.text) or is_stale():
            return heard
        deadline_s = time.monotonic() + self._engine.wait_s

        def is_late() -> bool:
            return is_stale() or time.monotonic() > deadline_s

        try:
            other = self._ask(is_late)
        except EngineFailed as error:
            log.warning("second opinion of %s: %s", self._engine.second.name, error)
            return heard
        return heard if is_late() else fused(heard, other, self._engine.score)

    def close(self) -> None:
        self._stream.close()
        self._audio.clear()

    def _ask(self, is_stale: IsStale) -> Hypothesis:
        stream = self._engine.second.stream(self._language, self._hint)
        try:
            stream.feed(self._audio.joined())
            return stream.finish(is_stale)
        finally:
            stream.close()


def with_second_opinion(first: AsrEngine, settings: Settings) -> AsrEngine:
    """`first`, backed by the engine that `asr.second_opinion` names; `first` itself when it names none.

    The other engine takes its model and address from `asr.second_opinion_model` and `asr.second_opinion_base_url`.
    Raises EngineUnavailable, with `first` closed.
    """
    asr = settings.asr
    if asr.second_opinion is None:
        return first
    changes = {
        "engine": asr.second_opinion,
        "model": asr.second_opinion_model,
        "base_url": asr.second_opinion_base_url,
        "second_opinion": None,
    }
    try:
        if (problem := unknown_engine("asr", asr.second_opinion)) is not None:
            raise EngineUnavailable(problem.replace("asr.engine", "asr.second_opinion"))
        others = settings.model_copy(update={"asr": asr.model_copy(update=changes)})
        second: AsrEngine = create_engine("asr", asr.second_opinion, others)
    except EngineUnavailable:
        first.close()
        raise
    score = text_score(_documents(settings))
    return SecondOpinion(first, second, asr.second_opinion_below, score, asr.second_opinion_wait_ms / 1000)


def _documents(settings: Settings) -> list[str]:
    """What the conversation is likely to be about."""
    texts: list[str] = []
    left = MAX_DOCUMENT_BYTES
    folder = knowledge_folder(settings.knowledge.path)
    for path in sorted(folder.rglob("*.md")) if folder.is_dir() else ():
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if len(data) > left:
            break
        left -= len(data)
        texts.append(data.decode("utf-8", errors="replace"))
    return texts
