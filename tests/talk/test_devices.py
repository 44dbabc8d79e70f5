"""The queue between the conversation and the sound card."""

from __future__ import annotations

import numpy as np
import pytest

from talkover.audio import OUTPUT_RATE_HZ
from talkover.talk.devices import DevicePlayer


def player(*amplitudes: float) -> DevicePlayer:
    filled = DevicePlayer()
    for index, amplitude in enumerate(amplitudes):
        filled.play(f"i{index}", np.full(480, amplitude, np.float32), 0.0)
    return filled


def test_blocks_are_filled_across_chunks_and_padded_with_silence():
    card = player(0.1, 0.2)
    assert np.unique(card.take(480)).tolist() == [np.float32(0.1)]
    block = card.take(960)
    assert np.all(block[:480] == np.float32(0.2))
    assert not block[480:].any()


def test_position_counts_what_the_card_took():
    card = player(0.1)
    card.take(240)
    assert card.playing(0.0) == "i0"
    assert card.played_ms("i0", 0.0) == 10
    card.take(480)
    assert card.played_ms("i0", 0.0) == 20
    assert card.playing(0.0) == "i0"
    card.take(480)
    assert card.playing(0.0) is None


def test_a_flush_empties_the_queue_and_says_how_far_it_had_come():
    card = player(0.1, 0.2)
    card.take(240)
    cut = card.flush(0.0)
    assert cut is not None
    assert (cut.item_id, cut.played_ms) == ("i0", 10)
    assert not card.take(480).any()
    assert card.flush(0.0) is None


def test_the_volume_moves_in_a_ramp():
    card = player(0.4, 0.4, 0.4)
    card.set_gain(0.25, 480 / OUTPUT_RATE_HZ, 0.0)
    ramp = card.take(480)
    assert ramp[0] == pytest.approx(0.4, abs=0.001)
    assert ramp[-1] == pytest.approx(0.1, abs=0.001)
    assert np.all(np.diff(ramp) < 0)
    assert card.take(480) == pytest.approx(0.1, abs=1e-6)
    card.set_gain(1.0, 0.0, 0.0)
    assert card.take(480) == pytest.approx(0.4, abs=1e-3)
