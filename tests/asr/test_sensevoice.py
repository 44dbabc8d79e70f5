"""The SenseVoice engine with FunASR's real classes, on a small model in its folder layout.

The weights are random but for the last layer, which is written so that the answer is known: what the encoder makes of
the queries and of the speech does not matter, one token wins in every frame of speech.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes import never
from talkover.config import Settings, load_settings
from talkover.engines import EngineFailed, EngineUnavailable, Hypothesis

pytest.importorskip("funasr", reason="needs the extra `full`")

import sentencepiece
import torch
import yaml

from talkover.asr.funasr_models import load_model
from talkover.asr.sensevoice import MODELS, Job, SenseVoice, SenseVoiceEngine, create

SECOND = (0.1 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)
TAGS = ("<|zh|>", "<|en|>", "<|HAPPY|>", "<|NEUTRAL|>", "<|Laughter|>", "<|Speech|>", "<|withitn|>", "<|woitn|>")
CONFIG = """
model: SenseVoiceSmall
model_conf: {length_normalized_loss: true, sos: 1, eos: 2, ignore_id: -1}
encoder: SenseVoiceEncoderSmall
encoder_conf:
    {output_size: 32, attention_heads: 2, linear_units: 32, num_blocks: 1, tp_blocks: 1, dropout_rate: 0.0,
    positional_dropout_rate: 0.0, attention_dropout_rate: 0.0, input_layer: pe,
    pos_enc_class: SinusoidalPositionEncoder, normalize_before: true, kernel_size: 11, sanm_shfit: 0,
    selfattention_layer_type: sanm}
frontend: WavFrontend
frontend_conf:
    {fs: 16000, window: hamming, n_mels: 80, frame_length: 25, frame_shift: 10, lfr_m: 7, lfr_n: 6, dither: 0.0}
