"""Paraformer: how soon captions and finals are there, alone and with others, and what each policy costs.

Without a server: sessions feed the engine in real time, all at once, as the recogniser stage does. The sentences are
those the small models of the test suite were not trained on, spoken by the embedded voices.
"""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from talkover.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, ms_to_samples, resampled
from talkover.bench.figures import Figure, PartResult, Target, summarize
from talkover.bench.live_feed import feed
from talkover.bench.part import Setting
from talkover.config import Settings, load_settings
from talkover.engines import AsrEngine
from talkover.extras import install_command
from talkover.messages import Samples, VoiceSettings
from talkover.registry import create_engine

MODELS = Path("tests/data/models")
VOICES = {"en": ("en-us-f1", "en-us-m1", "en-gb-f1"), "zh": ("zh-cn-f1", "zh-cn-m1")}
SESSIONS = (1, 4, 8)
FINAL_TARGET_MS = 120
LEAD_MS = 300
"""room before the first word"""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence and its sound."""

    text: str
    samples: Samples
    """(n,) float32 at 16 kHz; ends with the last voiced sample"""


@dataclass(slots=True)
class Heard:
    """What came of one utterance."""

    text: str
    final_ms: float
    """from the last voiced sample to the final text"""
    first_partial_ms: float | None = None
    """from the first voiced sample to the first caption"""
    chunk_ms: list[float] = field(default_factory=list[float])
    """from the last sample of a chunk to the caption that has it"""


def measure(setting: Setting) -> PartResult:
    title = "Paraformer, small models"
    missing = _missing()
    if missing:
        return PartResult("paraformer", title, (), (f"not measured: {missing}",))
    spoken = speech(setting.count(16, 8))
    figures: list[Figure] = []
    details: list[dict[str, Any]] = []

    def run(name: str, share: float, sessions: int, *overrides: str) -> tuple[list[Heard], float]:
        setting.advance(name, share)
        engine: AsrEngine = create_engine("asr", "paraformer", settings_of(*overrides))
        try:
            engine.warmup()
            heard, rtf = listen(engine, spoken, sessions)
        finally:
            engine.close()
        details.extend(
            {"run": name, "said": one.text, "heard": it.text, "final_ms": it.final_ms, "first_ms": it.first_partial_ms}
            for one, it in zip(spoken, heard, strict=True)
        )
        return heard, rtf

    def final_text(title: str, heard: Sequence[Heard], targets: tuple[Target, ...] = ()) -> Figure:
        wrong = sum(_plain(it.text) != _plain(one.text) for one, it in zip(spoken, heard, strict=True))
        note = f"{wrong} of {len(heard)} sentences wrong"
        return Figure(f"final text, {title}", "ms", summarize([one.final_ms for one in heard]), None, targets, note)

    for index, sessions in enumerate(SESSIONS):
        heard, rtf = run(f"{sessions} at once", index / 6, sessions)
        targets = (Target("p50", FINAL_TARGET_MS),) if sessions == 1 else ()
        figures.append(final_text(f"{sessions} session{'s' * (sessions > 1)} at once", heard, targets))
        if sessions == 1:
            first = [one.first_partial_ms for one in heard if one.first_partial_ms is not None]
            figures.append(Figure("first caption after the first sound", "ms", summarize(first)))
            figures.append(
                Figure("caption after its chunk", "ms", summarize([ms for one in heard for ms in one.chunk_ms]))
            )
            figures.append(Figure("processor time per second of speech", "s", value=rtf))
    for index, policy in enumerate(("unless_confident", "never")):
        heard, _ = run(f"second pass {policy}", (3 + index) / 6, 1, f"second_pass={policy}")
        figures.append(final_text(f"second_pass = {policy}", heard))
    figures += batch_effect(spoken)
    remarks = (
        "final text: from the last voiced sample, without the silence that ends a turn",
        "sessions at once also end at once; their second_pass is `always`",
    )
    return PartResult("paraformer", title, tuple(figures), remarks, details)


def listen(engine: AsrEngine, spoken: Sequence[Spoken], sessions: int) -> tuple[list[Heard], float]:
    """Every sentence in real time, `sessions` at once that end together; processor time per second of speech."""
    heard: list[Heard] = []
    cpu_s, audio_s = time.process_time(), 0.0
    for group in _groups(spoken, sessions):
        longest = max(one.samples.size for one in group)
        results: list[Heard | None] = [None] * len(group)

        def one_session(index: int, one: Spoken, longest: int = longest, results: Any = results) -> None:
            results[index] = _one(engine, one, (longest - one.samples.size) / INPUT_RATE_HZ)

        threads = [threading.Thread(target=one_session, args=(index, one)) for index, one in enumerate(group)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard += [one for one in results if one is not None]
        audio_s += sum(one.samples.size for one in group) / INPUT_RATE_HZ
    return heard, (time.process_time() - cpu_s) / audio_s


def _one(engine: AsrEngine, spoken: Spoken, delay_s: float) -> Heard:
    """One utterance, fed at the pace of a microphone after `delay_s`."""
    stream = engine.stream()
    begun_s = time.monotonic() + delay_s
    arrivals: list[float] = []
    feed(stream, spoken.samples, begun_s, lambda _: arrivals.append(time.monotonic()))
    ended_s = time.monotonic()
    text = stream.finish(lambda: False).text
    final_ms = (time.monotonic() - ended_s) * 1000
    chunk_s = settings_of().asr.chunk_ms / 1000
    after_chunk_ms = [(at_s - begun_s) % chunk_s * 1000 for at_s in arrivals]
    first_ms = (arrivals[0] - begun_s) * 1000 - LEAD_MS if arrivals else None
    return Heard(text, final_ms, first_ms, after_chunk_ms)


def batch_effect(spoken: Sequence[Spoken]) -> list[Figure]:
    """Processor time of the offline model for eight utterances one by one, and as one batch."""
    from talkover.asr.funasr_models import load_model
    from talkover.asr.offline_paraformer import MODELS as CLASSES
    from talkover.asr.offline_paraformer import OfflineParaformer

    offline = OfflineParaformer(load_model(MODELS / "paraformer", "asr.model", CLASSES, "cpu"), ())
    eight = [one.samples for one in spoken[:8]]

    def cpu_ms(work: Callable[[], object]) -> float:
        before_s = time.process_time()
        work()
        return (time.process_time() - before_s) * 1000

    offline.recognise(eight)
    apart = [cpu_ms(lambda: [offline.recognise([samples]) for samples in eight]) for _ in range(5)]
    together = [cpu_ms(lambda: offline.recognise(eight)) for _ in range(5)]
    return [
        Figure("eight utterances one by one, processor", "ms", summarize(apart)),
        Figure("eight utterances as one batch, processor", "ms", summarize(together)),
    ]


def speech(count: int) -> list[Spoken]:
    """`count` sentences the small models never heard, in turn by the embedded voices."""
    rows = json.loads((MODELS / "held_out.json").read_text(encoding="utf-8"))
    voice = create_engine("tts", "espeak", Settings())
    voice.warmup()
    found: list[Spoken] = []
    try:
        for index, row in enumerate(rows[:: max(1, len(rows) // count)][:count]):
            names = VOICES[row["language"]]
            settings = VoiceSettings(names[index % len(names)])
            chunks = [chunk.samples for chunk in voice.synthesize(row["text"], settings, lambda: False)]
            sound = resampled(np.concatenate(chunks), OUTPUT_RATE_HZ, INPUT_RATE_HZ)
            voiced = np.flatnonzero(np.abs(sound) > 0.01)
            lead = np.zeros(ms_to_samples(LEAD_MS, INPUT_RATE_HZ), np.float32)
            found.append(Spoken(row["text"], np.concatenate([lead, sound[voiced[0] : voiced[-1] + 1]])))
    finally:
        voice.close()
    return found


def settings_of(*overrides: str) -> Settings:
    own = (
        f"model={MODELS / 'paraformer'}",
        f"streaming_model={MODELS / 'paraformer-streaming'}",
        f"punctuation_model={MODELS / 'punctuation'}",
    )
    return load_settings(None, [f"asr.{override}" for override in (*own, *overrides)], {})


def _missing() -> str:
    if not (MODELS / "held_out.json").is_file():
        return f"{MODELS} is part of a checkout"
    if importlib.util.find_spec("funasr") is None:
        return f"needs {install_command('full')}"
    return ""


def _groups(spoken: Sequence[Spoken], size: int) -> list[Sequence[Spoken]]:
    return [spoken[begin : begin + size] for begin in range(0, len(spoken), size)]


def _plain(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
