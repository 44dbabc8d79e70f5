"""The embedded recogniser with real decoders on synthesised speech (tests/data/make_speech.py)."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from talkover.asr.corpus import spoken_words
from talkover.asr.language_model import cached, ensure_language_model
from talkover.asr.pocketsphinx import PocketsphinxEngine, PocketsphinxStream, create
from talkover.config import Settings, load_settings
from talkover.engines import EngineFailed, Hypothesis
from talkover.messages import Samples
from talkover.resources import cache_folder, knowledge_folder

SPEECH = Path(__file__).parent.parent / "data" / "speech"
PIECE_SAMPLES = 1600


def never() -> bool:
    return False


def settings(**asr: Any) -> Settings:
    overrides = ["asr.timeout_s=60", *(f"asr.{key}={value}" for key, value in asr.items())]
    return load_settings(overrides=overrides, environ={})


def clip(name: str) -> Samples:
    samples, _ = soundfile.read(SPEECH / f"{name}.flac", dtype="float32")
    return samples


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "this did not happen in time"
        time.sleep(0.01)


def recognised(engine: PocketsphinxEngine, samples: Samples) -> Hypothesis:
    stream = engine.stream()
    for start in range(0, samples.size, PIECE_SAMPLES):
        stream.feed(samples[start : start + PIECE_SAMPLES])
    hypothesis = stream.finish(never)
    stream.close()
    return hypothesis


def fed(stream: PocketsphinxStream, samples: Samples) -> list[Hypothesis]:
    """Feed piece by piece, waiting for each to be decoded; the partials that were seen."""
    partials: list[Hypothesis] = []
    utterance = stream._utterance
    for end in range(PIECE_SAMPLES, samples.size + 1, PIECE_SAMPLES):
        partials += filter(None, [stream.feed(samples[end - PIECE_SAMPLES : end])])
        # restarts with a measured channel do not report until they have caught up
        until(lambda end=end: utterance.decoded_ms >= end * 1000 // 16_000 - 250)
    return [*partials, *filter(None, [stream.partial()])]


def is_running(process_id: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


@pytest.fixture(scope="module")
def engine() -> Iterator[PocketsphinxEngine]:
    engine = create(settings(workers=2))
    engine.warmup()
    yield engine
    engine.close()


def word_errors(reference: tuple[str, ...], words: tuple[str, ...]) -> int:
    distances = list(range(len(words) + 1))
    for row, expected in enumerate(reference, start=1):
        diagonal, distances[0] = distances[0], row
        for column, word in enumerate(words, start=1):
            substituted = diagonal + (expected != word)
            diagonal = distances[column]
            distances[column] = min(distances[column] + 1, distances[column - 1] + 1, substituted)
    return distances[-1]


@pytest.fixture(scope="module")
def spoken_sentences(engine: PocketsphinxEngine) -> list[tuple[dict[str, Any], Hypothesis]]:
    """Every row of the manifest and what was understood, ten clips side by side."""
    rows = json.loads((SPEECH / "manifest.json").read_text(encoding="utf-8"))
    with ThreadPoolExecutor(10) as pool:
        finals = pool.map(lambda row: recognised(engine, clip(row["file"].removesuffix(".flac"))), rows)
        return list(zip(rows, finals, strict=True))


def test_questions_and_commands_of_four_voices_are_understood(
    spoken_sentences: list[tuple[dict[str, Any], Hypothesis]],
) -> None:
    errors = words = 0
    for row, hypothesis in spoken_sentences:
        if row["kind"] != "outside":
            reference = spoken_words(row["text"])
            errors += word_errors(reference, spoken_words(hypothesis.text))
            words += len(reference)
    assert words > 180
    assert errors / words < 0.15


def test_confidence_tells_other_speech_from_questions(
    spoken_sentences: list[tuple[dict[str, Any], Hypothesis]],
) -> None:
    def median(kind: str) -> float:
        return float(np.median([said.confidence for row, said in spoken_sentences if row["kind"] == kind]))

    assert median("question") > 0.85
    assert median("outside") < 0.6


def test_a_final_reads_well(engine: PocketsphinxEngine) -> None:
    hypothesis = recognised(engine, clip("what_is_talkover_slt"))
    assert hypothesis.text == "What is Talkover?"
    assert hypothesis.stable_chars == len(hypothesis.text)
    assert hypothesis.language == "en"


@pytest.mark.parametrize("seconds", [0, 0.005, 2])
def test_silence_is_no_speech(engine: PocketsphinxEngine, seconds: float) -> None:
    assert recognised(engine, np.zeros(round(seconds * 16_000), np.float32)).text == ""


@pytest.mark.parametrize("level", [0.001, 0.05, 0.3])
def test_noise_is_no_speech(engine: PocketsphinxEngine, level: float) -> None:
    noise = np.random.default_rng(1).normal(0, level, 24_000).astype(np.float32)
    assert recognised(engine, noise).text == ""


def test_a_quiet_voice_is_understood_as_well(engine: PocketsphinxEngine) -> None:
    assert recognised(engine, clip("time_slt") * 0.05).text == "Can you tell me what time it is?"


def test_partials_grow_and_their_stable_part_stays(engine: PocketsphinxEngine) -> None:
    stream = engine.stream()
    partials = fed(stream, clip("interrupt_slt"))
    stream.finish(never)
    stream.close()
    assert len(partials) > 3
    assert max(partial.stable_chars for partial in partials) > 10
    for earlier, later in itertools.pairwise(partials):
        assert later.stable_chars >= earlier.stable_chars
        assert later.text[: earlier.stable_chars] == earlier.text[: earlier.stable_chars]


def test_more_utterances_than_decoders_are_all_understood(engine: PocketsphinxEngine) -> None:
    samples = clip("story_slt")
    streams = [engine.stream() for _ in range(20)]
    for start in range(0, samples.size, PIECE_SAMPLES):
        for stream in streams:
            stream.feed(samples[start : start + PIECE_SAMPLES])
    # the last ones first: they must not wait for streams that hold a decoder and have not ended
    texts = [stream.finish(never).text for stream in reversed(streams)]
    for stream in streams:
        stream.close()
    assert texts == ["Please tell me a story."] * 20


def test_an_utterance_survives_its_worker(engine: PocketsphinxEngine) -> None:
    samples = clip("time_slt")
    stream = engine.stream()
    fed(stream, samples[: samples.size // 2])
    killed = engine.pool.process_ids()
    for process_id in killed:
        os.kill(process_id, signal.SIGKILL)
    stream.feed(samples[samples.size // 2 :])
    assert stream.finish(never).text == "Can you tell me what time it is?"
    stream.close()
    until(lambda: len(engine.pool.process_ids()) == 2)
    assert not set(killed) & set(engine.pool.process_ids())
    engine.warmup()


def test_a_worker_that_hangs_is_replaced(engine: PocketsphinxEngine) -> None:
    engine.warmup()
    stopped = engine.pool.process_ids()
    for process_id in stopped:
        os.kill(process_id, signal.SIGSTOP)
    assert recognised(engine, clip("time_slt")).text == "Can you tell me what time it is?"
    engine.warmup()
    until(lambda: not any(is_running(process_id) for process_id in stopped[:1]))


def test_a_stale_final_is_not_waited_for(engine: PocketsphinxEngine) -> None:
    stream = engine.stream()
    stream.feed(np.tile(clip("time_slt"), 10))
    started_s = time.monotonic()
    assert stream.finish(lambda: True).text == ""
    assert time.monotonic() - started_s < 0.5
    stream.close()


def test_a_final_that_takes_too_long_fails(engine: PocketsphinxEngine) -> None:
    impatient = PocketsphinxStream(engine.pool, engine._files, timeout_s=0.05)
    impatient.feed(np.tile(clip("time_slt"), 40))
    with pytest.raises(EngineFailed, match=r"0\.05 s"):
        impatient.finish(never)
    impatient.close()
    impatient.close()


def test_closing_leaves_no_process_and_fails_what_is_open() -> None:
    engine = create(settings(workers=1))
    engine.warmup()
    processes = engine.pool.process_ids()
    stream = engine.stream()
    stream.feed(clip("stop_slt"))
    engine.close()
    engine.close()
    assert processes
    assert not any(is_running(process_id) for process_id in processes)
    with pytest.raises(EngineFailed, match="closed"):
        stream.finish(never)


def test_workers_end_when_the_server_is_killed() -> None:
    script = (
        "import sys, time\n"
        "from talkover.asr.pocketsphinx import create\n"
        "from talkover.config import Settings\n"
        "engine = create(Settings())\n"
        "engine.warmup()\n"
        "print(*engine.pool.process_ids(), flush=True)\n"
        "time.sleep(60)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    processes = [int(word) for word in server.stdout.readline().split()]
    server.kill()
    server.wait()
    server.stdout.close()
    assert processes
    until(lambda: not any(is_running(process_id) for process_id in processes), 10)


def test_a_worker_that_cannot_start_is_given_up(tmp_path: Path, engine: PocketsphinxEngine) -> None:
    files = cached(ensure_language_model(knowledge_folder(None), cache_folder() / "asr").folder)
    assert files is not None
    broken = PocketsphinxEngine(type(files)(tmp_path, *_rest(files)), workers=1, timeout_s=30)
    stream = broken.stream()
    stream.feed(clip("stop_slt"))
    with pytest.raises(EngineFailed, match="no worker process could be started"):
        stream.finish(never)
    stream.close()
    broken.close()


def _rest(files: Any) -> tuple[Any, ...]:
    return (files.language_model, files.dictionary, files.words, files.spellings)
