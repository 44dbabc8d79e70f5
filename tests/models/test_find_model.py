"""Names, paths and folders, without a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from talkover.config import load_settings
from talkover.engines import EngineUnavailable
from talkover.models import find_model
from talkover.models.catalogue import CATALOGUE, FREE_LICENCES, is_hub_name, known_model, model_called
from talkover.models.fetch import worth_fetching
from talkover.models.local import FileFact, Record, faults, is_whole, read_record, verify, write_record
from talkover.sections.engines import ModelsSettings


@pytest.fixture
def settings(tmp_path: Path) -> ModelsSettings:
    return ModelsSettings(folder=tmp_path / "models", download=False)


def test_a_folder_is_used_as_it_is(settings: ModelsSettings, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"x")
    assert find_model(str(folder), settings, ("model.pt",)) == folder


def test_a_folder_with_a_missing_or_empty_file_names_it(settings: ModelsSettings, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(EngineUnavailable, match=r"tokens\.json is missing, model\.pt is empty"):
        find_model(str(tmp_path), settings, ("tokens.json", "model.pt"))
    with pytest.raises(EngineUnavailable, match="does not exist"):
        find_model("./nowhere", settings)


@pytest.mark.parametrize("name", ["paraformer", "no such thing", "", "a/b?c"])
def test_an_unknown_name_lists_the_known_ones(settings: ModelsSettings, name: str) -> None:
    with pytest.raises(EngineUnavailable, match="paraformer-zh-streaming"):
        find_model(name, settings)


def test_a_known_model_that_is_not_here_says_the_command(settings: ModelsSettings) -> None:
    with pytest.raises(EngineUnavailable, match=r"about 1130 MB\): talkover models pull ct-punc"):
        find_model("iic/punc_ct-transformer_cn-en-common-vocab471067-large", settings, environ={"HOME": "/nowhere"})


def test_relative_model_paths_count_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[asr]\nmodel = "./mine"\n[models]\nfolder = "weights"\n')
    settings = load_settings(tmp_path / "c.toml", (), {})
    assert settings.asr.model == str(tmp_path / "mine")
    assert settings.models.folder == tmp_path / "weights"
    (tmp_path / "c.toml").write_text('[asr]\nmodel = "owner/name"\n')
    assert load_settings(tmp_path / "c.toml", (), {}).asr.model == "owner/name"


def test_the_catalogue_is_consistent() -> None:
    names = [name for model in CATALOGUE for name in (model.name, *model.repos)]
    assert len(names) == len({name.lower() for name in names})
    for model in CATALOGUE:
        assert known_model(model.name.upper()) is model
        assert all(known_model(repo) is model for repo in model.repos)
        assert all(is_hub_name(repo) for repo in model.repos)
        assert all(worth_fetching(path, model.wanted) for path in model.files), model.name
        assert model.sources[0].is_free or model.name == "sensevoice-small"
    assert {"Apache-2.0", "MIT"} == FREE_LICENCES


def test_an_unlisted_hub_name_has_no_known_licence() -> None:
    model = model_called("owner/name")
    assert model is not None
    assert not any(source.is_free for source in model.sources)


def test_a_record_makes_sizes_and_checksums_comparable(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"weights")
    assert not is_whole(tmp_path, ()), "nothing is known of this folder"
    write_record(tmp_path, Record("modelscope", "a/b", None, "MIT", (FileFact("model.pt", 7, "0" * 64),)))
    assert is_whole(tmp_path, ())
    assert verify(tmp_path, {})
    assert not verify_with(tmp_path, hashlib.sha256(b"weights").hexdigest())
    (tmp_path / "model.pt").write_bytes(b"short")
    assert faults(tmp_path, ()) == ["model.pt has 5 bytes instead of 7"]
    for damaged in ("{", "[]", '{"files": [{"path": "a", "size": 1e999, "sha256": ""}]}', "[" * 5000):
        (tmp_path / ".talkover-model.json").write_text(damaged)
        assert read_record(tmp_path) is None


def verify_with(folder: Path, sha256: str) -> list[str]:
    write_record(folder, Record("modelscope", "a/b", None, "MIT", (FileFact("model.pt", 7, sha256),)))
    return verify(folder, {})
