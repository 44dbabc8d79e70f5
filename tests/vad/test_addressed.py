"""Which voices in the room are answered."""

from __future__ import annotations

import pytest

from talkover.vad.addressed import SAID_AGAIN_WITHIN_S, is_addressed


@pytest.mark.parametrize(
    ("is_distant", "confidence", "since_s", "answered"),
    [
        (False, 0.1, None, True),
        (True, 0.9, None, True),
        (True, 0.2, None, False),
        (True, None, None, True),
        (True, 0.2, SAID_AGAIN_WITHIN_S, True),
        (True, 0.2, SAID_AGAIN_WITHIN_S + 1, False),
    ],
)
def test_only_a_voice_that_is_far_and_not_understood_is_passed_over(
    is_distant: bool, confidence: float | None, since_s: float | None, answered: bool
):
    assert is_addressed(is_distant, confidence, since_s) == answered
