"""Downloads through the real libraries of both hubs, from a hub on the loopback."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hub import Fault, Hub, running
from talkover.engines import EngineUnavailable
from talkover.models import find_model
from talkover.models.catalogue import Source
from talkover.models.download import DownloadFailed, Patience, Progress, download, is_reachable
from talkover.models.fetch import worth_fetching
from talkover.models.local import own_folder, read_record, verify
from talkover.sections.engines import ModelsSettings

REPO = "somebody/model"
WEIGHTS = np.random.default_rng(0).bytes(300_000)
LARGE = np.random.default_rng(1).bytes(24_000_000)
PIECE_BYTES = 10 << 20
"""what the library of Hugging Face reads before it writes: lost when a connection breaks"""
HUBS = ("modelscope", "huggingface")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub({"config.yaml": b"model: small\n", "model.pt": WEIGHTS, "sub/tokens.json": b"[]"})) as served:
        yield served


def environ_of(hub: Hub, home: Path) -> dict[str, str]:
    """The environment of a user with an empty home and no proxy."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    return kept | hub.environ | {"HOME": str(home), "HF_HOME": str(home / "hf"), "MODELSCOPE_CACHE": str(home / "ms")}


def settings_of(folder: Path, name: str = "auto", **changes: bool) -> ModelsSettings:
    return ModelsSettings.model_validate({"folder": folder, "hub": name, "accept_other_licences": True} | changes)


def find(hub: Hub, folder: Path, name: str = "auto", patience: Patience | None = None, **changes: bool) -> Path:
    seen: list[Progress] = []
    found = find_model(
        REPO,
        settings_of(folder, name, **changes),
        ("config.yaml", "model.pt"),
        on_progress=seen.append,
        environ=environ_of(hub, folder),
        patience=patience,
    )
    assert not seen or seen[-1].done == seen[-1].total > len(WEIGHTS)
    return found


@pytest.mark.parametrize("name", HUBS)
def test_a_download_is_whole_recorded_and_not_repeated(hub: Hub, tmp_path: Path, name: str) -> None:
    folder = find(hub, tmp_path, name)
    assert (folder / "model.pt").read_bytes() == WEIGHTS
    assert (folder / "sub" / "tokens.json").read_bytes() == b"[]"
    record = read_record(folder)
    assert record is not None
    assert (record.hub, record.repo) == (name, REPO)
    assert {fact.path for fact in record.files} == set(hub.files)
    assert not verify(folder, {})
    requests = len(hub.requests)
    assert find(hub, tmp_path, name) == folder
    assert len(hub.requests) == requests, "files that are here must not touch the network"


@pytest.mark.parametrize("name", HUBS)
def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.files["model.pt"] = LARGE
    hub.faults["model.pt"] = Fault("break")
    folder = find(hub, tmp_path, name)
    assert (folder / "model.pt").read_bytes() == LARGE
    assert [path for path, _ in hub.ranges] == ["model.pt"]
    assert hub.sent["model.pt"] <= len(LARGE) + PIECE_BYTES


