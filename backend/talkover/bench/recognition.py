"""The embedded recogniser as a part of the benchmark: what a language model made for the documents is worth.

Voice commands of people who order coffee, heard once with the language model that pocketsphinx ships and once with the
one that Talkover builds when a menu lies in the knowledge folder; and read English with the one it builds from its own
documents, where little of what is read is to be found.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pocketsphinx

from talkover.asr.utterance_audio import WholeUtteranceStream
from talkover.audio import samples_to_pcm16
from talkover.bench.asr import measure as measure_engine
from talkover.bench.figures import Figure, PartResult
from talkover.bench.part import Setting
from talkover.bench.transcripts import Sample, read_manifest
from talkover.config import load_settings
from talkover.engines import AsrEngine, EngineUnavailable, Hypothesis, IsStale
from talkover.extras import install_command
from talkover.messages import Samples
from talkover.registry import create_engine

MENU = Path("tests/data/asr/coffee")
MAX_RECORDING_BYTES = 600_000
"""about 19 s: the sentences, not the long readings"""


class ShippedModel:
    """pocketsphinx as its wheel has it; one utterance at a time, in this process."""

    name = "pocketsphinx, shipped language model"

    def __init__(self) -> None:
        self._decoder: Any = cast(Any, pocketsphinx).Decoder(loglevel="FATAL")

    def warmup(self) -> None:
        """Loaded already."""

    def close(self) -> None:
        """Nothing to free."""

    def stream(self, language: str | None = None, hint: str = "") -> WholeUtteranceStream:
        return WholeUtteranceStream(0, self._recognise)

    def _recognise(self, samples: Samples, _is_stale: IsStale) -> Hypothesis:
        self._decoder.start_utt()
        self._decoder.process_raw(samples_to_pcm16(samples), False, True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        text: str = found.hypstr if found is not None else ""
        return Hypothesis(text, len(text))


def documents_model(folder: Path | None) -> AsrEngine:
    """Talkover's embedded recogniser for the documents of a folder, or for the shipped ones."""
    chosen = [] if folder is None else [f"knowledge.path={folder}"]
    settings = load_settings(None, chosen, {})
    engine: AsrEngine = create_engine("asr", "pocketsphinx", settings)
    engine.warmup()
    return engine


def measure(setting: Setting) -> PartResult:
    title = "Recognition by pocketsphinx"
    if find_spec("jiwer") is None:
        return PartResult("recognition", title, (), (f"counting errors needs jiwer: {install_command('bench')}",))
    manifest = setting.speech.folder / "manifest.json"
    if not manifest.is_file():
        return PartResult("recognition", title, (), (f"{manifest} is not there",))
    samples = [sample for sample in read_manifest(manifest, "en") if _is_short(sample)]
    commands = [sample for sample in samples if sample.slots]
    sentences = [sample for sample in samples if sample.text]
    figures: list[Figure] = []
    details: list[dict[str, Any]] = []
    remarks: list[str] = []
    runs: list[tuple[str, Callable[[], AsrEngine], list[Sample]]] = [
        ("commands, shipped language model", ShippedModel, commands),
        ("commands, built from a menu", lambda: documents_model(MENU), commands if MENU.is_dir() else []),
        ("sentences, shipped language model", ShippedModel, sentences),
        ("sentences, built from the documents", lambda: documents_model(None), sentences),
    ]
    for index, (name, make, recordings) in enumerate(runs):
        chosen = recordings[:: setting.count(1, 4)]
        if not chosen:
            remarks.append(f"{name}: no recordings of that kind here")
            continue
        setting.advance(name, index / len(runs))
        try:
            engine = make()
        except EngineUnavailable as error:
            remarks.append(f"{name}: {error}")
            continue
        try:
            result = measure_engine(engine, chosen, False, lambda _: None)
        finally:
            engine.close()
        wanted = "slots heard" if recordings is commands else "word error rate"
        figures += [
            Figure(f"{name}: {figure.name}", figure.unit, figure.summary, figure.value, note=figure.note)
            for figure in result.figures
            if figure.name in (wanted, "CPU time / audio")
        ]
        details.append({"run": name, "recordings": result.details})
    return PartResult("recognition", title, tuple(figures), tuple(remarks), details)


def _is_short(sample: Sample) -> bool:
    return sample.path.stat().st_size <= MAX_RECORDING_BYTES
