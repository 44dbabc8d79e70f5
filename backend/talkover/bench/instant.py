"""Engines that answer at once, so that what is left of the latency is the pipeline's own. Run as a module it serves
them: `python -m talkover.bench.instant PORT`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, level_dbfs, ms_to_samples
from talkover.config import Settings, load_settings
from talkover.engines import (
    Engines,
    Hypothesis,
    IsStale,
    LlmEvent,
    LlmFinished,
    LlmText,
    SpeechChunk,
    Voice,
)
from talkover.messages import Prompt, Samples, VoiceSettings, Word

SPEECH_DBFS = -40.0
"""louder is speech"""
ANSWER = "Of course."
TONE_MS = 300
_RADIANS = 2 * np.pi * 440 / OUTPUT_RATE_HZ * np.arange(ms_to_samples(TONE_MS, OUTPUT_RATE_HZ))
TONE: Samples = (0.3 * np.cos(_RADIANS)).astype(np.float32)
"""audible from its first sample"""


class _Instant:
    name = "instant"

    def warmup(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to free."""


class LevelVad(_Instant):
    """Loud is speech."""

    def stream(self) -> LevelVad:
        return self

    def speech_probability(self, frame: Samples) -> float:
        return float(level_dbfs(frame) > SPEECH_DBFS)

    def reset(self) -> None:
        """There is no state."""


class InstantAsr(_Instant):
    """Always understands the same."""

    def stream(self, language: str | None = None, hint: str = "") -> InstantAsr:
        return self

    def feed(self, samples: Samples) -> Hypothesis | None:
        return None

    def partial(self) -> Hypothesis | None:
        return None

    def finish(self, is_stale: IsStale) -> Hypothesis:
        return Hypothesis("Hello?", len("Hello?"), 1.0)


class InstantLlm(_Instant):
    """Always answers the same."""

    def respond(self, prompt: Prompt, is_stale: IsStale) -> Iterator[LlmEvent]:
        yield LlmText(ANSWER)
        yield LlmFinished()


class InstantTts(_Instant):
    """A tone for every text."""

    def voices(self) -> tuple[Voice, ...]:
        return (Voice("tone", "Tone", "en-US", self.name),)

    def aliases(self) -> Mapping[str, str]:
        return {"default": "tone"}

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: IsStale) -> Iterator[SpeechChunk]:
        yield SpeechChunk(TONE, (Word(0, len(text), 0.0, float(TONE_MS)),))


def instant_engines(_settings: Settings) -> Engines:
    return Engines(LevelVad(), InstantAsr(), InstantLlm(), InstantTts())


def main(port: int) -> None:
    from talkover.serving import serve

    serve(load_settings(overrides=[f"server.port={port}"]), instant_engines)


if __name__ == "__main__":
    main(int(sys.argv[1]))
