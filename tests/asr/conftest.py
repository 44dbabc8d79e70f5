"""Recognisers, loaded once for the tests of a module, and speech for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import numpy as np
import pytest

from fakes import never
from small_paraformer import needs_funasr, paraformer_settings
from talkover.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, resampled
from talkover.config import Settings
from talkover.engines import AsrEngine, TtsEngine
from talkover.messages import Samples, VoiceSettings
from talkover.registry import create_engine


@contextmanager
def _loaded(*overrides: str) -> Iterator[AsrEngine]:
    needs_funasr()
    engine: AsrEngine = create_engine("asr", "paraformer", paraformer_settings(*overrides))
    try:
        engine.warmup()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def paraformer() -> Iterator[AsrEngine]:
    """All three models, with the settings a user gets."""
    with _loaded() as engine:
        yield engine


@pytest.fixture(scope="module", params=["always", "unless_confident", "never"])
def each_policy(request: pytest.FixtureRequest) -> Iterator[AsrEngine]:
    """One for each `asr.second_pass`."""
    with _loaded(f"second_pass={request.param}") as engine:
        yield engine


@pytest.fixture
def make_paraformer() -> Iterator[Callable[..., AsrEngine]]:
    """`make_paraformer("second_pass=never", ...)`."""
    with ExitStack() as stack:
        yield lambda *overrides: stack.enter_context(_loaded(*overrides))


@pytest.fixture(scope="session")
def say() -> Iterator[Callable[[str, str], Samples]]:
    """`say(text, voice)`: (n,) float32 at 16 kHz as it reaches a recogniser, with room before and after."""
    engine: TtsEngine = create_engine("tts", "espeak", Settings())
    engine.warmup()

    @cache
    def speak(text: str, voice: str) -> Samples:
        chunks = [chunk.samples for chunk in engine.synthesize(text, VoiceSettings(voice), never)]
        speech = resampled(np.concatenate(chunks), OUTPUT_RATE_HZ, INPUT_RATE_HZ)
        room = 0.0005 * np.random.default_rng(0).standard_normal(speech.size + INPUT_RATE_HZ).astype(np.float32)
        room[INPUT_RATE_HZ // 2 : -INPUT_RATE_HZ // 2] += speech
        return room

    yield speak
    engine.close()
