"""The Whisper engine with the real faster-whisper, on a Whisper model whose weights are written by hand.

The model has the real architecture, file layout and tokens. Its decoder hears nothing: attention and feed-forward
parts are zero, and the embedding of each position points at the token that is to come next. So what it says is known,
and everything around it - loading, features, language, prompt, decoding, confidence - is real.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import never
from talkover.config import Settings, load_settings
from talkover.engines import EngineFailed, EngineUnavailable

pytest.importorskip("faster_whisper", reason="needs the extra `whisper`")

import ctranslate2
from ctranslate2.specs import WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from talkover.asr.whisper import Piece, WhisperEngine, create, hypothesis_of

WIDTH, HEADS, MELS, POSITIONS, AUDIO_POSITIONS = 32, 2, 80, 448, 1500
PROMPT_TOKENS = 4
"""start, language, task, no timestamps"""
SECOND = (0.1 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)


def write_model(folder: Path, said: Sequence[str], language: str = "en", sharpness: float = 4.0) -> None:
    """A model that hears `language` and then the tokens `said`, whatever it is given."""
    folder.mkdir()
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in _LANGUAGE_CODES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{index * 0.02:.2f}|>" for index in range(1501))]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [token.replace(" ", "Ġ") for token in dict.fromkeys(said)]
    texts = [*dict.fromkeys([*letters, *words]), ""]  # by the empty token CTranslate2 knows a multilingual model
    vocabulary = {token: index for index, token in enumerate([*texts, *special])}
    marks = set(special)
    tokenizer = Tokenizer(models.BPE(vocab={t: i for t, i in vocabulary.items() if t not in marks}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))

    spec = WhisperSpec(1, HEADS, 1, HEADS)
    for name in ("conv1", "conv2"):
        conv = getattr(spec.encoder, name)
        conv.weight = np.zeros((WIDTH, MELS if name == "conv1" else WIDTH, 3), np.float32)
        conv.bias = np.zeros(WIDTH, np.float32)
    spec.encoder.position_encodings.encodings = np.zeros((AUDIO_POSITIONS, WIDTH), np.float32)
    spec.decoder.position_encodings.encodings = np.zeros((POSITIONS, WIDTH), np.float32)
    spec.decoder.embeddings.weight = np.zeros((len(vocabulary), WIDTH), np.float32)
    spec.decoder.projection.weight = np.zeros((len(vocabulary), WIDTH), np.float32)
    for part, layer in ((spec.encoder, spec.encoder.layer[0]), (spec.decoder, spec.decoder.layer[0])):
        write_norm(part.layer_norm)
        write_attention(layer.self_attention, fused=3)
        write_norm(layer.ffn.layer_norm)
        write_linear(layer.ffn.linear_0, 4 * WIDTH, WIDTH)
        write_linear(layer.ffn.linear_1, WIDTH, 4 * WIDTH)
    write_attention(spec.decoder.layer[0].attention, fused=0)

    script = {0: f"<|{language}|>"}
    script |= {PROMPT_TOKENS - 1 + index: token.replace(" ", "Ġ") for index, token in enumerate(said)}
    script |= {PROMPT_TOKENS - 1 + len(said): "<|endoftext|>"}
    for row, (position, token) in enumerate(script.items()):
        spec.decoder.position_encodings.encodings[position, row] = 1.0
        spec.decoder.projection.weight[vocabulary[token], row] = sharpness
    last = len(script) - 1
    for position in set(range(POSITIONS)) - set(script):  # anywhere else there is nothing more to say
        spec.decoder.position_encodings.encodings[position, last] = 1.0

    spec.register_vocabulary(list(vocabulary))
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [vocabulary[f"<|{code}|>"] for code in _LANGUAGE_CODES]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.optimize(quantization=None)
    spec.save(str(folder))
    preprocessor = {"feature_size": MELS, "hop_length": 160, "n_fft": 400, "sampling_rate": 16_000, "chunk_length": 30}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def write_norm(norm: Any) -> None:
    norm.gamma, norm.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def write_linear(linear: Any, rows: int, columns: int) -> None:
    linear.weight, linear.bias = np.zeros((rows, columns), np.float32), np.zeros(rows, np.float32)


def write_attention(attention: Any, fused: int) -> None:
    write_norm(attention.layer_norm)
    sizes = (3 * WIDTH, WIDTH) if fused else (WIDTH, 2 * WIDTH, WIDTH)
    for linear, rows in zip(attention.linear, sizes, strict=True):
        write_linear(linear, rows, WIDTH)


def settings_for(folder: Path, *overrides: str) -> Settings:
    return load_settings(None, ["asr.engine=whisper", f"asr.model={folder}", "asr.workers=1", *overrides], {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper") / "scripted"
    write_model(folder, [" Turn", " on", " the", " light", "."])
    return folder


@pytest.fixture
def engine(folder: Path) -> Iterator[WhisperEngine]:
    made = create(settings_for(folder))
    yield made
    made.close()


def test_an_utterance_becomes_text_with_language_and_confidence(engine: WhisperEngine) -> None:
    engine.warmup()
    stream = engine.stream()
    for start in range(0, SECOND.size, 1000):
        assert stream.feed(SECOND[start : start + 1000]) is None
        assert stream.partial() is None
    heard = stream.finish(never)
    stream.close()
    stream.close()
    assert heard.text == "Turn on the light."
    assert heard.stable_chars == len(heard.text)
    assert heard.language == "en"
    assert heard.confidence is not None
    assert 0.9 < heard.confidence <= 1


def test_a_model_that_is_unsure_says_so(tmp_path: Path) -> None:
    write_model(tmp_path / "unsure", [" what", " ever"], language="zh", sharpness=1.0)
    engine = create(settings_for(tmp_path / "unsure"))
    stream = engine.stream()
    stream.feed(SECOND)
    heard = stream.finish(never)
    engine.close()
    assert heard.text == "what ever"
    assert heard.language == "zh"
    assert heard.confidence is not None
    assert heard.confidence < 0.9


def test_the_language_asked_for_is_used_where_whisper_knows_it(engine: WhisperEngine) -> None:
    for asked, used in (("zh-CN", "zh"), ("EN", "en"), ("tlh", "en"), (None, "en")):
        stream = engine.stream(asked)
        stream.feed(SECOND)
        assert stream.finish(never).language == used


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(1, np.float32), SECOND[:1000]])
def test_too_little_audio_is_no_utterance(engine: WhisperEngine, samples: np.ndarray) -> None:
    stream = engine.stream()
    stream.feed(samples)
    assert stream.finish(never).text == ""


def test_nonsense_from_a_client_is_survived(engine: WhisperEngine) -> None:
    stream = engine.stream()
    stream.feed(np.full(16_000, np.nan, np.float32))
    stream.feed(np.full(16_000, 1e30, np.float32))
    assert stream.finish(never).text == "Turn on the light."
    long = engine.stream()
    for _ in range(302):
        long.feed(np.zeros(16_000, np.float32))
    with pytest.raises(EngineFailed, match="at most 300 s"):
        long.finish(never)


def test_what_nobody_waits_for_is_skipped(engine: WhisperEngine) -> None:
    stream = engine.stream()
    stream.feed(SECOND)
    assert stream.finish(lambda: True).text == ""


def test_sessions_side_by_side_get_their_own_results(engine: WhisperEngine) -> None:
    heard: list[str] = []

    def speak() -> None:
        stream = engine.stream("en")
        stream.feed(SECOND)
        heard.append(stream.finish(never).text)

    threads = [threading.Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert heard == ["Turn on the light."] * 4


def test_a_folder_that_is_not_whisper_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"config\.json is missing"):
        create(settings_for(tmp_path))
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:200])
    with pytest.raises(EngineUnavailable, match=f"{tmp_path} cannot be loaded by faster-whisper"):
        create(settings_for(tmp_path))
    with pytest.raises(EngineUnavailable, match="talkover models pull whisper-small"):
        create(load_settings(None, ["models.download=false", f"models.folder={tmp_path}"], {}))


def test_silence_is_left_out_and_confidence_weighted() -> None:
    silence = Piece(" Thank you.", -1.5, 0.9, 4)
    assert hypothesis_of([silence], "en").text == ""
    both = hypothesis_of([Piece(" Yes", -0.1, 0.0, 1), silence, Piece(" please.", -0.4, 0.7, 2)], "en")
    assert both.text == "Yes please."
    assert both.confidence == pytest.approx(np.exp(-0.3))


def test_the_library_is_one_that_this_model_fits() -> None:
    assert int(ctranslate2.__version__.split(".")[0]) == 4
