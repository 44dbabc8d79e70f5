"""What is measured of engines, with engines whose cost is known."""

from __future__ import annotations

import time
from dataclasses import replace

from fakes import ScriptedAsr, ToneTts, fake_engines, session_options
from talkover.realtime.calibration import PATIENCE_S, calibrated
from talkover.realtime.capacity import SPEECH_SHARE, UTILISATION


class BusyTts(ToneTts):
    """Takes so many seconds of a core for a second of audio, and serves one at a time."""

    slots = 1
    name = "busy"

    def __init__(self, cost: float) -> None:
        super().__init__()
        self.cost = cost

    def synthesize(self, text, settings, is_stale):
        for chunk in super().synthesize(text, settings, is_stale):
            until_s = time.thread_time() + self.cost * chunk.samples.size / 24_000
            while time.thread_time() < until_s:
                pass
            if is_stale():
                return
            yield chunk


def test_an_engine_is_measured_by_the_processor_time_it_takes():
    found = calibrated(fake_engines(tts=BusyTts(0.1)), session_options())
    carried = UTILISATION / (0.1 * SPEECH_SHARE)
    assert 0.6 * carried < found.limits["busy x 1"] < 1.05 * carried


def test_an_engine_slower_than_speech_does_not_hold_the_start_up():
    began_s = time.thread_time()
    found = calibrated(fake_engines(tts=BusyTts(20.0)), session_options())
    assert found.sessions == 1
    assert time.thread_time() - began_s < 4 * PATIENCE_S


def test_engines_elsewhere_are_not_asked():
    class Paid(ScriptedAsr):
        def stream(self, language=None, hint=""):
            raise AssertionError("a paid recogniser was asked")

    engines = fake_engines(ScriptedAsr("x"))
    found = calibrated(replace(engines, asr=Paid()), session_options())
    assert [name for name in found.limits if " x " in name] == []
