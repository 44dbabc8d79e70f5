"""Engine and endpointer together on recorded speech: one turn per sentence, early, and none for noise."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from talkover.bench.vad import NOISES, Clip, at_level, load_clips, measure_engine, utterances_of, with_noise
from talkover.config import Settings
from talkover.vad.endpointing import TurnOptions
from talkover.vad.silero import create

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "tests" / "data" / "speech"
SHARED = Path(os.environ.get("TALKOVER_SHARED", ROOT.parent / "shared")) / "speech"
ENGINE = create(Settings.model_validate({"vad": {"gate": "none"}}))


@pytest.fixture(scope="module")
def shipped() -> list[Clip]:
    return load_clips(SHIPPED, gap_ms=500)[::6]


def test_every_shipped_sentence_is_found_early_and_ended_in_time(shipped: list[Clip]):
    result = measure_engine(ENGINE, shipped, "clean", TurnOptions())
    assert result.missed == 0
    assert result.false_starts_per_min == 0
    assert result.onset_ms[0] <= 180
    assert 450 <= result.end_ms[0] <= 620


def test_in_music_at_10_db_as_well(shipped: list[Clip]):
    result = measure_engine(ENGINE, [with_noise(clip, "music", 10) for clip in shipped], "music", TurnOptions())
    assert result.missed == 0
    assert result.false_starts_per_min == 0
    assert result.onset_ms[0] <= 220


@pytest.mark.parametrize("kind", sorted(NOISES))
def test_noise_alone_starts_nothing(kind: str):
    noise = at_level(NOISES[kind](16_000 * 8, np.random.default_rng(3)), -35)
    assert measure_engine(ENGINE, [Clip(kind, noise, ())], kind, TurnOptions()).false_starts_per_min == 0


def test_faster_options_end_sooner(shipped: list[Clip]):
    slow = measure_engine(ENGINE, shipped[:3], "clean", TurnOptions(silence_duration_ms=800))
    fast = measure_engine(ENGINE, shipped[:3], "clean", TurnOptions(silence_duration_ms=300))
    assert slow.end_ms[0] - fast.end_ms[0] == pytest.approx(500, abs=64)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no recordings of people: {SHARED} is missing (TALKOVER_SHARED)")
def test_people_are_found_early():
    result = measure_engine(ENGINE, load_clips(SHARED, gap_ms=500)[::4], "clean", TurnOptions())
    assert result.missed <= 1
    assert result.false_starts_per_min == 0
    assert result.onset_ms[0] <= 200
    assert result.end_ms[0] <= 650


def test_truth_joins_short_pauses_and_ignores_clicks():
    tone = (0.3 * np.sin(np.arange(16_000) * 0.2)).astype(np.float32)
    gap = np.zeros(16_000 // 4, np.float32)
    click = tone[:320]
    spans = utterances_of(np.concatenate([gap, tone, gap, tone, gap, gap, gap, click, gap]), gap_ms=500)
    assert [(span.start_ms, span.end_ms) for span in spans] == [(250, 2500)]
