"""The recognizer stage: partials, finals, and utterances that go on after a final was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import ScriptedAsr, never
from talkover.engines import EngineFailed
from talkover.messages import SpeechDropped, SpeechSegment, Transcript
from talkover.pipeline.recognizer import MAX_UTTERANCES, Recognizer


def piece(item_id: str = "a", final: bool = False, revision: int = 0, samples: int = 1600) -> SpeechSegment:
    return SpeechSegment(item_id, np.zeros(samples, np.float32), 0, 100, revision, final)


def texts(transcripts: list[Transcript]) -> list[tuple[str, bool, int]]:
    return [(transcript.text, transcript.final, transcript.revision) for transcript in transcripts]


def feed(recognizer: Recognizer, *items: SpeechSegment | SpeechDropped) -> list[Transcript]:
    return [transcript for item in items for transcript in recognizer.process(item, never)]


def test_partials_while_speaking_then_the_final():
    recognizer = Recognizer(ScriptedAsr("hello there"))
    heard = feed(recognizer, piece(), piece(), piece(final=True))
    assert texts(heard) == [("hello", False, 0), ("hello", False, 0), ("hello there", True, 0)]


def test_going_on_after_a_final_decodes_the_whole_utterance_again():
    engine = ScriptedAsr("hello", "hello there")
    recognizer = Recognizer(engine)
    feed(recognizer, piece(), piece(final=True, samples=0))
    heard = feed(recognizer, piece(revision=1), piece(final=True, revision=1, samples=0))
    assert texts(heard)[-1] == ("hello there", True, 1)
    assert engine.open_streams == 1


def test_a_failed_final_can_be_followed_by_more_speech():
    recognizer = Recognizer(ScriptedAsr(EngineFailed("busy"), "all of it"))
    with pytest.raises(EngineFailed):
        feed(recognizer, piece(), piece(final=True))
    assert texts(feed(recognizer, piece(revision=1), piece(final=True, revision=1)))[-1] == ("all of it", True, 1)


def test_streams_are_closed_when_dropped_and_at_the_end():
    engine = ScriptedAsr()
    recognizer = Recognizer(engine)
    feed(recognizer, piece("a"), piece("b"))
    feed(recognizer, SpeechDropped("a"))
    assert engine.open_streams == 1
    recognizer.reset()
    assert engine.open_streams == 0


def test_open_utterances_are_bounded():
    engine = ScriptedAsr()
    recognizer = Recognizer(engine)
    feed(recognizer, *(piece(str(index)) for index in range(10)))
    assert engine.open_streams == MAX_UTTERANCES
