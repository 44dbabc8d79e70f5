"""Dimensions from the official files: read without running anything, checked as a whole."""

import json
import shutil
from pathlib import Path

import pytest

from golden import SELECTION, on_every_pack

pytest.importorskip("torch", reason="needs the extra 'full'")

from talkover.engines import EngineUnavailable
from talkover.tts.cosyvoice2.configuration import load_configuration, load_golden_configuration
from talkover.tts.cosyvoice2.hyperpyyaml import parse_hyperpyyaml


@on_every_pack
def test_both_ways_of_writing_the_dimensions_give_the_same(golden: Path) -> None:
    config = load_configuration(golden / "model_dir")
    assert config == load_golden_configuration(golden)
    assert config.llm.qwen.head_dim == 16
    assert (config.llm.eos, config.llm.fill, config.llm.n_outputs) == (6561, 6563, 6564)
    assert config.flow.estimator.static_chunk_size == 50
    assert config.hift.f0_cond_channels == 32


def test_tags_are_read_and_never_called(tmp_path: Path) -> None:
    tree = parse_hyperpyyaml(
        f"""
seed: !apply:random.seed [1986]
made: !new:os.mkdir
  path: {tmp_path / "made"}
called: !name:os.system
  command: touch {tmp_path / "called"}
bare: !name:os.getcwd
chunk: 25
ratio: 2
frames: !ref <chunk> * <ratio>
again: !ref <frames>
unknown: !ref <nothing>
loop: !ref <loop>
parts: [!ref <chunk>, !new:a.B [1, 2]]
""",
        "x.yaml",
    )
    assert (tree["frames"], tree["again"], tree["parts"]) == (50, 50, [25, [1, 2]])
    assert (tree["unknown"], tree["loop"], tree["bare"]) == ("<nothing>", "<loop>", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.getcwd []", "a: [1", "just words", "a: !unheard 1"])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(EngineUnavailable, match=r"x\.yaml"):
        parse_hyperpyyaml(text, "x.yaml")


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SELECTION / "model_dir", folder)
    path = folder / "cosyvoice2.yaml"
    text = path.read_text().replace("    vocab_size: 6561\n", "").replace("nb_harmonics: 8", "nb_harmonics: many")
    path.write_text(text.replace("[3, 7, 11]", "[3, seven]"))
    qwen = folder / "CosyVoice-BlankEN" / "config.json"
    qwen.write_text(json.dumps(json.loads(qwen.read_text()) | {"model_type": "llama", "hidden_size": -1}))
    with pytest.raises(EngineUnavailable) as caught:
        load_configuration(folder)
    for problem in (
        "flow.vocab_size: is missing",
        "hift.nb_harmonics: must be a whole number of at least 0, got 'many'",
        "hift.resblock_kernel_sizes: must be a list of whole numbers above 0, got [3, 'seven']",
        "config.json model_type: must be 'qwen2', got 'llama'",
        "config.json hidden_size: must be a whole number of at least 0, got -1",
    ):
        assert problem in str(caught.value)


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SELECTION / "model_dir", folder)
    path = folder / "cosyvoice2.yaml"
    path.write_text(path.read_text().replace("sample_rate: 24000", "sample_rate: 22050"))
    with pytest.raises(EngineUnavailable, match="sample_rate: must be 24000, got 22050"):
        load_configuration(folder)
