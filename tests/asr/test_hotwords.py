"""Words to expect, with FunASR's SeACo classes: our steps against FunASR's own `generate`.

No small SeACo model is trained: its biasing parts are random here, so these tests show that the words reach the model
as FunASR means them to, not that a trained one spells them right.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from small_paraformer import MODELS, needs_funasr
from talkover.messages import Samples

Say = Callable[[str, str], Samples]
MakeModel = Callable[[float], Path]
HOTWORDS = ("talkover", "light", "打开")
WIDTH, NO_BIAS = 96, 1


@pytest.fixture
def make_seaco(tmp_path: Path) -> MakeModel:
    """`make_seaco(reluctance)`: the small Paraformer with biasing parts that say "none of the words" that readily."""
    needs_funasr()
    import torch
    from funasr.register import tables

    import talkover.asr.funasr_models  # noqa: F401  # registers FunASR's classes

    def make(reluctance: float) -> Path:
        folder = tmp_path / f"seaco{reluctance:g}"
        shutil.copytree(MODELS / "paraformer", folder)
        config: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        config |= {
            "model": "SeacoParaformer",
            "model_conf": config["model_conf"]
            | {"inner_dim": WIDTH, "bias_encoder_type": "lstm", "bias_encoder_bid": False, "NO_BIAS": NO_BIAS},
            "predictor": "CifPredictorV3",
            "predictor_conf": config["predictor_conf"]
            | {"smooth_factor2": 0.25, "noise_threshold2": 0.01, "upsample_times": 3, "upsample_type": "cnn_blstm"},
            "seaco_decoder": "ParaformerSANMDecoder",
            "seaco_decoder_conf": config["decoder_conf"] | {"use_output_layer": False, "wo_input_layer": True},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        torch.manual_seed(0)
        vocabulary = len(yaml.safe_load((folder / "tokens.json").read_text(encoding="utf-8")))
        parts = {name: config[name] for name in config if name not in ("model", "model_conf", "frontend", "tokenizer")}
        model = tables.model_classes["SeacoParaformer"](
            **parts, **config["model_conf"], input_size=560, vocab_size=vocabulary
        )
        learned = torch.load(folder / "model.pt", weights_only=True)
        model.load_state_dict(learned.get("state_dict", learned), strict=False)
        with torch.no_grad():
            model.hotword_output_layer.bias[NO_BIAS] += reluctance
        torch.save(model.state_dict(), folder / "model.pt")
        return folder

    return make


def recognised(folder: Path, samples: Samples, hotwords: tuple[str, ...], hint: tuple[str, ...] = ()) -> list[str]:
    from talkover.asr.funasr_models import load_model
    from talkover.asr.offline_paraformer import MODELS as CLASSES
    from talkover.asr.offline_paraformer import OfflineParaformer

    offline = OfflineParaformer(load_model(folder, "asr.model", CLASSES, "cpu"), hotwords)
    one, again = offline.recognise([samples, np.concatenate([samples, samples])[: 2 * samples.size - 100]], hint)
    assert again
    return [token.text for token in one]


def test_the_words_reach_the_model_as_funasr_sends_them(say: Say, make_seaco: MakeModel) -> None:
    from funasr import AutoModel

    folder = make_seaco(0)
    samples = say("Turn on the light in the kitchen.", "en-us-f1")
    model = AutoModel(model=str(folder), disable_update=True, disable_pbar=True, device="cpu", ncpu=1)
    theirs = model.generate(input=samples, hotword="talkover light")[0]["text"].replace(" ", "")
    ours = "".join(recognised(folder, samples, ("talkover", "light")))
    assert ours == theirs
    assert ours == "".join(recognised(folder, samples, ("talkover",), hint=("light",)))
    assert ours != "".join(recognised(folder, samples, ()))


def test_where_none_of_the_words_was_said_they_change_nothing(say: Say, make_seaco: MakeModel) -> None:
    folder = make_seaco(1000)
    samples = say("Turn on the light in the kitchen.", "en-us-f1")
    assert recognised(folder, samples, HOTWORDS) == ["turn", "on", "the", "light", "in", "the", "kitchen"]


def test_words_that_the_vocabulary_cannot_write_are_named(
    say: Say, make_seaco: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    recognised(make_seaco(1000), say("Tell me a story.", "en-us-f1"), ("talkover", "xylophone"))
    assert "cannot write 'xylophone'" in caplog.text
    assert "'talkover'" not in caplog.text
