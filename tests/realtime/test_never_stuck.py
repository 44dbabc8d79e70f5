"""The short form of the stateful test; `python tests/never_stuck.py --steps 100000` is the long one."""

from __future__ import annotations

from pathlib import Path

from never_stuck import NeverStuck, run


def test_no_turn_is_met_with_an_unexplained_silence(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(NeverStuck, "log_folder", tmp_path)
    monkeypatch.setattr(NeverStuck, "replay_every", 10)
    run(examples=25, steps_per_example=25)
    assert NeverStuck.tally.turns > 30
    assert NeverStuck.tally.explained.total() >= NeverStuck.tally.turns / 3
