"""From costs to conversations, and whether running ones are late."""

from __future__ import annotations

import pytest

from talkover.metrics import Timeline, TurnMetrics
from talkover.realtime.actions import ResponseFinished
from talkover.realtime.capacity import MAX_SESSIONS, Costs, EngineCost, capacity
from talkover.realtime.lateness import MIN_ANSWERS, WINDOW_S, LatenessWatch, RecentLags

LISTENING_S = 0.022
ASR = EngineCost("pocketsphinx", 0.12, 0.12, 2, in_process=False)
TTS = EngineCost("espeak", 0.009, 0.009, 3)


def test_one_core_carries_what_the_benchmark_measured():
    """3.2 s of a core a minute to listen, 10.3 to converse: the costs are those of the machine on which two callers
    were answered as soon as one, and four were not."""
    found = capacity(Costs(LISTENING_S, ASR, TTS), cores=1)
    assert found.sessions == 2
    assert next(iter(found.limits)) == "1 core"
    assert str(found).startswith("carries 2 conversations: 1 core 2.")


def test_twice_the_cores_carry_twice_as_many_until_something_else_is_the_limit():
    costs = Costs(LISTENING_S, ASR, TTS)
    assert capacity(costs, 2).sessions == 5
    one_worker = Costs(LISTENING_S, EngineCost("pocketsphinx", 0.12, 0.12, 1, in_process=False), TTS)
    assert next(iter(capacity(one_worker, 64).limits)) == "pocketsphinx x 1"
    assert next(iter(capacity(costs, 64).limits)) == "interpreter"


def test_an_engine_elsewhere_is_no_limit_here():
    found = capacity(Costs(LISTENING_S, None, None), cores=4)
    assert set(found.limits) == {"4 cores", "interpreter"}


def test_an_engine_slower_than_speech_still_carries_one():
    slow = EngineCost("cosyvoice2", 4.0, 4.0, 1)
    found = capacity(Costs(LISTENING_S, None, slow), cores=2)
    assert found.sessions == 1
    assert next(iter(found.limits.values())) < 1


def test_a_machine_without_end_is_bounded():
    assert capacity(Costs(1e-6, None, None), cores=1000).sessions == MAX_SESSIONS


def test_a_device_beside_the_processor_is_limited_by_its_time():
    on_gpu = EngineCost("cosyvoice2", 0.01, 0.3, 1)
    found = capacity(Costs(LISTENING_S, None, on_gpu), cores=32)
    assert next(iter(found.limits)) == "cosyvoice2 x 1"


# ---------------------------------------------------------------------------------------------------------- lateness


def lags(*values_s: float, bound_s: float | None = 1.0) -> RecentLags:
    recent = RecentLags(bound_s)
    for index, lag_s in enumerate(values_s):
        recent.add(lag_s, float(index))
    return recent


def test_one_slow_answer_of_a_few_is_enough_and_of_many_is_not():
    assert lags(0.1, 0.1, 2.0).are_late(3.0)
    assert not lags(*[0.1] * 25, 2.0).are_late(8.0)


def test_too_few_answers_say_nothing():
    assert not lags(*[9.0] * (MIN_ANSWERS - 1)).are_late(3.0)


def test_lateness_is_forgotten_when_nobody_is_answered():
    recent = lags(2.0, 2.0, 2.0)
    assert recent.are_late(WINDOW_S)
    assert not recent.are_late(WINDOW_S + 1.5)


def test_without_a_bound_nothing_is_late():
    assert not lags(9.0, 9.0, 9.0, bound_s=None).are_late(3.0)


@pytest.mark.parametrize(("stages", "late"), [(("asr", "tts_ttfb"), True), (("tts_ttfb",), False), ((), False)])
def test_only_what_this_machine_does_counts(stages: tuple, late: bool):
    watch = LatenessWatch(1.0, stages)
    timeline = Timeline()
    for name, at_s in (
        ("speech_end", 0.0),
        ("turn_end", 0.5),
        ("transcript_final", 1.9),
        ("llm_first_token", 4.0),
        ("tts_first_audio", 4.1),
    ):
        timeline.mark(name, at_s)
    for _ in range(MIN_ANSWERS):
        for marks in (timeline, Timeline()):
            turn = TurnMetrics.of(marks, item_id=None, response_id="resp_1", status="completed", audio_ms=100)
            watch.decided([ResponseFinished(turn)], 5.0)
    assert watch.are_late(6.0) is late
