"""How what a client recorded becomes figures, on timelines whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from talkover.audio import OUTPUT_RATE_HZ
from talkover.bench import answers, barge_in, capacity, latency
from talkover.bench.caller import Exchange
from talkover.bench.figures import Figure
from talkover.client.loudspeaker import Loudspeaker
from talkover.client.turns import Answer


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name.strip(): figure for figure in figures}


# --------------------------------------------------------------------------------------------------------- latency


def exchange(
    voice_to_voice_ms: float | None, early: bool = False, server_ms: float | None = None, **stages_ms: float
) -> Exchange:
    return Exchange("x", "hello", "hello", "hi", voice_to_voice_ms, server_ms, early, stages_ms, 0.0)


def test_latency_counts_the_answered_only_and_says_how_many():
    found = by_name(latency.score("server_vad", [exchange(600), exchange(None), exchange(800, early=True)]))
    summary = found["voice to voice, server_vad"].summary
    assert summary is not None
    assert (summary.n, summary.p50) == (2, 700)
    answered = found["answered"]
    assert answered.value == pytest.approx(200 / 3)
    assert answered.note == "2 of 3; 1 begun before the user had finished"


def test_the_rest_is_what_no_stage_explains():
    found = by_name(latency.score("x", [exchange(620, endpointing=500, ASR=60, LLM=20, TTS=10)]))
    rest, asr = found["wire and rest"].summary, found["ASR"].summary
    assert rest is not None
    assert asr is not None
    assert (asr.p50, rest.p50) == (60, pytest.approx(30))


def test_answers_without_marks_leave_the_stages_out():
    assert list(by_name(latency.score("x", [exchange(600)]))) == ["voice to voice, x", "answered"]


@pytest.mark.parametrize(("server_ms", "agrees"), [(585, True), (615, True), (575, False), (625, False)])
def test_the_servers_figure_may_be_so_far_from_the_callers_to_either_side(server_ms: float, agrees: bool):
    exchanges = [exchange(600, server_ms=server_ms), exchange(600), exchange(None, server_ms=900)]
    figure = by_name(latency.score("x", exchanges))["of that, not in the server's figure"]
    assert figure.summary is not None
    assert (figure.summary.n, figure.summary.p50) == (1, 600 - server_ms)
    assert [met for _, met in figure.verdicts()] == [agrees]


# -------------------------------------------------------------------------------------------------------- barge-in

TEXT = "one two three four five six"
WORDS: list[dict[str, Any]] = [
    {"start": start, "end": start + len(word), "start_ms": 200 * index, "end_ms": 200 * index + 160}
    for index, (word, start) in enumerate(zip(TEXT.split(), (0, 4, 8, 14, 19, 24), strict=True))
]


def talked_over(heard_ms: float, believed: str, stale_ms: float = 0.0, estimate: int = 0) -> barge_in.Interruption:
    """An answer of 1200 ms that began at 10 s and was stopped after `heard_ms`; the user spoke at 10.3 s."""
    speaker = Loudspeaker()
    speaker.play("i", np.full(round(1.2 * OUTPUT_RATE_HZ), 0.3, np.float32), 10.0)
    speaker.flush(10.0 + heard_ms / 1000)
    if stale_ms:
        speaker.play("i", np.full(round(stale_ms * 24), 0.3, np.float32), 11.0)
    answer = Answer("r", 9.9, ["i"], TEXT, "cancelled", "turn_detected", 1200, WORDS, None, [estimate])
    return barge_in.judge("stock", "x", answer, speaker.stretches, speaker.flushes_s, 10.3, believed, 0)


def test_silence_counts_from_the_users_first_sound_to_the_last_audible_sample():
    assert talked_over(500, "one two").silent_after_ms == pytest.approx(200, abs=0.2)


def test_old_audio_after_the_cut_is_found():
    assert talked_over(500, "one two").old_audio_ms == 0
    result = talked_over(500, "one two", stale_ms=40)
    assert result.old_audio_ms == pytest.approx(40)
    assert result.silent_after_ms == pytest.approx(740, abs=0.2)


@pytest.mark.parametrize(("heard_ms", "words"), [(70, 0), (90, 1), (500, 3), (679, 3), (681, 4), (1200, 6)])
def test_a_word_was_audible_when_half_of_it_sounded(heard_ms: float, words: int):
    assert talked_over(heard_ms, "").words_audible == words


@pytest.mark.parametrize(("believed", "error"), [("one two three", 0), ("one two", 1), ("", 3), (TEXT, 3)])
def test_the_ledger_is_compared_in_words(believed: str, error: int):
    assert talked_over(500, believed).ledger_error == error


def test_the_servers_own_estimate_is_compared_as_well():
    assert talked_over(500, "one two three", estimate=len("one two")).estimate_error == 1


def test_an_answer_that_went_on_is_not_scored_as_yielding():
    speaker = Loudspeaker()
    speaker.play("i", np.full(24_000, 0.3, np.float32), 10.0)
    answer = Answer("r", 9.9, ["i"], TEXT, "completed", None, 1000, WORDS)
    result = barge_in.judge("stock", "x", answer, speaker.stretches, [], 10.3, TEXT, 0)
    assert not result.yielded
    found = by_name(barge_in.score("stock", [result, talked_over(500, "one two three")]))
    assert found["yielded"].note == "1 of 2"
    assert found["heard ledger, words off"].value == 0


# -------------------------------------------------------------------------------------------------------- capacity


def level(sessions: int, times_ms: list[float | None], failures: tuple[str, ...] = ()) -> capacity.Level:
    return capacity.Level(
        sessions, [exchange(time_ms) for time_ms in times_ms], list(failures), cpu_s=6.0, elapsed_s=30.0
    )


def test_the_last_level_before_p95_doubles_is_what_a_core_carries():
    levels = [level(1, [600, 700]), level(2, [650, 900]), level(4, [700, 1390]), level(8, [700, 2000])]
    found = by_name(capacity.score(levels))
    assert found["conversations one core carries"].value == 4
    assert found["CPU of a conversation"].value == 6.0


def test_missing_answers_and_broken_conversations_are_too_much():
    alone = level(1, [600.0] * 4)
    assert capacity.is_too_much(level(2, [600, None, None]), alone)
    assert capacity.is_too_much(level(2, [600, 600], ("gone",)), alone)
    assert capacity.is_too_much(level(2, []), alone)
    assert not capacity.is_too_much(level(2, [600, 1100]), alone)


# --------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("said", "understood", "errors"),
    [
        ("what is talkover", "what is talkover", 0),
        ("what is talkover", "what is talk over", 2),
        ("what is talkover", "", 3),
        ("", "uh", 1),
        ("a b c d", "a x c", 2),
    ],
)
def test_word_errors_are_the_edit_distance(said: str, understood: str, errors: int):
    assert answers.word_errors(said.split(), understood.split()) == errors


def test_answers_are_counted_and_recognition_is_scored_over_all_words():
    verdicts = [
        answers.Verdict("a.wav", "What is Talkover?", "what is talkover", "A voice agent.", True, True),
        answers.Verdict("b.wav", "Who?", "who are", "Sorry?", True, False),
    ]
    found = by_name(answers.score(verdicts))
    assert found["answered on topic by voice"].value == 50
    assert found["word errors of the recogniser"].value == 25


def test_every_question_has_a_pattern_that_does_not_fit_just_anything():
    evasion = "Sorry, I did not find that. You can ask me something else."
    for question in answers.QUESTIONS:
        if question.file != "whatstheweatherlike.wav":  # the honest answer to it is that it does not know
            assert not answers.is_on_topic(question, evasion), question
