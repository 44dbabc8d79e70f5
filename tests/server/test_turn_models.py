"""Models beside recognition, over the socket: what they say reaches the decision, and when they fail nothing stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fakes import ScriptedAsr, ScriptedLlm, fake_engines
from recordings import silence, tone
from talkover.engines import EngineFailed
from talkover.messages import PromptMessage, Samples
from wire import WireClient


class Opinion:
    """A turn model that always says the same."""

    def __init__(self, probability: float | None, hears: bool) -> None:
        self.hears = hears
        self.asked: list[tuple[int, list[str]]] = []
        self._probability = probability

    def end_probability(self, samples: Samples, messages: Sequence[PromptMessage]) -> float:
        self.asked.append((samples.size, [message.text for message in messages]))
        if self._probability is None:
            raise EngineFailed("no opinion today")
        return self._probability


def turn_end_ms(serve, model: Opinion) -> int:
    """Where on the audio clock the turn was over."""
    engines = replace(fake_engines(ScriptedAsr("i would like to book a table"), ScriptedLlm("Fine.")), turn=model)
    with WireClient(serve(engines).ws_url) as client:
        client.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
        client.say_live(np.concatenate([silence(0.2), tone(0.8), silence(2.4)]))
        client.nth("response.done")
        return client.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]


@pytest.mark.parametrize("hears", [True, False])
def test_what_a_turn_model_says_moves_the_end_of_the_turn(serve, hears: bool):
    unsure, sure = Opinion(0.35, hears), Opinion(0.98, hears)
    assert turn_end_ms(serve, sure) + 100 < turn_end_ms(serve, unsure)
    n_samples, messages = unsure.asked[0]
    assert n_samples >= 0.8 * 16_000
    assert messages == ([] if hears else ["i would like to book a table"])


def test_a_turn_model_that_fails_costs_no_turn(serve):
    broken = Opinion(None, hears=True)
    assert 1000 < turn_end_ms(serve, broken) < 3500
    assert broken.asked
