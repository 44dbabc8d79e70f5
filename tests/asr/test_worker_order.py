"""Whose audio a recogniser's worker decodes next."""

from __future__ import annotations

from talkover.asr.pocketsphinx_worker import next_up


def test_while_all_go_on_each_gets_a_slice():
    assert next_up({1: None, 2: None, 3: None}) == [1, 2, 3]
    assert next_up({}) == []


def test_who_is_asked_for_final_words_comes_before_those_who_still_speak():
    assert next_up({1: None, 2: 3200, 3: None}) == [2]


def test_a_caller_is_finished_before_a_long_file():
    assert next_up({1: 1_900_000, 2: 6400, 3: 9600}) == [2]
    assert next_up({1: 1_900_000, 3: 9600}) == [3]
    assert next_up({1: 1_900_000}) == [1]
