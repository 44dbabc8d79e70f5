"""Turn models with the real signatures: what they are given, what becomes of their answers, and that nothing waits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs the extra 'turn'")

from recordings import speech
from small_onnx import FLOAT, audio_turn_model, node, text_turn_model, value_info, write_model
from talkover.audio import INPUT_RATE_HZ
from talkover.engines import EngineUnavailable
from talkover.messages import PromptMessage
from talkover.vad.endpointing import Endpointer, TurnOptions
from talkover.vad.prosody import UNVOICED
from talkover.vad.turn_end import PATIENCE, EndFeatures, ModelOpinion, finished_probability, silence_needed_ms
from talkover.vad.turn_events import LikelyEnd, SpeechEnded, SpeechResumed
from talkover.vad.turn_model import chat, load_turn_model, plain, smart_turn_features

SECOND = INPUT_RATE_HZ


# -------------------------------------------------------------------------------------------------------------- audio


WHISPER_FRAMES = (0, 620, 680, 740, 799)
WHISPER = {
    0: (0.2659, 0.694, 0.9758, 0.7283, 0.2659),
    10: (-0.0524, 1.6094, 1.21, 1.1683, -0.0524),
    40: (-0.0524, 0.7699, 0.0967, -0.0524, -0.0524),
    79: (-0.0524, -0.0524, -0.0524, -0.0524, -0.0524),
}
"""by mel bin: story_slt.wav, zeros in front up to 8 s, through WhisperFeatureExtractor(chunk_length=8) of transformers
with do_normalize"""


def test_the_features_are_those_of_whisper_over_the_last_eight_seconds():
    found = smart_turn_features(speech("story_slt", INPUT_RATE_HZ))
    assert found.shape == (1, 80, 800)
    assert found.dtype == np.float32
    for mel_bin, expected in WHISPER.items():
        assert found[0, mel_bin, list(WHISPER_FRAMES)] == pytest.approx(expected, abs=1e-3)
    assert found.mean() == pytest.approx(0.07026, abs=1e-4)


def test_only_the_newest_eight_seconds_count():
    long = np.concatenate([np.random.default_rng(1).standard_normal(3 * SECOND), np.zeros(8 * SECOND)])
    assert np.array_equal(smart_turn_features(long.astype(np.float32)), smart_turn_features(np.zeros(0, np.float32)))


def test_an_audio_model_hears_the_difference_between_speech_and_silence(tmp_path: Path):
    model = load_turn_model(audio_turn_model(tmp_path / "smart-turn.onnx"))
    assert model.hears
    samples = speech("story_slt", INPUT_RATE_HZ)
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    spoken = samples[loud[0] : loud[-1]]
    ended = np.concatenate([spoken, np.zeros(SECOND, np.float32)])
    assert model.end_probability(spoken, ()) < 0.5 < model.end_probability(ended, ())


# --------------------------------------------------------------------------------------------------------------- text


TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' + message['content'] + ' <|im_end|> ' }}"
    "{% endfor %}"
)
WORDS = ["<unk>", "<|im_start|>", "<|im_end|>", "user", "assistant", "please", "book", "a", "table"]


@pytest.fixture
def text_model(tmp_path: Path) -> Path:
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra 'turn'")
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return text_turn_model(tmp_path / "model_q8.onnx", end_id=WORDS.index("table"))


def test_a_text_model_reads_up_to_the_last_word_of_the_user(text_model: Path):
    model = load_turn_model(text_model)
    assert not model.hears
    silence = np.zeros(0, np.float32)
    asked = PromptMessage("assistant", "What can I do?")
    unfinished, finished = PromptMessage("user", "Please book a"), PromptMessage("user", "Please, book a Table.")
    assert model.end_probability(silence, (asked, unfinished)) == pytest.approx(0.1)
    assert model.end_probability(silence, (asked, finished)) == pytest.approx(0.9)
    assert model.end_probability(silence, ()) == 0.5


def test_messages_of_one_side_are_joined_and_written_plainly():
    messages = [
        PromptMessage("system", "Be brief."),
        PromptMessage("user", "Hello!"),
        PromptMessage("user", "It's me: Ann-Marie."),
        PromptMessage("assistant", ""),
        PromptMessage("assistant", "Ｈi,  there?"),
    ]
    assert chat(messages) == [
        {"role": "user", "content": "hello it's me ann-marie"},
        {"role": "assistant", "content": "hi there"},
    ]
    assert plain("好的。") == "好的"


def test_a_template_cannot_reach_out_of_its_sandbox(text_model: Path):
    evil = {"chat_template": "{{ messages.__class__.__mro__[1].__subclasses__() }}"}
    (text_model.parent / "tokenizer_config.json").write_text(json.dumps(evil))
    model = load_turn_model(text_model)
    with pytest.raises(Exception, match="unsafe"):
        model.end_probability(np.zeros(0, np.float32), (PromptMessage("user", "hi"),))


# ----------------------------------------------------------------------------------------------------- unusable files


def test_what_cannot_be_used_is_named(tmp_path: Path):
    with pytest.raises(EngineUnavailable, match=r"vad\.turn_model: .*missing\.onnx does not exist"):
        load_turn_model(tmp_path / "missing.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(EngineUnavailable, match=r"broken\.onnx is not a model onnxruntime can read"):
        load_turn_model(tmp_path / "broken.onnx")
    other = write_model(
        tmp_path / "other.onnx",
        [node("Sigmoid", ["x"], ["y"])],
        [value_info("x", FLOAT, (1, 2))],
        [value_info("y", FLOAT, (1, 2))],
    )
    with pytest.raises(EngineUnavailable, match=r"must have the input input_features .* or input_ids .*, has x"):
        load_turn_model(other)
    alone = text_turn_model(tmp_path / "text.onnx", 1)
    with pytest.raises(EngineUnavailable, match=r"must hold tokenizer\.json"):
        load_turn_model(alone)


# ------------------------------------------------------------------------------------------------------------- fusion


UNCLEAR = EndFeatures("i would like to book a table", text_is_final=True)


@pytest.mark.parametrize("text", ["i would like to book a table", "and then", "yes", ""])
def test_an_opinion_moves_the_wait_and_never_decides(text: str):
    patience = PATIENCE["medium"]
    features = EndFeatures(text, text_is_final=True)
    over, open_, none = (
        silence_needed_ms(replace(features, model=opinion), patience)
        for opinion in (ModelOpinion(1.0, 0), ModelOpinion(0.0, 0), None)
    )
    assert patience.finished_ms <= over <= none <= open_ <= patience.unfinished_ms
    assert over < open_


def test_an_opinion_fades_with_its_age():
    fresh, older, old = (
        finished_probability(replace(UNCLEAR, model=ModelOpinion(0.01, age_ms))) for age_ms in (0, 2000, 4000)
    )
    assert fresh < older < old == finished_probability(UNCLEAR)


def turn_ends_after_ms(opinion: float | None, late_ms: float = 0.0) -> float:
    """Silence that ended the turn; the model answers `late_ms` after the likely end."""
    endpointer = Endpointer(TurnOptions(mode="semantic_vad"))
    for _ in range(40):
        endpointer.feed(1.0, -20.0, False, UNVOICED)
    likely_ms = None
    for _ in range(400):
        for event in endpointer.feed(0.0, -70.0, False, UNVOICED):
            if isinstance(event, LikelyEnd):
                likely_ms = event.end_ms
                endpointer.hear("i would like to book a", True, 0.9)
            if isinstance(event, SpeechEnded):
                return event.end_ms - event.voiced_end_ms
        if likely_ms is not None and opinion is not None and endpointer.now_ms >= likely_ms + late_ms:
            endpointer.consider(opinion, 0)
    raise AssertionError("the turn never ended")


def test_a_late_answer_changes_what_is_left_of_the_wait_and_no_answer_is_waited_for():
    alone = turn_ends_after_ms(None)
    sure, late, unsure = turn_ends_after_ms(0.99), turn_ends_after_ms(0.99, late_ms=1200), turn_ends_after_ms(0.01)
    assert sure < late <= alone <= unsure
    assert turn_ends_after_ms(0.99, late_ms=60_000) == alone


def test_an_opinion_on_an_earlier_pause_is_ignored():
    endpointer = Endpointer(TurnOptions(mode="semantic_vad"))

    def feed(voiced: bool, n_frames: int) -> list[object]:
        level = -20.0 if voiced else -70.0
        return [event for _ in range(n_frames) for event in endpointer.feed(float(voiced), level, False, UNVOICED)]

    feed(True, 40)
    assert any(isinstance(event, LikelyEnd) for event in feed(False, 8))
    assert any(isinstance(event, SpeechResumed) for event in feed(True, 20))
    feed(False, 8)
    endpointer.consider(0.0, 0)
    with_stale = [event for event in feed(False, 60) if isinstance(event, SpeechEnded)]
    assert with_stale
    assert with_stale[0].finished == 0.5
