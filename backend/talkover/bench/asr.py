"""`talkover bench asr`: any recogniser on any recordings with transcripts.

Without a server: each recording is fed in real time, in pieces as the receiver hands them over, so that captions and
finals take what they take in a conversation. Error rates and slots do not depend on the machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from talkover.audio import INPUT_RATE_HZ, ms_to_samples
from talkover.bench import machine, report
from talkover.bench.figures import Figure, PartResult, summarize
from talkover.bench.live_feed import feed
from talkover.bench.transcript_scores import (
    Stability,
    character_error_rate,
    slots_missed,
    stability,
    word_error_rate,
)
from talkover.bench.transcripts import Sample, read_manifest
from talkover.client.recordings import sounding_spans
from talkover.config import ConfigError, load_settings
from talkover.engines import AsrEngine, EngineFailed, EngineUnavailable, Hypothesis
from talkover.extras import install_command
from talkover.messages import Samples
from talkover.process_tree import tree_cpu_s
from talkover.registry import create_engine
from talkover.rest.audio_files import AudioTooLong, UnreadableAudio, read_audio

LEAD_MS, TAIL_MS = 300, 300
"""room before the first and after the last sound: pre-roll, and the silence until a likely end of turn"""
MAX_RECORDING_S = 300
USAGE_FAULT = 2
FAILURE = 1

screen = report.screen()
notes = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one recording."""

    name: str
    language: str | None
    said: str
    heard: str
    confidence: float | None
    audio_s: float
    first_partial_ms: float | None
    """from the first sound to the first caption; None without captions, or when not fed in real time"""
    final_ms: float
    """from the question for the final text to the answer"""
    stability: Stability
    slots: int
    slots_missed: tuple[str, ...]
    failure: str | None = None


def command(
    engine: Annotated[str | None, typer.Option("--engine", metavar="NAME", help="As asr.engine.")] = None,
    manifest: Annotated[
        Path, typer.Option("--manifest", "-m", metavar="FILE", help="JSON list of {file, text, language}.")
    ] = Path("tests/data/speech/manifest.json"),
    language: Annotated[str | None, typer.Option(help="Only recordings in this one, e.g. en.")] = None,
    unpaced: Annotated[bool, typer.Option("--unpaced", help="As fast as possible; no caption latency then.")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the JSON goes.")] = Path(
        "bench-results"
    ),
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE")] = None,
) -> None:
    """Error rates, latency, stability and CPU of a recogniser on recordings with transcripts."""
    if find_spec("jiwer") is None:
        _fail(f"counting errors needs jiwer: {install_command('bench')}")
    chosen = [f"asr.engine={engine}"] if engine else []
    try:
        settings = load_settings(config, [*(overrides or []), *chosen])
        samples = read_manifest(manifest, language)
    except ConfigError as error:
        _fail(*error.problems)
    except ValueError as error:
        _fail(str(error))
    try:
        asr: AsrEngine = create_engine("asr", settings.asr.engine, settings)
        with notes.status(f"Loading {asr.name}"):
            asr.warmup()
    except EngineUnavailable as error:
        _fail(str(error), code=FAILURE)
    try:
        result = measured(asr, samples, paced=not unpaced)
    except ValueError as error:
        _fail(str(error))
    finally:
        asr.close()
    report.show([result], screen)
    path = output / f"asr-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    head = machine.facts() | {
        "engine": asr.name,
        "manifest": str(manifest),
        "asr": settings.asr.model_dump(mode="json"),
    }
    try:
        report.write(path, head, [result], {})
    except OSError as error:
        _fail(f"{path}: cannot be written: {error.strerror}")
    notes.print(f"Written to {escape(str(path))}", soft_wrap=True, highlight=False)


