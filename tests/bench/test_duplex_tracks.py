"""What the duplex benchmark plays: phrases with pauses, sounds, rooms; and its lines of the table."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talkover.audio import OUTPUT_RATE_HZ
from talkover.bench.duplex import sounds
from talkover.bench.duplex.phrases import (
    USER_DBFS,
    in_a_row,
    in_noise,
    own_phrases,
    shortened,
    spoken,
    with_pauses,
)
from talkover.bench.duplex.room import EchoRoom, impulse_response
from talkover.bench.duplex.scenarios import PAUSES_MS, Scenarios
from talkover.bench.duplex.scores import figures, share, wilson
from talkover.bench.duplex.takes import FAMILIES, Echo
from talkover.bench.duplex.verdict import PauseVerdict, Verdict
from talkover.client.loudspeaker import Loudspeaker

ROOT = Path(__file__).resolve().parents[2]
PHRASES = own_phrases(ROOT)


def phrase(name: str):
    return next(phrase for phrase in PHRASES if phrase.id == name)


def level_db(samples: np.ndarray, span) -> float:
    part = samples[round(span.start_ms * 24) : round(span.end_ms * 24)]
    return 20 * np.log10(1e-9 + np.sqrt(np.mean(np.square(part))))


# ---------------------------------------------------------------------------------------------------------- tracks


def test_phrases_are_at_the_level_of_the_user():
    for each in PHRASES[:20]:
        assert 20 * np.log10(sounds.active_rms(each.samples)) == pytest.approx(USER_DBFS, abs=0.1)


@pytest.mark.parametrize("pause_ms", PAUSES_MS)
def test_a_pause_lasts_as_long_as_it_should_and_is_silent(pause_ms: float):
    said = phrase("phone")
    track = with_pauses(said, pause_ms)
    assert len(track.sounds) == 3
    for before, after in zip(track.sounds, track.sounds[1:], strict=False):
        assert after.start_ms - before.end_ms == pytest.approx(pause_ms)
    longer_ms = 2 * pause_ms - sum(gap.end_ms - gap.start_ms for gap in said.pauses)
    assert track.samples.size == pytest.approx(said.samples.size + longer_ms * 24, abs=8)
    assert track.sounds[-1].end_ms == pytest.approx(said.voiced.end_ms + longer_ms)


def test_speech_around_a_pause_is_the_same_as_without_it():
    said = phrase("rain")
    track = with_pauses(said, 1000)
    tail = said.samples[-24 * 800 :]
    assert np.array_equal(track.samples[-tail.size :], tail)


def test_two_phrases_are_so_far_apart():
    first, second = spoken(phrase("yes")), spoken(phrase("no"))
    track = in_a_row((first, second), 700)
    assert track.sounds[1].start_ms - track.sounds[0].end_ms == pytest.approx(700, abs=0.1)
    assert level_db(track.samples, track.sounds[1]) == pytest.approx(
        level_db(second.samples, second.sounds[0]), abs=0.1
    )


def test_noise_begins_before_and_ends_after_the_speech():
    plain = spoken(phrase("yes"))
    rng = np.random.default_rng(0)
    track = in_noise(plain, rng.standard_normal(9000).astype(np.float32), -50, 1000, 500)
    assert track.sounds[0].start_ms == plain.sounds[0].start_ms + 1000
    assert track.samples.size == plain.samples.size + 24 * 1500
    assert 20 * np.log10(np.sqrt(np.mean(np.square(track.samples[: 24 * 900])))) == pytest.approx(-50, abs=0.5)


def test_a_long_recording_ends_in_a_pause():
    track = with_pauses(phrase("travel"), 600)
    short = shortened(track, 12_000)
    assert short.sounds == track.sounds[: len(short.sounds)]
    assert short.sounds[-1].end_ms <= 12_000
    assert short.samples.size / 24 < short.sounds[-1].end_ms + 100


def test_outside_of_a_checkout_it_says_where_its_speech_lies(tmp_path: Path):
    with pytest.raises(ValueError, match=r"manifest\.json: not found; run the duplex benchmark in a checkout"):
        own_phrases(tmp_path)


# ---------------------------------------------------------------------------------------------------------- sounds


@pytest.mark.parametrize("name", [*sounds.VOCAL, *sounds.OTHER])
def test_a_sound_is_the_same_again_and_within_range(name: str):
    make = (sounds.VOCAL | sounds.OTHER)[name]
    first, second = make(np.random.default_rng(3)), make(np.random.default_rng(3))
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert 0.5 < np.max(np.abs(first)) <= 1
    assert 0.3 < first.size / OUTPUT_RATE_HZ < 4.5
    assert not np.array_equal(first, make(np.random.default_rng(4)))


def test_laughter_has_a_pitch_and_a_cough_has_none():
    def periodicity(samples: np.ndarray) -> float:
        best = 0.0
        for start in range(0, samples.size - 1440, 480):
            piece = samples[start : start + 1440].astype(np.float64)
            if np.sqrt(np.mean(piece**2)) < 0.1:
                continue
            correlation = np.correlate(piece, piece, "full")[piece.size :] / np.sum(piece**2)
            best = max(best, float(np.max(correlation[70:300])))
        return best

    rng = np.random.default_rng(0)
    assert periodicity(sounds.laughter(rng)) > 0.6
    assert periodicity(sounds.cough(rng)) < 0.5


# ------------------------------------------------------------------------------------------------------------ room


def test_echo_comes_back_later_and_quieter():
    rng = np.random.default_rng(0)
    voice = (0.3 * rng.standard_normal(24_000)).astype(np.float32)
    speaker = Loudspeaker()
    speaker.play("item", voice, 10.0)
    now = [10.0]
    room = EchoRoom(Echo(-6, 100), speaker, lambda: now[0])
    chunks: list[np.ndarray] = []
    for index in range(60):
        now[0] = 10.0 + (index + 1) * 0.02
        chunks.append(room.samples(index * 480, 480))
    picked = np.concatenate(chunks)
    delay = int(np.argmax(np.correlate(picked, voice[:4800], "valid")))
    assert delay == pytest.approx(2400, abs=2)
    assert np.sqrt(np.mean(picked[:2300] ** 2)) < 0.001
    ratio_db = 20 * np.log10(np.sqrt(np.mean(picked[4800:24_000] ** 2)) / np.sqrt(np.mean(voice**2)))
    assert ratio_db == pytest.approx(-6 + 10 * np.log10(1 + 10**-1.2), abs=0.3)


def test_the_room_has_a_tail():
    response = impulse_response(0)
    assert response[0] == 1.0
    assert np.sum(response[1:] ** 2) == pytest.approx(10**-1.2, rel=1e-3)
    assert np.sum(response[1:480] ** 2) > 5 * np.sum(response[-480:] ** 2)


# ------------------------------------------------------------------------------------------------------- scenarios


@pytest.mark.parametrize("quick", [True, False])
def test_every_family_has_takes_and_every_take_a_name_of_its_own(quick: bool):
    takes = Scenarios(PHRASES, quick).takes()
    assert {take.family for take in takes} == set(FAMILIES)
    assert len({take.name for take in takes}) == len(takes)
    for take in takes:
        assert take.sounds or take.family in ("echo", "silence")
        assert take.end_ms <= take.duration_s * 1000 + 1
        re.compile(take.expects)


def test_the_same_speech_gives_the_same_takes():
    first, second = (Scenarios(PHRASES, True).takes() for _ in range(2))
    assert [take.name for take in first] == [take.name for take in second]
    assert all(np.array_equal(a.track, b.track) for a, b in zip(first, second, strict=True))


def test_pauses_of_all_lengths_and_kinds_are_there():
    takes = [take for take in Scenarios(PHRASES, False).takes(("pause",)) if take.pauses]
    lengths = {round(pause.end_ms - pause.start_ms) for take in takes for pause in take.pauses}
    assert lengths == {round(ms) for ms in PAUSES_MS}
    assert {"hesitation", "digits", "email", "list", "clause"} == {take.kind for take in takes}
    counted = sum(pause.end_ms - pause.start_ms < 705 for take in takes for pause in take.pauses)
    assert counted >= 40


# ---------------------------------------------------------------------------------------------------------- scores


def test_wilson_is_the_textbook_interval():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        interval = wilson(hits, n)
        assert (interval.low, interval.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert wilson(0, 0).high == 1.0


def test_a_share_tells_how_many_of_how_many():
    figure = share("yielded", [True, False, None, True])
    assert figure.value == pytest.approx(2 / 3)
    assert figure.note.startswith("2 of 3 (0.21-0.94)")
    assert share("nothing", [None]).value is None


def test_the_table_counts_pauses_by_length():
    (take,) = Scenarios(PHRASES, True).takes(("silence",))
    paused = replace(take, family="pause", kind="digits")
    verdicts = [
        Verdict(
            paused,
            answered=True,
            response_ms=500,
            pauses=(PauseVerdict(700, True, False), PauseVerdict(300, False, False)),
        ),
        Verdict(paused, answered=True, response_ms=900, pauses=(PauseVerdict(1000, False, False),)),
    ]
    lines = {figure.name.strip(): figure for figure in figures(verdicts)}
    assert lines["turn ended in a pause to 700 ms"].value == 0.5
    assert lines["turn ended in a pause to 1000 ms"].value == pytest.approx(1 / 3)
    assert lines["take-over in a pause, audible"].value == 0
    assert lines["answer after the rest"].summary is not None
    assert "R_Y: yielded within 2 s" not in lines


def test_the_manifest_lists_what_is_there():
    folder = ROOT / "tests" / "data" / "duplex"
    listed = {row["file"] for row in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))}
    assert listed == {path.name for path in folder.glob("*.ogg")}
