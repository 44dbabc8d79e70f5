"""A model folder with a missing or wrong file names it, before the port opens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from small_paraformer import MODELS, needs_funasr, paraformer_settings
from talkover.config import ConfigError
from talkover.engines import EngineUnavailable
from talkover.registry import create_engine


@pytest.fixture(scope="module", autouse=True)
def full_extra() -> None:
    needs_funasr()


Break = Callable[[Path], object]

BROKEN: dict[str, tuple[Break, str]] = {
    "no weights": (lambda f: (f / "model.pt").unlink(), "model.pt"),
    "weights cut short": (
        lambda f: (f / "model.pt").write_bytes((f / "model.pt").read_bytes()[:5000]),
        "cannot be loaded",
    ),
    "weights that are none": (lambda f: (f / "model.pt").write_text("<html>not found</html>"), "cannot be loaded"),
    "weights of another model": (
        lambda f: shutil.copy(MODELS / "punctuation" / "model.pt", f / "model.pt"),
        "model.pt does not fit config.yaml",
    ),
    "no configuration": (lambda f: (f / "config.yaml").unlink(), "config.yaml"),
    "a configuration that is none": (lambda f: (f / "config.yaml").write_text("{"), "config.yaml"),
    "no vocabulary": (lambda f: (f / "tokens.json").unlink(), "tokens.json"),
    "a vocabulary that is none": (lambda f: (f / "tokens.json").write_text("["), "tokens.json"),
    "no normalisation": (lambda f: (f / "am.mvn").unlink(), "am.mvn"),
    "another kind of model": (
        lambda f: shutil.copytree(MODELS / "punctuation", f, dirs_exist_ok=True),
        "config.yaml: model must be one of Paraformer, .*, got 'CTTransformer'",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MODELS / "paraformer", folder)
    breaking, message = BROKEN[name]
    breaking(folder)
    with pytest.raises(EngineUnavailable, match=message) as caught:
        create_engine("asr", "paraformer", paraformer_settings(f"model={folder}"))
    assert str(folder) in str(caught.value)


def test_a_model_in_the_wrong_place_is_named() -> None:
    swapped = paraformer_settings(f"streaming_model={MODELS / 'paraformer'}")
    with pytest.raises(EngineUnavailable, match=r"asr\.streaming_model: .*one of ParaformerStreaming, got 'Para"):
        create_engine("asr", "paraformer", swapped)


def test_no_model_at_all_says_which_keys() -> None:
    with pytest.raises(EngineUnavailable, match=r"needs asr\.model or asr\.streaming_model"):
        create_engine("asr", "paraformer", paraformer_settings("model=none", "streaming_model=none"))


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("chunk_ms=500", "asr.chunk_ms"),
        ("chunk_ms=60", "asr.chunk_ms"),
        ("second_pass=sometimes", "asr.second_pass"),
        ("device=fast", "asr.device"),
    ],
)
def test_options_outside_their_range_are_named(override: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        paraformer_settings(override)