def measured(asr: AsrEngine, samples: Sequence[Sample], paced: bool) -> PartResult:
    """All recordings, with a bar. Raises ValueError for one that cannot be read."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task(asr.name, total=len(samples))
        return measure(asr, samples, paced, lambda name: progress.update(task, advance=1, description=escape(name)))


def measure(asr: AsrEngine, samples: Sequence[Sample], paced: bool, advance: Callable[[str], None]) -> PartResult:
    """Feed every recording to the engine, one after the other. Raises ValueError for one that cannot be read."""
    found: list[Heard] = []
    audio_s = cpu_s = 0.0
    for sample in samples:
        audio, voiced_ms = _speech(sample)
        before_s = tree_cpu_s(os.getpid()) or 0.0
        found.append(hear(asr, sample, audio, voiced_ms, paced))
        cpu_s += (tree_cpu_s(os.getpid()) or 0.0) - before_s
        audio_s += audio.size / INPUT_RATE_HZ
        advance(sample.name)
    return scored(asr.name, found, cpu_s / audio_s if audio_s else None, paced)


def hear(asr: AsrEngine, sample: Sample, audio: Samples, voiced_ms: float, paced: bool) -> Heard:
    """One recording through one stream. `voiced_ms`: where in `audio` the first sound is."""
    stream = asr.stream(sample.language)
    partials: list[Hypothesis] = []
    first_partial_ms: float | None = None
    started_s = time.monotonic()

    def note(partial: Hypothesis) -> None:
        nonlocal first_partial_ms
        if not partial.text:
            return
        if first_partial_ms is None and paced:
            first_partial_ms = (time.monotonic() - started_s) * 1000 - voiced_ms
        partials.append(partial)

    failure: str | None = None
    final = Hypothesis("")
    try:
        feed(stream, audio, started_s if paced else None, note)
        asked_s = time.monotonic()
        try:
            final = stream.finish(lambda: False)
        except EngineFailed as error:
            failure = str(error)
        final_ms = (time.monotonic() - asked_s) * 1000
    finally:
        stream.close()
    return Heard(
        name=sample.name,
        language=sample.language,
        said=sample.text,
        heard=final.text,
        confidence=final.confidence,
        audio_s=audio.size / INPUT_RATE_HZ,
        first_partial_ms=first_partial_ms,
        final_ms=final_ms,
        stability=stability(partials, final.text),
        slots=len(sample.slots),
        slots_missed=tuple(slots_missed(sample.slots, final.text)),
        failure=failure,
    )


def _speech(sample: Sample) -> tuple[Samples, float]:
    """A recording at 16 kHz, cut to its speech with some room around, and where in it the first sound is, in ms."""
    try:
        samples = read_audio(sample.path.read_bytes(), MAX_RECORDING_S)
    except (OSError, UnreadableAudio, AudioTooLong) as error:
        raise ValueError(f"{sample.path}: {error}") from error
    spans = sounding_spans(samples, INPUT_RATE_HZ, float("inf"))
    if not spans:
        return samples, 0.0
    start_ms = max(0.0, spans[0].start_ms - LEAD_MS)
    begin = ms_to_samples(start_ms, INPUT_RATE_HZ)
    end = ms_to_samples(spans[0].end_ms + TAIL_MS, INPUT_RATE_HZ)
    speech = samples[begin:end]
    missing = end - begin - speech.size
    return np.concatenate([speech, np.zeros(missing, np.float32)]), spans[0].start_ms - start_ms


def scored(name: str, found: Sequence[Heard], cpu_per_audio: float | None, paced: bool) -> PartResult:
    """Figures of one engine over all recordings."""
    said, heard = [item.said for item in found], [item.heard for item in found]
    words, characters = word_error_rate(said, heard), character_error_rate(said, heard)
    slots = sum(item.slots for item in found)
    missed = sum(len(item.slots_missed) for item in found)
    partials = sum(item.stability.partials for item in found)
    revised = sum(item.stability.revised_words for item in found)
    final_words = sum(len(text.split()) for text in heard)
    failures = [f"{item.name}: {item.failure}" for item in found if item.failure is not None]
    first = [item.first_partial_ms for item in found if item.first_partial_ms is not None]
    figures = [
        Figure("word error rate", "%", value=words.percent, note=f"{words.errors} of {words.of}"),
        Figure("character error rate", "%", value=characters.percent, note=f"{characters.errors} of {characters.of}"),
    ]
    if slots:
        recall = 100 * (slots - missed) / slots
        figures.append(Figure("slots heard", "%", value=recall, note=f"{slots - missed} of {slots}"))
    figures += [
        Figure("CPU time / audio", "", value=cpu_per_audio, note="RTF of this process and its children"),
        Figure("first caption after first sound", "ms", summarize(first)),
        Figure("final after it was asked for", "ms", summarize([item.final_ms for item in found])),
    ]
    if partials:
        revisions = revised / final_words if final_words else None
        broken = sum(item.stability.broken_promises for item in found)
        figures += [
            Figure("caption words revised per final word", "", value=revisions, note=f"{partials} partials"),
            Figure("stable prefixes that were not kept", "", value=float(broken)),
        ]
    remarks = [*failures[:5]]
    if not paced:
        remarks.append("fed as fast as possible: finals wait for what is still undecoded")
    return PartResult(
        f"asr {name}",
        f"Recognition by {name}, {len(found)} recordings",
        tuple(figures),
        tuple(remarks),
        [_detail(item) for item in found],
    )


def _detail(item: Heard) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(item)))


def _fail(*lines: str, code: int = USAGE_FAULT) -> NoReturn:
    for line in lines:
        notes.print(f"[red]✗[/] {escape(line)}", soft_wrap=True, highlight=False)
    raise typer.Exit(code)
