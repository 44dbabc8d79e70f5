"""Manifests read, texts scored, and an engine measured on recordings whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fakes import FakeEngine, ScriptedAsr
from talkover import cli
from talkover.bench.asr import hear, measure
from talkover.bench.figures import Figure
from talkover.bench.transcript_scores import (
    ErrorRate,
    Stability,
    character_error_rate,
    slots_missed,
    stability,
    word_error_rate,
)
from talkover.bench.transcripts import Sample, read_manifest
from talkover.engines import EngineFailed, Hypothesis, IsStale
from talkover.messages import Samples

LETTERS = "abcdefghijklmnop"
TONE = (0.3 * np.sin(np.arange(8000) * 0.3)).astype(np.float32)
texts = st.lists(st.sampled_from(["turn", "on", "the", "light", "打", "开", "now"]), min_size=1, max_size=6)


def by_name(figures: tuple[Figure, ...]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        (["What's the time?"], ["whats the time"], ErrorRate(1, 3)),
        (["Turn on the light."], ["turn on THE light"], ErrorRate(0, 4)),
        (["打开灯"], ["打开等"], ErrorRate(1, 3)),
        (["one two", "three"], ["one two three", ""], ErrorRate(2, 3)),
        (["", "yes"], ["anything", "yes"], ErrorRate(0, 1)),
        ([""], [""], ErrorRate(0, 0)),
        ([], [], ErrorRate(0, 0)),
    ],
)
def test_words_are_counted_without_their_writing(said: list[str], heard: list[str], expected: ErrorRate) -> None:
    assert word_error_rate(said, heard) == expected


def test_characters_are_counted_without_blanks() -> None:
    assert character_error_rate(["turn on"], ["turnon"]) == ErrorRate(0, 6)
    assert character_error_rate(["light"], ["lied"]).errors == 3
    assert ErrorRate(0, 0).percent is None


@given(texts, texts)
def test_error_rates_are_zero_only_for_the_same_words(said: list[str], heard: list[str]) -> None:
    rate = word_error_rate([" ".join(said)], [" ".join(heard)])
    assert rate.of == len(said)
    assert (rate.errors == 0) == (said == heard)


def test_slots_are_heard_word_for_word_and_in_order() -> None:
    slots = {"drink": "iced mocha", "size": "sixteen ounce", "roast": "dark roast"}
    assert slots_missed(slots, "A sixteen ounce ICED mocha, please.") == ["roast"]
    assert slots_missed(slots, "a dark iced roast mocha") == ["drink", "size", "roast"]
    assert slots_missed({}, "") == []


def test_captions_are_judged_by_what_they_take_back() -> None:
    def partial(text: str, stable: int = 0) -> Hypothesis:
        return Hypothesis(text, stable)

    grows = [partial("turn"), partial("turn on"), partial("turn on the")]
    assert stability(grows, "Turn on the light.") == Stability(3, 0, 0)
    changes = [partial("tern", 4), partial("turn of", 4), partial("turn on")]
    assert stability(changes, "turn on") == Stability(3, 2, 1)
    assert stability([partial("noise")], "") == Stability(1, 1, 0)
    assert stability([], "light") == Stability(0, 0, 0)


# -------------------------------------------------------------------------------------------------------- manifests


def write(folder: Path, rows: Any) -> Path:
    soundfile.write(folder / "a.wav", np.concatenate([TONE * 0, TONE, TONE * 0]), 16_000)
    (folder / "manifest.json").write_text(json.dumps(rows))
    return folder / "manifest.json"


def test_manifests_of_several_writings_are_read(tmp_path: Path) -> None:
    rows = [
        {"file": "a.wav", "text": "one", "language": "en"},
        {"path": "a.wav", "transcript": "二", "lang": "zh"},
        {"file": "a.wav", "path": "elsewhere/b.wav", "note": 'real command, slots: {"size": "large"}'},
        {"file": "missing.wav", "text": "not there"},
    ]
    samples = read_manifest(write(tmp_path, rows))
    assert [(sample.text, sample.language) for sample in samples] == [("one", "en"), ("二", "zh"), ("", None)]
    assert samples[2].slots == {"size": "large"}
    assert [sample.text for sample in read_manifest(tmp_path / "manifest.json", "zh")] == ["二", ""]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{", "not valid JSON"), ("{}", "must be a list"), ('[{"text": "x"}]', "entry 0 must"), ("[]", "no recording")],
)
def test_a_manifest_that_cannot_be_used_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(ValueError, match=rf"m\.json.*{complaint}"):
        read_manifest(tmp_path / "m.json")
    with pytest.raises(ValueError, match="cannot be read"):
        read_manifest(tmp_path / "absent.json")


# -------------------------------------------------------------------------------------------------------- measuring


class Counting(FakeEngine):
    """Shows one more word with every piece, and takes the last one back at the end."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    def stream(self, language: str | None = None, hint: str = "") -> _CountingStream:
        return _CountingStream(self.fails)


