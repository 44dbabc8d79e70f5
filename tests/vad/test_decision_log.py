"""Decisions from a log: the same calls give the same bytes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fakes import LevelVad
from talkover.audio import samples_to_pcm16
from talkover.messages import AudioFormat
from talkover.pipeline.receiver import Receiver
from talkover.vad.decision_log import header, recorded, replay, session_line
from talkover.vad.endpointing import Endpointer, TurnOptions
from talkover.vad.frame_sound import MeasuredSounds
from talkover.vad.prosody import UNVOICED, Pitch

KINDS = {"Endpointer": Endpointer}


def log_of_two_utterances() -> list[bytes]:
    """What a receiver writes while somebody speaks twice, the second time with words."""
    lines = [header()]
    receiver = Receiver(MeasuredSounds(LevelVad()), lines.append)
    receiver.configure(TurnOptions(mode="semantic_vad", eagerness="high"), 300)
    tone = (0.5 * np.sin(np.arange(24 * 700) * 0.1)).astype(np.float32)
    quiet = np.zeros(24 * 1500, np.float32)
    for word in ("", "what is the time"):
        for part in (quiet, tone, quiet):
            receiver.push(samples_to_pcm16(part), AudioFormat())
            while receiver.is_busy:
                receiver.step(False)
                receiver.hear(word, True, None)
    return lines


def test_a_replay_gives_the_same_decisions():
    lines = log_of_two_utterances()
    assert sum(b'"SpeechEnded"' in line for line in lines) == 2
    assert any(b"what is the time" in line for line in lines)
    result = replay([*lines, session_line("sess_1")], KINDS)
    assert result.calls == len(lines) - 2
    assert result.differences == ()


def test_another_decision_is_told_with_its_line():
    lines = log_of_two_utterances()
    number = next(n for n, line in enumerate(lines) if b'"SpeechEnded"' in line)
    lines[number] = lines[number].replace(b'"reason":"silence"', b'"reason":"too_long"')
    (difference,) = replay(lines, KINDS).differences
    assert difference.line == number + 1
    assert "too_long" in difference.recorded
    assert '"reason":"silence"' in difference.replayed


def test_a_decider_that_decides_otherwise_is_found_out():
    class Hasty(Endpointer):
        def feed(self, probability: float, level_dbfs: float, agent_audible: bool, pitch: Pitch = UNVOICED):
            return super().feed(1 - probability, level_dbfs, agent_audible, pitch)

    assert replay(log_of_two_utterances(), {"Endpointer": Hasty}).differences


@pytest.mark.parametrize("value", [math.nan, math.inf, 1 / 3, 5e-324])
def test_any_float_survives(value: float):
    class Echo:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        def give(self, value: float, label: str = "x") -> list[float]:
            return [value * self.scale]

    lines = [header()]
    echo = recorded(Echo, lines.append, 1.0)
    echo.give(value)
    assert echo.scale == 1.0
    assert replay(lines, {"Echo": Echo}).differences == ()


def test_without_a_log_nothing_stands_between():
    assert type(recorded(Endpointer, None, TurnOptions())) is Endpointer


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b"{}"], "line 1: must be"),
        ([b"sound"], "line 1: must be a JSON object"),
        ([header(), b'{"decider":"Oracle","made_with":[]}'], "decider must be one of Endpointer, got 'Oracle'"),
        ([header(), b'{"decider":"Endpointer","call":"feed","with":[]}'], "never made"),
        ([header(), b'{"decider":"Endpointer","made_with":[]}'], "takes options"),
        ([header(), b'{"decider":"Endpointer","made_with":[{"threshold":"loud"}]}'], "float"),
    ],
)
def test_what_is_no_log_is_refused(lines: list[bytes], message: str):
    with pytest.raises(ValueError, match=message):
        replay(lines, KINDS)
