"""Two texts for one utterance, and two engines behind one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeEngine, ScriptedAsr, never
from live import eventually
from talkover.asr.fusion import MAX_AGREED_CONFIDENCE, agreement, edit_distance, fused, text_score, tokens_of
from talkover.asr.second_opinion import SecondOpinion, with_second_opinion
from talkover.config import load_settings
from talkover.engines import EngineFailed, EngineUnavailable, Hypothesis, IsStale
from talkover.messages import Samples

SECOND = np.full(16_000, 0.1, np.float32)
words = st.lists(
    st.sampled_from(["what", "time", "is", "it", "now", "turn", "on", "the", "light", "灯", "开"]), max_size=8
)
hypotheses = st.builds(
    lambda text, confidence: Hypothesis(text, len(text), confidence),
    st.text(max_size=30) | words.map(" ".join),
    st.none() | st.floats(0, 1),
)


def flat(tokens: Any) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's the TIME, please?", ("what's", "the", "time", "please")),
        ("打开 Talkover 的设置。", ("打", "开", "talkover", "的", "设", "置")),
        ("３.５ GHz, 10,000 items", ("3.5", "ghz", "10", "000", "items")),
        ("don’t - stop…", ("don't", "stop")),
        ("  ?! ", ()),
    ],
)
def test_tokens_ignore_how_a_text_is_written(text: str, tokens: tuple[str, ...]) -> None:
    assert tokens_of(text) == tokens


@given(words, words)
def test_agreement_is_a_symmetric_share(one: list[str], other: list[str]) -> None:
    assert agreement(one, other) == agreement(other, one)
    assert 0 <= agreement(one, other) <= 1
    assert (agreement(one, other) == 1) == (one == other)
    assert edit_distance(one, other) >= abs(len(one) - len(other))


@given(words, words, words)
def test_edit_distance_obeys_the_triangle(one: list[str], other: list[str], third: list[str]) -> None:
    assert edit_distance(one, third) <= edit_distance(one, other) + edit_distance(other, third)


@given(hypotheses, hypotheses)
def test_the_result_is_one_of_the_two_and_as_sure_as_they_deserve(first: Hypothesis, second: Hypothesis) -> None:
    result = fused(first, second, flat)
    assert result.text in (first.text, second.text)
    if tokens_of(first.text) and tokens_of(second.text):
        assert result.confidence is not None
        certainties = [0.5 if h.confidence is None else h.confidence for h in (first, second)]
        if tokens_of(first.text) == tokens_of(second.text):
            assert result.text == first.text
            assert result.confidence >= min(MAX_AGREED_CONFIDENCE, *certainties) - 1e-9
        else:
            assert result.confidence <= max(certainties)


def test_the_same_words_make_each_other_certain() -> None:
    result = fused(Hypothesis("Turn on the light.", 18, 0.3), Hypothesis("turn on the light", 17, 0.6), flat)
    assert (result.text, result.confidence) == ("Turn on the light.", pytest.approx(0.72))


def test_confidence_decides_and_disagreement_stays_uncertain() -> None:
    result = fused(Hypothesis("turn of the lied", 16, 0.2), Hypothesis("turn on the light", 17, 0.8), flat)
    assert result.text == "turn on the light"
    assert result.confidence == pytest.approx(0.4)


def test_the_language_model_decides_between_equals() -> None:
    score = text_score(["How do I turn on the light? The light is in the hall.", "请打开灯。"])
    first, second = Hypothesis("turn on the lied", 16, 0.3), Hypothesis("turn on the light", 17, 0.3)
    assert fused(first, second, score).text == "turn on the light"
    assert fused(second, first, score).text == "turn on the light"
    assert score(tokens_of("打开灯")) > score(tokens_of("大开等"))
    assert fused(first, second, text_score([])).text == "turn on the lied"


@given(words, words)
def test_scores_are_log_probabilities(known: list[str], asked: list[str]) -> None:
    assert text_score([" ".join(known)])(tokens_of(" ".join(asked))) <= 0


class Certain(FakeEngine):
    """Hears one text with one confidence, or fails; counts what it is asked."""

    def __init__(self, text: str, confidence: float | None, failure: EngineFailed | None = None) -> None:
        self.name = text.partition(" ")[0]
        self.heard = Hypothesis(text, len(text), confidence)
        self.failure = failure
        self.utterances: list[list[Samples]] = []
        self.open_streams = 0

    def stream(self, language: str | None = None, hint: str = "") -> _CertainStream:
        self.utterances.append([])
        self.open_streams += 1
        return _CertainStream(self, self.utterances[-1])


class _CertainStream:
    def __init__(self, engine: Certain, pieces: list[Samples]) -> None:
        self._engine, self._pieces = engine, pieces

    def feed(self, samples: Samples) -> Hypothesis | None:
        self._pieces.append(samples)
        return Hypothesis("partial")

    def partial(self) -> Hypothesis | None:
        return None

    def finish(self, is_stale: IsStale) -> Hypothesis:
        if self._engine.failure is not None:
            raise self._engine.failure
        return self._engine.heard

    def close(self) -> None:
        self._engine.open_streams -= 1


def heard_by(first: Certain, second: Certain, is_stale: IsStale = never) -> Hypothesis:
    engine = SecondOpinion(first, second, 0.35, flat, 10)
    engine.warmup()
    stream = engine.stream("en", "hint")
    assert stream.feed(SECOND[:9000]) == Hypothesis("partial")
    stream.feed(SECOND[9000:])
    heard = stream.finish(is_stale)
    stream.close()
    engine.close()
    assert first.open_streams == second.open_streams == 0
    return heard


def test_a_certain_final_is_not_asked_about() -> None:
    second = Certain("other", 0.9)
    assert heard_by(Certain("sure", 0.4), second).text == "sure"
    assert heard_by(Certain("unknown", None), second).text == "unknown"
    assert heard_by(Certain("", 0.1), second).text == ""
    assert not second.utterances


def test_an_uncertain_final_is_heard_by_the_other_from_its_first_sample() -> None:
    second = Certain("turn on the light", 0.9)
    assert heard_by(Certain("tern on a lied", 0.2), second).text == "turn on the light"
    [pieces] = second.utterances
    assert np.array_equal(np.concatenate(pieces), SECOND)


def test_when_the_other_fails_the_first_text_stands() -> None:
    failing = Certain("other", 0.9, EngineFailed("away"))
    assert heard_by(Certain("a guess", 0.2), failing) == Hypothesis("a guess", 7, 0.2)


class Slow(Certain):
    """Is asked whether it may stop until it may."""

    def stream(self, language: str | None = None, hint: str = "") -> _CertainStream:
        return _SlowStream(self, [])


class _SlowStream(_CertainStream):
    def finish(self, is_stale: IsStale) -> Hypothesis:
        assert eventually(is_stale)
        return Hypothesis("too late", 8, 0.9)

    def close(self) -> None:
        """Counts nothing."""


def test_the_first_text_stands_when_the_other_takes_too_long() -> None:
    stream = SecondOpinion(Certain("a guess", 0.2), Slow("other", 0.9), 0.35, flat, 0.05).stream("en")
    stream.feed(SECOND)
    assert stream.finish(never) == Hypothesis("a guess", 7, 0.2)


def test_a_stale_utterance_is_not_asked_about() -> None:
    second = Certain("other", 0.9)
    assert heard_by(Certain("a guess", 0.2), second, lambda: True).text == "a guess"
    assert not second.utterances


def test_settings_choose_the_other_engine() -> None:
    settings = load_settings(
        None, ["asr.second_opinion=openai", "asr.second_opinion_base_url=http://127.0.0.1:9/v1"], {}
    )
    both = with_second_opinion(ScriptedAsr(), settings)
    assert both.name == "fake+openai"
    both.close()
    assert isinstance(with_second_opinion(ScriptedAsr(), load_settings(None, [], {})), ScriptedAsr)
    with pytest.raises(EngineUnavailable, match=r"asr\.second_opinion must be one of"):
        with_second_opinion(ScriptedAsr(), load_settings(None, ["asr.second_opinion=nobody"], {}))