tokenizer: SentencepiecesTokenizer
tokenizer_conf: {bpemodel: null, unk_symbol: <unk>, split_with_space: true}
ctc_conf: {dropout_rate: 0.0, ctc_type: builtin, reduce: true, ignore_nan_grad: true}
"""
BPE = "chn_jpn_yue_eng_ko_spectok.bpe.model"


def write_model(folder: Path) -> int:
    """A model folder as the hub has it; the size of its vocabulary."""
    folder.mkdir()
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(["good morning", "good evening", "what time is it", "turn on the light"] * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "bpe"),
        vocab_size=60,
        model_type="bpe",
        user_defined_symbols=list(TAGS),
        minloglevel=2,
    )
    (folder / "bpe.model").rename(folder / BPE)
    (folder / "config.yaml").write_text(CONFIG)
    paths = {"init_param": "model.pt", "config": "config.yaml", "tokenizer_conf": {"bpemodel": BPE}}
    paths["frontend_conf"] = {"cmvn_file": "am.mvn"}
    (folder / "configuration.json").write_text(json.dumps({"model": {"type": "funasr"}, "file_path_metas": paths}))
    zeros, ones = " ".join(["0"] * 560), " ".join(["1"] * 560)
    row = "<LearnRateCoef> 0 [ {} ]\n"
    (folder / "am.mvn").write_text(
        "<Nnet>\n<Splice> 560 560\n[ 0 ]\n<AddShift> 560 560\n"
        + row.format(zeros)
        + "<Rescale> 560 560\n"
        + row.format(ones)
        + "</Nnet>\n"
    )
    from funasr.models.sense_voice.model import SenseVoiceSmall  # only now: the engine contains what its import does

    torch.manual_seed(0)
    config = yaml.safe_load(CONFIG)
    model = SenseVoiceSmall(
        encoder=config["encoder"],
        encoder_conf=config["encoder_conf"],
        ctc_conf=config["ctc_conf"],
        input_size=560,
        vocab_size=60,
        **config["model_conf"],
    )
    torch.save(model.state_dict(), folder / "model.pt")
    return 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sensevoice") / "small"
    write_model(folder)
    return folder


def settings_for(folder: Path, *overrides: str) -> Settings:
    return load_settings(None, ["asr.engine=sensevoice", f"asr.model={folder}", "asr.device=cpu", *overrides], {})


def favour(folder: Path, pieces: list[str], bias: float) -> SenseVoice:
    """The model of `folder`, made to prefer `pieces` wherever it is."""
    loaded = load_model(folder, "asr.model", MODELS, "cpu")
    tokens = sentencepiece.SentencePieceProcessor(model_file=str(folder / BPE))
    with torch.no_grad():
        loaded.model.ctc.ctc_lo.weight.zero_()
        loaded.model.ctc.ctc_lo.bias.fill_(-bias)
        for piece in pieces:
            loaded.model.ctc.ctc_lo.bias[tokens.piece_to_id(piece)] = 0.0
    return SenseVoice(loaded, with_digits=True)


@pytest.fixture
def engine(folder: Path) -> Iterator[SenseVoiceEngine]:
    made = create(settings_for(folder))
    yield made
    made.close()


def test_the_real_model_class_decodes_what_is_fed(engine: SenseVoiceEngine) -> None:
    engine.warmup()
    stream = engine.stream("zh-CN", "ignored")
    assert stream.feed(SECOND) is None
    assert stream.partial() is None
    heard = stream.finish(never)
    stream.close()
    assert isinstance(heard, Hypothesis)
    assert heard.stable_chars == len(heard.text)
    assert heard.confidence is None or 0 <= heard.confidence <= 1


def test_tokens_become_text_with_their_probability(folder: Path) -> None:
    [heard] = favour(folder, ["▁good"], bias=10.0).recognise([Job(SECOND, "en")])
    assert heard.text == "good"
    assert heard.confidence == pytest.approx(1.0, abs=0.01)
    [unsure] = favour(folder, ["▁good"], bias=1.0).recognise([Job(SECOND, "en")])
    assert unsure.text == "good"
    assert unsure.confidence == pytest.approx(1 / (1 + 59 * np.exp(-1)), abs=0.01)


def test_tags_become_fields(folder: Path) -> None:
    [heard] = favour(folder, ["<|Laughter|>"], bias=10.0).recognise([Job(SECOND, "en")])
    assert heard == Hypothesis("", events=("laughter",))


def test_a_batch_gives_what_each_gives_alone(folder: Path) -> None:
    model = SenseVoice(load_model(folder, "asr.model", MODELS, "cpu"), with_digits=True)
    rng = np.random.default_rng(0)
    jobs = [Job((0.1 * rng.standard_normal(n)).astype(np.float32), "auto") for n in (16_000, 40_000, 8_000)]
    alone = [model.recognise([job])[0] for job in jobs]
    together = model.recognise(jobs)
    assert [heard.text for heard in together] == [heard.text for heard in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


def test_loading_again_gives_the_same(folder: Path) -> None:
    job = Job((0.1 * np.random.default_rng(1).standard_normal(24_000)).astype(np.float32), "en")
    heard = [SenseVoice(load_model(folder, "asr.model", MODELS, "cpu"), True).recognise([job]) for _ in range(2)]
    assert heard[0][0].text == heard[1][0].text
    assert heard[0][0].confidence == pytest.approx(heard[1][0].confidence, rel=1e-3), "but for the frontend's dither"
    assert heard[0][0].text, "the random model says something, or this test says nothing"


def test_nonsense_and_too_little_are_no_utterance(engine: SenseVoiceEngine) -> None:
    for samples in (SECOND[:0], SECOND[:1], SECOND[:1000]):
        stream = engine.stream()
        stream.feed(samples)
        assert stream.finish(never) == Hypothesis("")
    stream = engine.stream()
    stream.feed(np.full(16_000, np.nan, np.float32))
    assert isinstance(stream.finish(never), Hypothesis)
    stream = engine.stream()
    for _ in range(301):
        stream.feed(np.zeros(16_000, np.float32))
    with pytest.raises(EngineFailed, match="at most 300 s"):
        stream.finish(never)


def test_a_stale_utterance_ends_at_once(engine: SenseVoiceEngine) -> None:
    stream = engine.stream()
    stream.feed(SECOND)
    assert stream.finish(lambda: True) == Hypothesis("")


def test_sessions_side_by_side(engine: SenseVoiceEngine) -> None:
    heard: list[Hypothesis] = []

    def speak() -> None:
        stream = engine.stream("en")
        stream.feed(SECOND)
        heard.append(stream.finish(never))

    threads = [threading.Thread(target=speak) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({result.text for result in heard}) == 1
    assert len(heard) == 6


def test_a_missing_file_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"config\.yaml is missing"):
        create(settings_for(tmp_path))
    with pytest.raises(EngineUnavailable, match="--accept-licence"):
        create(load_settings(None, [f"models.folder={tmp_path / 'models'}"], {}))
    for name in ("config.yaml", "model.pt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(EngineUnavailable, match=r"am\.mvn is missing"):
        create(settings_for(tmp_path))
