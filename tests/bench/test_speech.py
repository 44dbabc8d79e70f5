"""Which speech is used, and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkover.bench.speech import SHIPPED, find_speech, load_speech, shipped_speech


def wav(path: Path, spoken_s: float = 1.0, lead_s: float = 0.2, tail_s: float = 0.2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, round(spoken_s * 16_000))
    quiet = [np.zeros(round(s * 16_000)) for s in (lead_s, tail_s)]
    soundfile.write(path, np.concatenate([quiet[0], noise, quiet[1]]), 16_000)
    return path


def test_the_folder_asked_for_comes_first(tmp_path: Path):
    wav(tmp_path / "mine" / "a.wav")
    wav(tmp_path / "shared" / "speech" / "b.wav")
    speech = find_speech(tmp_path / "mine", {"TALKOVER_SHARED": str(tmp_path / "shared")}, tmp_path)
    assert [clip.name for clip in speech.clips] == ["a"]
    assert "--speech" in speech.reason


def test_then_people_then_the_shipped_voices(tmp_path: Path):
    checkout = tmp_path / "checkout"
    wav(checkout / SHIPPED / "shipped.wav")
    assert "no recordings of people" in find_speech(None, {}, checkout).reason
    wav(tmp_path / "shared" / "speech" / "b.wav")
    found = find_speech(None, {}, checkout)
    assert (found.reason, [clip.name for clip in found.clips]) == ("recordings of people", ["b"])
    wav(tmp_path / "elsewhere" / "speech" / "c.wav")
    assert find_speech(None, {"TALKOVER_SHARED": str(tmp_path / "elsewhere")}, checkout).clips[0].name == "c"


def test_no_speech_at_all_says_what_to_do(tmp_path: Path):
    with pytest.raises(ValueError, match="--speech FOLDER"):
        find_speech(None, {}, tmp_path)
    with pytest.raises(ValueError, match="must contain wav or flac files"):
        find_speech(tmp_path, {}, tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        {"file": "a.wav", "id": "question", "kind": "question", "voice": "slt", "text": "Hello?", "duration_s": 1.4},
        {"file": "a.wav", "lang": "en", "seconds": 1.4, "transcript": "Hello?"},
    ],
)
def test_both_kinds_of_manifest_are_read(tmp_path: Path, row: dict[str, object]):
    wav(tmp_path / "a.wav")
    (tmp_path / "manifest.json").write_text(json.dumps([row, {**row, "file": "missing.wav"}]))
    (clip,) = load_speech(tmp_path, "").clips
    assert (clip.text, clip.language, clip.duration_s) == ("Hello?", "en", 1.4)


def test_only_what_fits_is_spoken_and_long_silence_is_not(tmp_path: Path):
    wav(tmp_path / "long.wav", spoken_s=3)
    wav(tmp_path / "short.wav", spoken_s=1, lead_s=4, tail_s=4)
    rows = [{"file": name, "lang": lang} for name, lang in (("long.wav", "en"), ("short.wav", "en"))]
    (tmp_path / "manifest.json").write_text(json.dumps(rows))
    (spoken,) = load_speech(tmp_path, "").utterances(5, max_spoken_ms=2000)
    assert spoken.name == "short"
    assert spoken.duration_ms == pytest.approx(300 + 1000 + 800, abs=30)
    assert spoken.voiced.start_ms == pytest.approx(300, abs=1)
    with pytest.raises(ValueError, match=r"no recording in 'en' with at most 0\.5 s of speech"):
        load_speech(tmp_path, "").utterances(5, max_spoken_ms=500)


def test_other_languages_are_left_out(tmp_path: Path):
    wav(tmp_path / "zh.wav")
    wav(tmp_path / "en.wav")
    rows = [{"file": "zh.wav", "lang": "zh"}, {"file": "en.wav", "lang": "en"}]
    (tmp_path / "manifest.json").write_text(json.dumps(rows))
    assert [spoken.name for spoken in load_speech(tmp_path, "").utterances(5)] == ["en"]


def test_a_few_of_many_are_spread_over_the_folder(tmp_path: Path):
    for index in range(9):
        wav(tmp_path / f"{index}.wav", spoken_s=0.3)
    assert [spoken.name for spoken in load_speech(tmp_path, "").utterances(3)] == ["0", "4", "8"]


def test_the_questions_of_the_answers_part_are_shipped():
    from talkover.bench.answers import QUESTIONS, find_questions

    shipped = shipped_speech(Path(__file__).parent.parent.parent)
    assert shipped is not None
    assert len(find_questions([None, shipped])) >= 20
    assert len({question.file for question in QUESTIONS}) == len(QUESTIONS)
