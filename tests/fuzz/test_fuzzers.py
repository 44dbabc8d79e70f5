"""Every fuzzer on its corpus, where what was found once is kept, and for a moment on new inputs.

`tests/fuzz/run.py` looks for longer, guided by coverage. Here inputs are changed blindly, always the same ones.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from fuzz.fuzzers import MODULES, NAMES, fuzzer
from fuzz.harness import CORPUS, Fuzzer, LimitExceeded, cpu_limit, memory_limit, signature
from fuzz.mutation import mutated, mutated_json, with_ogg_checksums
from knowledge_files import start_library_threads

BLIND_S = 0.4
"""of processor time for each fuzzer"""
HANG_S = 120.0
MAX_CORPUS_BYTES = 200_000
NEEDS = {"fuzz.weights": ("torch", "onnxruntime", "yaml"), "fuzz.tools": ("mcp", "yaml")}


@pytest.fixture(scope="module", autouse=True)
def library_threads() -> None:
    start_library_threads()


@pytest.fixture(autouse=True)
def ended_when_it_hangs() -> Iterator[None]:
    """Code that never returns to Python knows no other end."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def made(name: str) -> Fuzzer:
    module = next(module for module, names in MODULES.items() if name in names)
    for needed in NEEDS.get(module, ()):
        pytest.importorskip(needed, reason="needs the extras 'full' and 'mcp'")
    return fuzzer(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_shows_no_defect(name: str):
    target = made(name)
    files = target.corpus()
    assert files
    for path in files:
        target.run(path.read_bytes())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_changed_inputs_show_no_defect(name: str, tmp_path: Path):
    target, random = made(name), Random(name)
    seeds, words = [path.read_bytes() for path in target.corpus()], target.words
    started_s = time.process_time()
    while time.process_time() - started_s < BLIND_S:
        data = target.mutate(random.choice(seeds), random, words, target.max_bytes)
        try:
            target.run(data)
        except BaseException as defect:
            kept = tmp_path / name
            kept.write_bytes(data)
            pytest.fail(f"{signature(defect)}: {defect}; python tests/fuzz/run.py {name} --input {kept}")
        if len(seeds) < 200:
            seeds.append(data)


def test_every_folder_belongs_to_a_fuzzer_and_all_of_them_are_small():
    assert {path.name for path in CORPUS.iterdir()} == set(NAMES)
    assert {path.stem for path in (CORPUS.parent / "words").iterdir()} <= set(NAMES)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) <= MAX_CORPUS_BYTES


# ---------------------------------------------------------------------------------------------- the harness itself


def test_a_parser_that_does_not_end_is_found_even_if_it_catches_every_exception():
    def hangs(_data: bytes) -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:
                continue

    with pytest.raises(LimitExceeded, match="processor time"), cpu_limit(0.05):
        hangs(b"")


def test_a_parser_that_fills_the_memory_is_found():
    with pytest.raises(LimitExceeded, match="MiB"), memory_limit(20 << 20):
        bytearray(b"x") * (60 << 20)


def test_a_defect_is_the_same_one_whichever_input_shows_it():
    def fails(text: str) -> None:
        raise KeyError(text)

    found: set[str] = set()
    for text in ("a", "b"):
        try:
            fails(text)
        except KeyError as error:
            found.add(signature(error))
    assert len(found) == 1


def test_changes_of_json_are_mostly_json_and_reach_every_value():
    random, tree = Random(1), b'{"a": {"b": [1, "x"]}, "c": null}'
    changed = {mutated_json(tree, random, (b"word",), 4096) for _ in range(300)}
    assert sum(one.startswith(b"{") for one in changed) > 150
    assert any(b"word" in one for one in changed)
    assert all(len(one) <= 4096 for one in changed)


def test_changes_stay_below_the_limit():
    random = Random(1)
    assert max(len(mutated(b"abc" * 30, random, (b"word",), 100)) for _ in range(500)) <= 100


def test_an_ogg_page_gets_the_checksum_its_encoder_gave_it():
    page = (CORPUS / "audio_containers" / "ogg_vorbis").read_bytes()
    broken = page[:22] + b"\0\0\0\0" + page[26:]
    assert with_ogg_checksums(broken) == page
