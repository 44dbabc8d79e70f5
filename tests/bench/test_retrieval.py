"""The question set of `talkover bench retrieval`, and what it makes of outcomes."""

from __future__ import annotations

import pytest

from knowledge_files import start_library_threads
from talkover.bench.retrieval import SEARCH_LIMIT, Outcome, figures, measured, recall
from talkover.bench.retrieval_set import Question, distractors, documentation, questions
from talkover.config import load_settings
from talkover.knowledge.chunking import chunks_of, source_of


@pytest.fixture(scope="module", autouse=True)
def _library_threads() -> None:
    start_library_threads()


def test_every_question_has_a_passage_that_answers_it() -> None:
    sources = [source_of(chunk, 0.0) for chunk in chunks_of(documentation())]
    assert [asked.question for asked in questions() if not any(map(asked.is_answered_by, sources))] == []


def test_questions_are_asked_once_and_split_in_halves() -> None:
    asked = [question.question for question in questions()]
    assert len(set(asked)) == len(asked) >= 120
    held_out = sum(question.split == "held-out" for question in questions())
    assert abs(2 * held_out - len(asked)) <= 2


def test_distractors_are_as_many_as_wanted_and_always_the_same() -> None:
    first, again = distractors(60), distractors(60)
    assert first == again
    assert sum(1 for _ in chunks_of(first)) == 60


def test_recall_counts_ranks() -> None:
    question = Question("held-out", "python", "q")
    outcomes = [Outcome(question, rank, 1.0) for rank in (1, 3, None, 5)]
    assert (recall(outcomes, 1), recall(outcomes, 3), recall(outcomes, SEARCH_LIMIT)) == (0.25, 0.5, 0.75)
    assert [figure.value for figure in figures("words", outcomes)][:2] == [25.0, 75.0]


def test_words_alone_are_measured_where_no_model_is_wanted(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = measured(load_settings(None, ["knowledge.embeddings=none"], environ={}), 1200, lambda *_: None)
    assert result.failure is None
    names = [figure.name for figure in result.figures]
    assert names[0] == "words: recall@1, held-out"
    assert not any("meaning" in name for name in names)
    assert result.figures[1].value is not None
    assert result.figures[1].value > 40
    assert len(result.details) == len(questions())
