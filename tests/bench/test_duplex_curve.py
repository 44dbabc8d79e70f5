"""Delay against false cut-offs: recorded grounds, decided again with another patience."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes import LevelVad
from talkover.audio import samples_to_pcm16
from talkover.bench.duplex.curve import Expected, Point, curve, delay_at_budget_ms, expected, turn_ends_ms
from talkover.bench.duplex.decisions import decisions_of, logs_of, marks
from talkover.bench.duplex.observation import Observation
from talkover.bench.duplex.takes import Take
from talkover.client.recordings import Span
from talkover.messages import AudioFormat
from talkover.pipeline.receiver import Receiver
from talkover.vad.decision_log import header, session_line
from talkover.vad.endpointing import TurnOptions
from talkover.vad.frame_sound import MeasuredSounds

PAUSE_MS = 600
FIRST_END_MS, SECOND_START_MS, END_MS = 2000, 2600, 3600


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Of somebody who speaks for a second, pauses for 600 ms, and speaks for another second."""
    lines = [header()]
    receiver = Receiver(MeasuredSounds(LevelVad()), lines.append)
    lines.append(session_line("sess_1"))
    receiver.configure(TurnOptions(mode="semantic_vad"), 300)
    sound = np.zeros(24 * 10_000, np.float32)
    for begin_ms, end_ms in ((1000, FIRST_END_MS), (SECOND_START_MS, END_MS)):
        n = 24 * (end_ms - begin_ms)
        sound[24 * begin_ms : 24 * begin_ms + n] = 0.5 * np.sin(np.arange(n) * 0.1)
    receiver.push(samples_to_pcm16(sound), AudioFormat())
    while receiver.is_busy:
        receiver.step(False)
    path = tmp_path / "one.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_more_patience_waits_longer_and_less_of_it_cuts_off(log: Path):
    lines = log.read_bytes().splitlines()
    (as_configured,) = turn_ends_ms(lines, 1.0)
    (patient,) = turn_ends_ms(lines, 2.0)
    assert END_MS < as_configured < patient
    hasty = turn_ends_ms(lines, 0.3)
    assert len(hasty) == 2
    assert FIRST_END_MS < hasty[0] < SECOND_START_MS


def test_the_curve_falls_as_the_delay_grows(log: Path):
    wanted = {"sess_1": Expected(((FIRST_END_MS, SECOND_START_MS),), (END_MS,))}
    points = curve(logs_of(log.parent), wanted)
    assert [point.false_cutoffs for point in points] == sorted((p.false_cutoffs for p in points), reverse=True)
    assert [point.delay_ms for point in points] == sorted(point.delay_ms for point in points)
    assert (points[0].false_cutoffs, points[-1].false_cutoffs) == (1.0, 0.0)
    assert (points[0].pauses, points[0].ends) == (1, 1)
    assert curve({}, wanted) == []


def test_the_delay_at_a_budget_lies_between_the_points_around_it():
    def point(patience: float, cutoffs: float, delay_ms: float) -> Point:
        return Point(patience, cutoffs, delay_ms, 100, 100)

    assert delay_at_budget_ms([point(1, 0.10, 400), point(2, 0.0, 600)], 0.05) == 500
    assert delay_at_budget_ms([point(1, 0.02, 400), point(2, 0.0, 600)], 0.05) == 400
    assert delay_at_budget_ms([point(1, 0.2, 400)], 0.05) is None


def test_only_what_the_user_says_to_a_silent_agent_counts():
    sounds = (Span(100, 1000), Span(1700, 2500), Span(4000, 5000))
    track = np.zeros(24 * 5100, np.float32)
    paused = Take("p", "pause", "list", track, sounds, "")
    over = Take("i", "interruption", "command", track, sounds[:1], "", "speaking")
    seen = [Observation(take, (), (), (), (), (), session_id="sess_1", zero_input_ms=10_000) for take in (paused, over)]
    found = expected(seen)["sess_1"]
    # the pause of 1500 ms is longer than what a listener must wait for
    assert found.pauses_ms == ((11_000, 11_700),)
    assert found.ends_ms == (15_000,)


def test_decisions_come_with_their_session_and_place(log: Path):
    decisions = decisions_of(log.parent)["sess_1"]
    labels = [decision.label for decision in decisions]
    assert labels[0].startswith("onset")
    assert any(label.startswith("end: silence") for label in labels)
    shown = marks(decisions, 1000, 0, 2000)
    assert shown[0].at_ms == decisions[0].at_ms - 1000
    assert all(0 <= mark.at_ms <= 2000 for mark in shown)


def test_what_is_no_log_is_named(tmp_path: Path):
    (tmp_path / "x.jsonl").write_bytes(b"sound\n")
    with pytest.raises(ValueError, match=r"x\.jsonl: every line must be a JSON object"):
        logs_of(tmp_path)
