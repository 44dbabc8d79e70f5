"""What broken engines give: values of the right type that no working engine returns, and values of wrong types."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ
from talkover.chaos.plan import Garbage
from talkover.engines import Hypothesis, LlmEvent, LlmFinished, LlmText, SpeechChunk
from talkover.messages import Samples

CONTROL_CHARACTERS = "\x00\x07\x1b[31mred\x1b[0m\x7f\u202e\ufffe"
HUGE_CHARACTERS = 5_000_000
SECOND: Samples = np.full(OUTPUT_RATE_HZ, 0.1, np.float32)


def probability(kind: Garbage) -> Any:
    """Of a voice detector."""
    return float("nan") if kind == "nan" else "loud"


def hypothesis(kind: Garbage) -> Any:
    """Of a recogniser."""
    match kind:
        case "silent":
            return Hypothesis("")
        case "huge":
            return Hypothesis("word " * (HUGE_CHARACTERS // 5))
        case "control_characters":
            return Hypothesis(f"What is {CONTROL_CHARACTERS} Talkover?", confidence=float("nan"))
        case _:
            return None


def answer(kind: Garbage) -> Iterator[LlmEvent]:
    """Of a language model."""
    match kind:
        case "silent":
            yield LlmFinished()
        case "endless":
            yield from (LlmText(text) for text in repeat("And so on and on. "))
        case "huge":
            yield LlmText("a" * HUGE_CHARACTERS)
            yield LlmFinished()
        case "control_characters":
            yield LlmText(f"This is {CONTROL_CHARACTERS} it.")
            yield LlmFinished()
        case _:
            nothing: Any = None
            yield nothing


def speech(kind: Garbage) -> Iterator[Any]:
    """Of a synthesiser."""
    match kind:
        case "nan":
            yield SpeechChunk(np.where(np.arange(SECOND.size) % 7 == 0, np.nan, SECOND).astype(np.float32))
        case "infinite":
            yield SpeechChunk(SECOND * np.float32("inf"))
        case "loud":  # int16 that was never scaled
            yield SpeechChunk(SECOND * 32768)
        case "silent":
            yield SpeechChunk(SECOND[:0])
        case "wrong_shape":
            yield SpeechChunk(np.stack([SECOND, SECOND]))
        case "endless":
            yield from repeat(SpeechChunk(SECOND))
        case _:
            yield b"RIFF"
