"""The virtual loudspeaker: what is heard when, to the sample."""

from __future__ import annotations

import numpy as np
import pytest

from talkover.audio import OUTPUT_RATE_HZ
from talkover.client.loudspeaker import (
    AUDIBLE,
    Loudspeaker,
    audible_ms,
    first_audible_s,
    last_audible_s,
    render,
)
from talkover.messages import Samples


def sound(duration_ms: float, amplitude: float = 0.5) -> Samples:
    return np.full(round(duration_ms * OUTPUT_RATE_HZ / 1000), amplitude, np.float32)


SILENT = AUDIBLE / 2


def test_audio_that_arrives_early_waits_for_what_plays():
    speaker = Loudspeaker()
    speaker.play("a", sound(100), 10.0)
    speaker.play("a", sound(100), 10.02)
    assert [(s.start_s, s.first_sample) for s in speaker.stretches] == [(10.0, 0), (10.1, 2400)]
    assert speaker.ends_s == pytest.approx(10.2)
    assert not speaker.gaps


def test_audio_that_arrives_late_starts_at_once_and_leaves_a_gap():
    speaker = Loudspeaker()
    speaker.play("a", sound(100), 10.0)
    speaker.play("a", sound(100), 10.25)
    assert speaker.stretches[1].start_s == 10.25
    assert [(gap.item_id, round(gap.missing_s, 6)) for gap in speaker.gaps] == [("a", 0.15)]


def test_the_next_item_may_come_later_without_a_gap():
    speaker = Loudspeaker()
    speaker.play("a", sound(100), 10.0)
    speaker.play("b", sound(100), 12.0)
    assert not speaker.gaps


def test_the_first_audible_sample_is_not_the_first_that_arrives():
    speaker = Loudspeaker()
    speaker.play("a", sound(80, SILENT), 10.0)
    speaker.play("a", sound(100), 10.0)
    assert first_audible_s(speaker.stretches, 0.0) == pytest.approx(10.08)
    assert first_audible_s(speaker.stretches, 10.12) == pytest.approx(10.12, abs=1e-4)
    assert first_audible_s(speaker.stretches, 10.18) is None
    assert first_audible_s(speaker.stretches, 0.0, "b") is None


def test_the_last_audible_sample_is_not_the_last_that_plays():
    speaker = Loudspeaker()
    speaker.play("a", np.concatenate([sound(100), sound(60, SILENT)]), 10.0)
    assert last_audible_s(speaker.stretches) == pytest.approx(10.1)
    assert last_audible_s(speaker.stretches, "b") is None


def test_a_flush_cuts_at_the_sample_that_sounds():
    speaker = Loudspeaker()
    speaker.play("a", sound(100), 10.0)
    speaker.play("a", sound(100), 10.0)
    cut = speaker.flush(10.15)
    assert cut is not None
    assert (cut.item_id, cut.played_ms) == ("a", pytest.approx(150, abs=0.1))
    assert last_audible_s(speaker.stretches) == pytest.approx(10.15, abs=1e-4)
    assert speaker.playing(10.16) is None
    assert speaker.played_ms("a", 11.0) == pytest.approx(150, abs=0.1)


def test_a_flush_of_silence_cuts_nothing():
    speaker = Loudspeaker()
    speaker.play("a", sound(100), 10.0)
    assert speaker.flush(10.2) is None
    assert not speaker.flushes_s


def test_what_arrives_after_a_flush_is_old_audio():
    speaker = Loudspeaker()
    speaker.play("a", sound(500), 10.0)
    speaker.flush(10.2)
    assert audible_ms(speaker.stretches, 10.2, {"a"}) == 0
    speaker.play("a", sound(100), 10.3)
    speaker.play("b", sound(100), 10.5)
    assert audible_ms(speaker.stretches, 10.2, {"a"}) == pytest.approx(100)


def test_position_counts_samples_of_the_item_only():
    speaker = Loudspeaker()
    speaker.play("a", sound(100), 10.0)
    speaker.play("b", sound(100), 10.0)
    assert speaker.playing(10.05) == "a"
    assert speaker.playing(10.15) == "b"
    assert speaker.played_ms("b", 10.05) == 0
    assert speaker.played_ms("b", 10.15) == pytest.approx(50, abs=0.1)


def test_rendering_puts_every_sample_where_it_sounded():
    speaker = Loudspeaker()
    speaker.play("a", sound(100, 0.25), 10.05)
    heard = render(speaker, 10.0, 10.2)
    assert heard.size == 4800
    assert not heard[:1200].any()
    assert np.all(heard[1200:3600] == 0.25)
    assert not heard[3600:].any()


def test_rendering_follows_the_volume():
    speaker = Loudspeaker()
    speaker.play("a", sound(1000, 0.4), 10.0)
    speaker.set_gain(0.25, 0.1, 10.2)
    speaker.set_gain(1.0, 0.0, 10.5)
    heard = render(speaker, 10.0, 11.0)
    at = {s: float(heard[round(s * OUTPUT_RATE_HZ)]) for s in (0.1, 0.25, 0.4, 0.6)}
    assert at == pytest.approx({0.1: 0.4, 0.25: 0.4 * 0.625, 0.4: 0.1, 0.6: 0.4}, abs=1e-3)


def test_rendering_a_part_cuts_both_ends():
    speaker = Loudspeaker()
    speaker.play("a", sound(1000, 0.4), 10.0)
    assert np.all(render(speaker, 10.2, 10.3) == np.float32(0.4))


def test_the_record_can_be_forgotten():
    speaker = Loudspeaker()
    speaker.play("a", sound(100), 10.0)
    speaker.play("a", sound(100), 11.0)
    speaker.forget(10.5)
    assert [stretch.start_s for stretch in speaker.stretches] == [11.0]
    assert speaker.played_ms("a", 12.0) == pytest.approx(200)