@pytest.mark.parametrize("name", HUBS)
def test_a_stuck_download_ends_and_the_next_call_goes_on(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.files["model.pt"] = LARGE
    hub.faults["model.pt"] = Fault("hang")
    with pytest.raises(EngineUnavailable, match=r"nothing arrived for 1\.5 s.*talkover models pull somebody/model"):
        find(hub, tmp_path, name, Patience(stalled_s=1.5))
    folder = find(hub, tmp_path, name)
    assert (folder / "model.pt").read_bytes() == LARGE
    assert hub.ranges, "what had arrived was thrown away"


def test_a_wrong_checksum_is_named_and_leaves_nothing_that_looks_whole(hub: Hub, tmp_path: Path) -> None:
    hub.faults["model.pt"] = Fault("wrong", times=100)
    with pytest.raises(EngineUnavailable, match=r"huggingface: model\.pt arrived with a wrong size or checksum"):
        find(hub, tmp_path, "huggingface")
    assert not (own_folder(tmp_path, REPO) / "model.pt").exists()
    hub.faults.clear()
    assert (find(hub, tmp_path, "huggingface") / "model.pt").read_bytes() == WEIGHTS


def test_modelscopes_own_check_is_reported(hub: Hub, tmp_path: Path) -> None:
    hub.faults["model.pt"] = Fault("wrong", times=100)
    with pytest.raises(EngineUnavailable, match=r"modelscope: model\.pt is not the file the hub lists"):
        find(hub, tmp_path, "modelscope")
    assert not (own_folder(tmp_path, REPO) / "model.pt").exists()


def test_small_files_of_hugging_face_are_checked_by_their_git_name(hub: Hub, tmp_path: Path) -> None:
    hub.faults["config.yaml"] = Fault("wrong", times=100)
    with pytest.raises(EngineUnavailable, match=r"config\.yaml arrived with a wrong size or checksum"):
        find(hub, tmp_path, "huggingface")


def test_a_published_checksum_wins_over_what_the_hub_lists(hub: Hub, tmp_path: Path) -> None:
    source = Source("modelscope", REPO, "MIT", None, {"model.pt": "0" * 64})
    with pytest.raises(DownloadFailed, match=r"model\.pt arrived with a wrong size or checksum"):
        download(source, ("*",), tmp_path / "m", lambda _: None, environ_of(hub, tmp_path))


def test_the_second_hub_is_asked_when_the_first_has_nothing(hub: Hub, tmp_path: Path) -> None:
    hub.missing = {"modelscope"}
    record = read_record(find(hub, tmp_path))
    assert record is not None
    assert record.hub == "huggingface"


def test_a_name_nobody_knows_says_so_for_both_hubs(hub: Hub, tmp_path: Path) -> None:
    hub.missing = {"modelscope", "huggingface"}
    with pytest.raises(EngineUnavailable, match=r"modelscope: there is no somebody/model; huggingface: there is no"):
        find(hub, tmp_path)


def test_a_hub_that_does_not_answer_is_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.hangs = True
    started_s = time.monotonic()
    with pytest.raises(EngineUnavailable, match=r"modelscope: nothing arrived for 1\.5 s"):
        find(hub, tmp_path, "modelscope", Patience(listing_s=1.5))
    assert time.monotonic() - started_s < 8


def test_offline_costs_no_time_and_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    offline = Hub(url=f"http://127.0.0.1:{port}")
    started_s = time.monotonic()
    with pytest.raises(EngineUnavailable) as refused:
        find(offline, tmp_path)
    assert time.monotonic() - started_s < 3
    said = str(refused.value)
    assert "127.0.0.1 cannot be reached" in said
    assert "talkover models pull somebody/model" in said
    assert str(own_folder(tmp_path, REPO)) in said


def test_a_host_that_swallows_packets_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]  # fill the queue: the next connection gets no answer
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        started_s = time.monotonic()
        assert not is_reachable(f"http://127.0.0.1:{address[1]}", 0.3)
        assert time.monotonic() - started_s < 2
        for client in waiting:
            client.close()


def test_no_download_without_leave(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"is not here .*: talkover models pull somebody/model"):
        find(hub, tmp_path, download=False)
    with pytest.raises(EngineUnavailable, match=r"neither Apache-2.0 nor MIT .* --accept-licence"):
        find(hub, tmp_path, accept_other_licences=False)
    assert not hub.requests


def test_damage_is_found_by_reading_and_mended_by_pulling(hub: Hub, tmp_path: Path) -> None:
    folder = find(hub, tmp_path)
    data = bytearray(WEIGHTS)
    data[1000] ^= 1
    (folder / "model.pt").write_bytes(data)
    assert verify(folder, {})[0].startswith("model.pt has the wrong checksum")
    (folder / "model.pt").write_bytes(WEIGHTS[:-1])
    assert (find(hub, tmp_path) / "model.pt").read_bytes() == WEIGHTS


def test_what_other_programs_have_downloaded_is_used(hub: Hub, tmp_path: Path) -> None:
    downloaded = find(hub, tmp_path / "first")
    for cached in (
        tmp_path / "ms/models/somebody/model",
        tmp_path / "ms/hub/models/somebody/model",
        tmp_path / "ms/models/somebody--model/snapshots/master",
        tmp_path / "hf/hub/models--somebody--model/snapshots/abc",
    ):
        shutil.copytree(downloaded, cached)
        refs = cached.parent.parent / "refs"
        refs.mkdir(exist_ok=True)
        (refs / "main").write_text("abc")
        requests = len(hub.requests)
        assert find_model(REPO, settings_of(tmp_path), ("model.pt",), environ=environ_of(hub, tmp_path)) == cached
        assert len(hub.requests) == requests
        shutil.rmtree(cached)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("model.pt", True),
        ("sub/deep/tokens.json", True),
        ("../../etc/passwd", False),
        ("/etc/passwd", False),
        ("a\\b", False),
        (".gitattributes", False),
        ("modeling_evil.py", False),
        ("run.SH", False),
        ("", False),
    ],
)
def test_only_data_inside_of_the_folder_is_fetched(path: str, wanted: bool) -> None:
    assert worth_fetching(path, ("*",)) is wanted


def test_patterns_choose_by_path_or_by_name() -> None:
    assert worth_fetching("a/config.yaml", ("*.yaml",))
    assert worth_fetching("CosyVoice-BlankEN/vocab.json", ("CosyVoice-BlankEN/*",))
    assert not worth_fetching("image/logo.png", ("*.yaml", "model.pt"))
