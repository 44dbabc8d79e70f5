"""The command that compares with recorded outputs: it holds on them, and it notices when something does not."""

import shutil
from pathlib import Path

import pytest

from golden import SELECTION, WHOLE, needs_whole_pack

torch = pytest.importorskip("torch", reason="needs the extra 'full'")
pytest.importorskip("onnxruntime", reason="needs the extra 'full'")

from safetensors.torch import load_file, save_file  # noqa: E402

from talkover.tts.cosyvoice2.parity import PARTS, main  # noqa: E402
from talkover.tts.cosyvoice2.parity_check import Check  # noqa: E402

IN_THE_SELECTION = ("sampling", "features", "voices", "text")


@needs_whole_pack
def test_every_part_holds_on_the_whole_pack(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(WHOLE)]) == 0
    shown = capsys.readouterr().out
    for part in PARTS:
        assert part in shown
    assert "comparisons hold" in shown
    assert "✗" not in shown


@pytest.mark.parametrize("part", IN_THE_SELECTION)
def test_parts_of_the_selection_hold(part: str) -> None:
    assert main([str(SELECTION), "--only", part]) == 0


def test_a_changed_output_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("config.json", "ras_cases.json"):
        shutil.copyfile(SELECTION / name, tmp_path / name)
    tensors = load_file(SELECTION / "ras_cases.safetensors")
    name = next(name for name in tensors if name.endswith(".final_prob"))
    tensors[name][3] += 2e-6
    save_file(tensors, tmp_path / "ras_cases.safetensors")
    assert main([str(tmp_path), "--only", "sampling"]) == 1
    assert "final probabilities" in capsys.readouterr().out


def test_a_missing_file_is_not_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--only", "features"]) == 1
    shown = "".join(capsys.readouterr().out.replace("│", "").split())
    assert "ismissing" in shown
    assert "0of1comparisonshold" in shown
    with pytest.raises(SystemExit) as refused:
        main([str(tmp_path / "nowhere")])
    assert refused.value.code == 2


def test_what_cannot_be_compared_does_not_hold() -> None:
    assert not Check.near("", torch.zeros(3), torch.zeros(2), 1.0).holds
    assert not Check.near("", torch.tensor([float("nan")]), torch.zeros(1), 1.0).holds
    assert Check.near("", torch.zeros(0), torch.zeros(0), 0.0).holds
    assert not Check.equal("", [1], [2]).holds
