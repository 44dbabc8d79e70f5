"""Who is spoken for first where several wait for espeak-ng."""

from __future__ import annotations

from talkover.tts.deadline import PATIENCE_S, runs_out_s


def test_a_reply_about_to_run_dry_and_one_not_begun_come_before_one_with_a_lead():
    now_s = 100.0
    not_begun = runs_out_s(now_s, None, 0.0)
    about_to_run_dry = runs_out_s(now_s - 4.0, now_s - 3.9, 4.0)
    three_seconds_ahead = runs_out_s(now_s - 1.0, now_s - 0.9, 3.9)
    assert sorted([three_seconds_ahead, not_begun, about_to_run_dry]) == [
        about_to_run_dry,
        not_begun,
        three_seconds_ahead,
    ]
    assert not_begun == now_s + PATIENCE_S
