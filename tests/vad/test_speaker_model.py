"""The caller's voice: learnt from their turns, and another voice over the agent counts less."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra 'turn'")

from golden import SELECTION
from recordings import speech
from small_onnx import audio_turn_model
from talkover.audio import INPUT_RATE_HZ
from talkover.engines import EngineFailed, EngineUnavailable
from talkover.messages import Samples, VoiceOpinion, VoiceQuestion
from talkover.pipeline.voice_judge import VoiceJudge
from talkover.vad.caller_voice import MAX_TURNS, CallerVoice
from talkover.vad.endpointing import Endpointer, TurnOptions
from talkover.vad.interruption import InterruptionFeatures, judge
from talkover.vad.prosody import UNVOICED
from talkover.vad.speaker_model import load_speaker_model
from talkover.vad.turn_events import SpeechStarted

CAMPPLUS = SELECTION / "model_dir" / "campplus.onnx"


def test_a_file_with_campplus_signature_gives_a_vector_for_a_recording():
    model = load_speaker_model(CAMPPLUS)
    vector = model.vector(speech("story_slt", INPUT_RATE_HZ))
    assert vector.shape == (192,)
    assert np.isfinite(vector).all()
    with pytest.raises(EngineFailed, match="at least 400 samples"):
        model.vector(np.zeros(399, np.float32))


def test_other_files_are_refused_by_name(tmp_path: Path):
    with pytest.raises(EngineUnavailable, match=r"vad\.speaker_model: .*nothing\.onnx does not exist"):
        load_speaker_model(tmp_path / "nothing.onnx")
    with pytest.raises(EngineUnavailable, match=r"must have one input \(1, frames, 80\), has \[\[1, 80, 800\]\]"):
        load_speaker_model(audio_turn_model(tmp_path / "turn.onnx"))


def test_a_voice_is_known_after_two_turns_and_told_from_another():
    caller = CallerVoice()
    mine, other = np.array([1.0, 0.1, 0.0]), np.array([-0.2, 1.0, 0.3])
    assert caller.similarity(mine) is None
    caller.learn(mine)
    assert caller.similarity(mine) is None
    caller.learn(3 * mine + 0.1)
    found = caller.similarity(mine)
    another = caller.similarity(other)
    assert found is not None
    assert another is not None
    assert found > 0.95
    assert another < 0.25


def test_a_voice_that_is_known_is_not_learnt_anew_and_nonsense_is_not_learnt():
    caller = CallerVoice()
    for _ in range(MAX_TURNS):
        caller.learn(np.array([1.0, 0.0]))
    caller.learn(np.array([0.0, 1.0]))
    assert caller.similarity(np.array([1.0, 0.0])) == pytest.approx(1.0)
    empty = CallerVoice()
    empty.learn(np.zeros(2))
    empty.learn(np.array([np.nan, 1.0]))
    assert empty.similarity(np.array([1.0, 0.0])) is None


class Level:
    """Louder is another voice."""

    def vector(self, samples: Samples) -> Samples:
        return np.array([1.0, 0.0] if np.abs(samples).max() < 0.5 else [0.0, 1.0], np.float32)


def test_the_stage_answers_once_it_knows_the_caller():
    judge_of_voices = VoiceJudge(Level())
    quiet, loud = np.full(100, 0.1, np.float32), np.ones(100, np.float32)

    def ask(samples: Samples, is_caller: bool) -> list[VoiceOpinion]:
        return list(judge_of_voices.process(VoiceQuestion("item", samples, is_caller), lambda: False))

    assert ask(loud, False) == []
    assert ask(quiet, True) == ask(quiet, True) == []
    assert ask(quiet, False) == [VoiceOpinion("item", 1.0)]
    assert ask(loud, False) == [VoiceOpinion("item", 0.0)]


LOUD = InterruptionFeatures(
    voiced_ms=600, window_ms=640, silence_ms=0, needed_ms=224, level_dbfs=-20, noise_floor_dbfs=-60
)


@pytest.mark.parametrize(("similarity", "decision"), [(None, "yield"), (0.7, "yield"), (0.1, "wait")])
def test_another_voice_does_not_make_the_agent_yield(similarity: float | None, decision: str):
    found, _ = judge(InterruptionFeatures(**{**fields(LOUD), "voice_similarity": similarity}))
    assert found == decision


def test_a_command_of_another_voice_still_counts():
    features = {**fields(LOUD), "voice_similarity": 0.0, "text": "stop", "text_is_final": True, "confidence": 0.9}
    assert judge(InterruptionFeatures(**features)) == ("stop", "command")


def fields(features: InterruptionFeatures) -> dict[str, object]:
    return {name: getattr(features, name) for name in features.__dataclass_fields__}


@pytest.mark.parametrize("similarity", [0.8, 0.0])
def test_the_endpointer_hears_whose_voice_it_is(similarity: float):
    endpointer = Endpointer(TurnOptions(mode="semantic_vad", barge_in_ms=480))
    events: list[object] = []
    for index in range(34):
        if index == 8:
            endpointer.compare_voice(similarity)
        events += endpointer.feed(1.0, -20.0, True, UNVOICED)
    assert any(isinstance(event, SpeechStarted) for event in events) == (similarity > 0.5)