class _CountingStream:
    def __init__(self, fails: bool) -> None:
        self._fails = fails
        self.pieces = 0

    def feed(self, samples: Samples) -> Hypothesis | None:
        self.pieces += 1
        return Hypothesis(" ".join(LETTERS[: self.pieces]))

    def partial(self) -> Hypothesis | None:
        return None

    def finish(self, is_stale: IsStale) -> Hypothesis:
        if self._fails:
            raise EngineFailed("broken")
        return Hypothesis(" ".join(LETTERS[: self.pieces - 1]), confidence=0.5)

    def close(self) -> None:
        """Nothing is kept."""


def test_an_engine_is_measured_on_a_recording(tmp_path: Path) -> None:
    samples = read_manifest(write(tmp_path, [{"file": "a.wav", "text": "a b c", "slots": {"x": "b", "y": "i j"}}]))
    result = measure(Counting(), samples, True, lambda _: None)
    found = by_name(result.figures)
    # 0.5 s of sound with 0.3 s of room on either side: 11 pieces of 100 ms, of which the last word is taken back
    assert result.details[0]["heard"] == "a b c d e f g h i j"
    assert found["word error rate"].note == "7 of 3"
    assert found["slots heard"].value == 100
    assert found["caption words revised per final word"].value == pytest.approx(0.1)
    first = found["first caption after first sound"].summary
    assert first is not None
    assert -300 <= first.p50 < 0, "the first piece is due before the sound begins"
    cpu = found["CPU time / audio"].value
    assert cpu is not None
    assert cpu >= 0


def test_a_failure_is_told_and_the_others_are_measured(tmp_path: Path) -> None:
    samples = read_manifest(write(tmp_path, [{"file": "a.wav", "text": "x"}]))
    result = measure(Counting(fails=True), samples, False, lambda _: None)
    assert "a: broken" in result.remarks
    assert by_name(result.figures)["word error rate"].value == 100


def test_streams_are_closed_whatever_happens() -> None:
    engine = ScriptedAsr(EngineFailed("no"), "fine")
    sample = Sample(Path("x.wav"), "fine", "en")
    assert hear(engine, sample, TONE, 0.0, False).failure == "no"
    assert hear(engine, sample, TONE, 0.0, False).heard == "fine"
    assert engine.open_streams == 0


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(cli.app, ["bench", "asr", "--manifest", str(tmp_path / "absent.json")]).exit_code == 2
    assert run(cli.app, ["bench", "asr", "--set", "asr.nonsense=1"]).exit_code == 2
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "m.json").write_text('[{"file": "broken.wav", "text": "x"}]')
    arguments = ["--engine", "openai", "--set", "asr.base_url=http://127.0.0.1:9/v1", "-m", str(tmp_path / "m.json")]
    assert run(cli.app, ["bench", "asr", *arguments]).exit_code == 2
