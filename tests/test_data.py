"""The test data stays small, and says of everything where it comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
README = (DATA / "README.md").read_text(encoding="utf-8")
MAX_BYTES = 15_000_000


def test_all_of_it_is_at_most_15_mb():
    sizes = {
        path: path.stat().st_size for path in DATA.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    largest = sorted(sizes, key=lambda path: -sizes[path])[:5]
    assert sum(sizes.values()) <= MAX_BYTES, f"the largest are {[str(path.relative_to(DATA)) for path in largest]}"


def test_every_folder_is_told_with_who_made_it_and_its_licence():
    rows = dict(re.findall(r"^\| `(\w+)/` \|.*\| (.+) \|$", README, re.MULTILINE))
    folders = {path.name for path in DATA.iterdir() if path.is_dir()} - {"training", "__pycache__"}
    assert set(rows) == folders
    assert "licence of the\nproject (Apache-2.0)" in README
    scripts = [name for maker in rows.values() for name in re.findall(r"`([\w/]+\.py)`", maker)]
    assert scripts
    assert [name for name in scripts if not (DATA / name).is_file()] == []


def test_nothing_but_scripts_lies_beside_the_folders():
    assert {path.suffix for path in DATA.iterdir() if path.is_file()} <= {".py", ".md"}


@pytest.mark.parametrize("folder", ["speech", "speech/desk", "duplex"])
def test_a_manifest_names_every_recording_and_what_it_says(folder: str):
    rows = json.loads((DATA / folder / "manifest.json").read_text(encoding="utf-8"))
    recordings = {path.name for path in (DATA / folder).iterdir() if path.is_file()} - {"manifest.json"}
    assert {row["file"] for row in rows} == recordings
    assert all(row["text"] and row["voice"] for row in rows)
