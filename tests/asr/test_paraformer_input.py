"""Whatever a microphone may send: a result or a clear reason, and never a hang."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fakes import never
from talkover.audio import INPUT_RATE_HZ
from talkover.engines import EngineFailed
from talkover.messages import Samples

Say = Callable[[str, str], Samples]


def text_of(engine: Any, samples: Samples) -> str:
    stream = engine.stream()
    stream.feed(samples)
    return stream.finish(never).text


def noise(duration_s: float, amplitude: float) -> Samples:
    return (amplitude * np.random.default_rng(1).standard_normal(int(duration_s * INPUT_RATE_HZ))).astype(np.float32)


NOTHING: dict[str, Samples] = {
    "no sample": np.zeros(0, np.float32),
    "one sample": np.ones(1, np.float32),
    "ten milliseconds": noise(0.01, 0.1),
    "just under a frame": noise(0.0599, 0.1),
    "one frame": np.zeros(960, np.float32),
    "half a second of zeros": np.zeros(INPUT_RATE_HZ // 2, np.float32),
    "exactly a chunk of zeros": np.zeros(9600, np.float32),
    "three seconds of zeros": np.zeros(3 * INPUT_RATE_HZ, np.float32),
    "quiet noise": noise(2, 0.001),
    "loud noise": noise(2, 0.05),
    "only NaN": np.full(INPUT_RATE_HZ, np.nan, np.float32),
    "only infinity": np.full(INPUT_RATE_HZ, np.inf, np.float32),
    "direct current": np.full(INPUT_RATE_HZ, 0.5, np.float32),
}


@pytest.mark.parametrize("name", NOTHING)
def test_where_nothing_is_said_nothing_is_understood(each_policy: Any, name: str) -> None:
    assert text_of(each_policy, NOTHING[name]) == ""


def damaged(samples: Samples, how: str) -> Samples:
    changed = samples.copy()
    if how == "clipped":
        changed = np.clip(20 * changed, -1, 1)
    elif how == "far too loud":
        changed = 8 * changed
    elif how == "with direct current":
        changed = 0.5 * changed + 0.3
    elif how == "with NaN":
        changed[::4000] = np.nan
    elif how == "quiet":
        changed = 0.02 * changed
    return changed.astype(np.float32)


@pytest.mark.parametrize("how", ["clipped", "far too loud", "with direct current", "with NaN", "quiet"])
def test_damaged_speech_is_heard_as_well_as_it_can_be(say: Say, paraformer: Any, how: str) -> None:
    words = text_of(paraformer, damaged(say("打开厨房的灯。", "zh-cn-f1"), how))
    common = sum(character in words for character in "打开厨房的灯")
    assert common >= 4, words


def test_a_minute_without_a_pause(say: Say, paraformer: Any) -> None:
    once = say("讲个故事。", "zh-cn-f1")
    samples = np.tile(once, 60 * INPUT_RATE_HZ // once.size + 1)[: 60 * INPUT_RATE_HZ]
    assert text_of(paraformer, samples).count("故事") >= 20


def test_two_voices_at_once_are_a_result(say: Say, paraformer: Any) -> None:
    one, two = say("讲个故事。", "zh-cn-f1"), say("Tell me a story.", "en-us-m1")
    length = min(one.size, two.size)
    text_of(paraformer, one[:length] + two[:length])


def test_endless_speech_is_refused_with_its_limit(paraformer: Any) -> None:
    stream = paraformer.stream()
    for _ in range(31):
        stream.feed(np.zeros(10 * INPUT_RATE_HZ, np.float32))
    with pytest.raises(EngineFailed, match="must be at most 300 s"):
        stream.finish(never)
