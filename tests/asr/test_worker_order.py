"""Whose audio a recogniser's worker decodes next."""

from __future__ import annotations

from talkover.asr.pocketsphinx_worker import next_up


def test_while_all_go_on_each_gets_a_slice():
    assert next_up({1: None, 2: None, 3: None}) == [1, 2, 3]
    assert next_up({}) == []


def test_who_was_asked_for_first_is_finished_before_anybody_else():
    assert next_up({1: None, 2: 8, 3: 7}) == [3]
    assert next_up({1: None, 2: 8}) == [2]
