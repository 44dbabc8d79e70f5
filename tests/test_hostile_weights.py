"""Files of models and voices are data: nothing in them is executed, and no path in them leads out of their folder."""

from __future__ import annotations

import itertools
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from golden import SELECTION
from small_onnx import FLOAT, data, node, number, value_info, write_model
from small_paraformer import MODELS
from talkover.engines import EngineUnavailable
from talkover.vad.onnx_session import open_session
from talkover.yaml_tree import yaml_tree

torch = pytest.importorskip("torch", reason="needs the extra 'full'")
pytest.importorskip("onnxruntime", reason="needs the extra 'full'")


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there after the test if a file was executed."""
    return tmp_path / "executed"


def hostile_checkpoint(path: Path, mark: Path, *, zipped: bool) -> None:
    torch.save({"weight": torch.zeros(1), "x": Hostile(mark)}, path, _use_new_zipfile_serialization=zipped)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_attack_works_where_nothing_is_done_against_it(tmp_path: Path, mark: Path, zipped: bool):
    hostile_checkpoint(tmp_path / "x.pt", mark, zipped=zipped)
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert mark.is_dir()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", ["llm", "flow", "hift"])
def test_checkpoints_of_cosyvoice(tmp_path: Path, mark: Path, part: str, zipped: bool):
    from talkover.tts.cosyvoice2.checkpoint import read_state

    hostile_checkpoint(tmp_path / f"{part}.pt", mark, zipped=zipped)
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        read_state(tmp_path, part)
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_speakers_of_cosyvoice(tmp_path: Path, mark: Path, zipped: bool):
    from talkover.tts.cosyvoice2.trained_speakers import load_speakers

    hostile_checkpoint(tmp_path / "spk2info.pt", mark, zipped=zipped)
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        load_speakers(tmp_path / "spk2info.pt")
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_models_of_funasr_also_where_the_environment_allows_pickles(
    tmp_path: Path, mark: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch
):
    """FunASR calls `torch.load` without saying what it may do, and this variable is what torch then asks."""
    pytest.importorskip("funasr", reason="needs the extra 'full'")
    from talkover.asr.funasr_models import load_model

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    folder = shutil.copytree(MODELS / "paraformer", tmp_path / "model")
    hostile_checkpoint(folder / "model.pt", mark, zipped=zipped)
    expected = ("SeacoParaformer", "Paraformer", "ContextualParaformer", "BiCifParaformer")
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        load_model(folder, "asr.model", expected, "cpu")
    assert not mark.exists()


def test_stored_features_of_a_voice(tmp_path: Path, mark: Path):
    from talkover.tts.cosyvoice2.prompt_features import FeatureStore

    hostile = np.array([Hostile(mark)], object)
    with (tmp_path / "key.npz").open("wb") as file:
        np.savez(file, speech_ids=hostile, mel=np.zeros((1, 2, 80), np.float32), speaker=np.zeros((1, 4), np.float32))
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Hostile(mark)))
    assert FeatureStore(tmp_path).get("key") is None
    assert FeatureStore(tmp_path).get("plain") is None
    assert not mark.exists()


def test_the_configuration_of_cosyvoice(tmp_path: Path, mark: Path):
    from talkover.tts.cosyvoice2.configuration import load_configuration

    folder = shutil.copytree(SELECTION / "model_dir", tmp_path / "model")
    path = folder / "cosyvoice2.yaml"
    path.write_text(path.read_text() + f"\nx: !apply:os.mkdir ['{mark}']\ny: !new:pathlib.Path ['{mark}']\n")
    load_configuration(folder)
    path.write_text(path.read_text() + f"\nz: !!python/object/apply:os.mkdir ['{mark}']\n")
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        load_configuration(folder)
    assert not mark.exists()


def test_weights_of_an_onnx_file_lie_in_its_own_folder(tmp_path: Path):
    """External data (onnx.proto, `TensorProto.external_data`) names a file by a path that anybody may have written."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (tmp_path / "secret", folder / "own"):
        file.write_bytes(np.float32(7).tobytes())

    def model(location: str) -> Path:
        entries = (("location", location), ("length", "4"))
        outside = b"".join(data(13, data(1, key) + data(2, value)) for key, value in entries) + number(14, 1)
        weights = number(1, 1) + number(2, FLOAT) + data(8, "w") + outside
        inputs, outputs = [value_info("x", FLOAT, (1,))], [value_info("y", FLOAT, (1,))]
        return write_model(folder / "m.onnx", [node("Add", ["x", "w"], ["y"])], inputs, outputs, [weights])

    (found,) = open_session(model("own"), "vad.turn_model").run(None, {"x": np.array([1], np.float32)})
    assert found == 8
    for location in ("../secret", str(tmp_path / "secret")):
        with pytest.raises(EngineUnavailable, match="is not a model onnxruntime can read"):
            open_session(model(location), "vad.turn_model")


def aliases(line: str) -> str:
    """Seven lines, each ten times the one before: `{old}` is an alias of that, `{new}` the name of this."""
    lines = [line.format(new=new, old=",".join([f"*{old}"] * 10)) for old, new in itertools.pairwise("abcdefgh")]
    return "\n".join(["a: &a {x: 1, y: 2}", *lines])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (aliases("{new}: &{new} [{old}]"), "stands for more than"),
        (aliases("{new}: &{new} {{<<: [{old}]}}"), "stands for more than"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
            "stands for more than",
        ),
        (
            "a: &a {x: 1, y: 2}\n"
            + "".join(
                f"{b}: &{b} {{<<: [{','.join([f'*{a}'] * 10)}]}}\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "stands for more than",
        ),
        ("&a [*a]", "holds itself"),
        ("[" * 3000, "nested too deeply"),
        ("!!int ''", "does not fit its tag"),
        ("2001-99-99", "month must be"),
        ("a: [", "expected"),
    ],
)
def test_yaml_of_others_is_plain_and_bounded(text: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        yaml_tree(text)


def test_yaml_as_it_should_be():
    assert yaml_tree("a: &a [1, x]\nb: *a\n") == {"a": [1, "x"], "b": [1, "x"]}
    assert yaml_tree("") is None
