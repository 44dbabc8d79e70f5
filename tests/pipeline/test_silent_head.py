"""What of an answer comes before its first sample that can be heard, and when that one sounds."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import Driver, ScriptedAsr, ScriptedLlm, ToneTts, fake_engines, never
from talkover.audio import AUDIBLE, OUTPUT_RATE_HZ, ms_to_samples, silent_head
from talkover.engines import SpeechChunk
from talkover.messages import AudioDelta, Prompt, ResponseRequest, Samples, VoiceSettings, WireAudio
from talkover.pipeline.sender import Sender
from talkover.realtime.actions import ResponseFinished


def part(duration_ms: float, level: float) -> Samples:
    return np.full(ms_to_samples(duration_ms, OUTPUT_RATE_HZ), level, np.float32)


def silent_ms(sender: Sender, response_id: str, *chunks: Samples) -> list[float]:
    request = ResponseRequest(1, response_id, Prompt("", ()), "audio", VoiceSettings("tone"))
    list(sender.process(request, never))
    sent = [out for chunk in chunks for out in sender.process(AudioDelta(1, response_id, chunk), never)]
    return [out.silent_ms for out in sent if isinstance(out, WireAudio)]


def test_the_first_sample_that_can_be_heard() -> None:
    assert silent_head(np.array([0, AUDIBLE / 2, -AUDIBLE, 1], np.float32)) == 2
    assert silent_head(part(1, 0)) == 24
    assert silent_head(part(0, 0)) == 0


def test_each_chunk_tells_what_it_has_before_that_and_later_silence_does_not_count() -> None:
    sender = Sender(None, never)
    lead_in = np.concatenate([part(15, 0.001), part(25, 0.2)])
    told = silent_ms(sender, "r1", part(40, 0.0), lead_in, part(40, 0.0))
    assert told == pytest.approx([40, 15, 0])
    assert silent_ms(sender, "r2", part(10, 0.0), part(10, 0.2)) == pytest.approx([10, 0])


class LeadIn(ToneTts):
    """Begins with silence, in chunks of their own and within one."""

    def synthesize(self, text: str, settings: VoiceSettings, is_stale: object):
        yield SpeechChunk(part(60, 0.0))
        yield SpeechChunk(np.concatenate([part(30, 0.0), part(200, 0.3)]))


def test_a_turn_is_measured_to_the_first_sample_that_can_be_heard() -> None:
    session = Driver(fake_engines(ScriptedAsr("hello there"), ScriptedLlm("Hello."), LeadIn()))
    session.say()
    (turn,) = [action.turn for action in session.actions if isinstance(action, ResponseFinished)]
    marks = turn.marks_ms
    assert marks["first_audible"] - marks["first_audio_sent"] == 90
    assert turn.stages_ms["voice_to_voice"] == marks["first_audible"]
    assert turn.stages_ms["endpointing"] == pytest.approx(500, abs=60)
