"""Model folders on this machine: where they may lie, whether they are whole, and their checksums.

Three places are looked at, the last two so that what other programs have downloaded is not downloaded again:
Talkover's own folder, the cache of ModelScope and that of Hugging Face. Nothing here uses the network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RECORD = ".talkover-model.json"
"""written when a download is complete: what came, from where, with which checksums"""
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file of a model as it was downloaded."""

    path: str
    """relative, with forward slashes"""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """Where a folder came from and what must be in it."""

    hub: str
    repo: str
    revision: str | None
    licence: str | None
    files: tuple[FileFact, ...]


def read_record(folder: Path) -> Record | None:
    """The record of a downloaded folder; None without one, or with one that cannot be read."""
    try:
        tree: Any = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = tuple(FileFact(str(f["path"]), int(f["size"]), str(f["sha256"])) for f in tree["files"])
        return Record(tree["hub"], tree["repo"], tree["revision"], tree["licence"], files)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Atomically: a folder either has a whole record or none."""
    draft = folder / f"{RECORD}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / RECORD)


def own_folder(models_folder: Path, repo: str) -> Path:
    """Where Talkover keeps `repo` (owner/name)."""
    return models_folder / repo.replace("/", "--")


def candidate_folders(models_folder: Path, repos: Sequence[str], environ: Mapping[str, str]) -> Iterator[Path]:
    """Where a model may lie, best first; most of them do not exist."""
    for repo in repos:
        yield own_folder(models_folder, repo)
    home = Path(environ.get("HOME") or Path.home())
    modelscope = Path(environ.get("MODELSCOPE_CACHE") or home / ".cache" / "modelscope").expanduser()
    huggingface = _huggingface_cache(home, environ)
    for repo in repos:
        owner, _, name = repo.partition("/")
        # The layouts of modelscope >= 1.38, of those before, and of those before 1.16.
        snapshots = modelscope / "models" / f"{owner}--{name}" / "snapshots"
        yield from sorted(snapshots.iterdir()) if snapshots.is_dir() else ()
        for base in (modelscope, modelscope / "hub"):
            yield base / "models" / owner / name.replace(".", "___")
            yield base / owner / name.replace(".", "___")
        cached = huggingface / f"models--{owner}--{name}"
        try:
            yield cached / "snapshots" / (cached / "refs" / "main").read_text(encoding="utf-8").strip()
        except OSError:
            continue


def _huggingface_cache(home: Path, environ: Mapping[str, str]) -> Path:
    if cache := environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    base = environ.get("HF_HOME")
    return (Path(base).expanduser() if base else home / ".cache" / "huggingface") / "hub"


def faults(folder: Path, needed: Sequence[str]) -> list[str]:
    """What is wrong with a model folder at a glance: missing and empty files, sizes other than those recorded."""
    sizes: dict[str, int | None] = dict.fromkeys(needed)
    if (record := read_record(folder)) is not None:
        sizes |= {fact.path: fact.size for fact in record.files}
    found: list[str] = []
    for path, size in sizes.items():
        try:
            actual = (folder / path).stat().st_size
        except OSError:
            found.append(f"{path} is missing")
            continue
        if size is None and actual == 0:
            found.append(f"{path} is empty")
        elif size is not None and actual != size:
            found.append(f"{path} has {actual} bytes instead of {size}")
    return found


def is_whole(folder: Path, needed: Sequence[str]) -> bool:
    """Whether `folder` can be loaded, at a glance. Without a record and needed files nothing can be said: False."""
    return folder.is_dir() and bool(needed or read_record(folder)) and not faults(folder, needed)


def verify(folder: Path, checksums: Mapping[str, str], advance: Callable[[int], None] = lambda _: None) -> list[str]:
    """Every file of the record read and compared, and every one of `checksums` that is there; what differs, in words.

    `advance` is told the bytes read.
    """
    record = read_record(folder)
    expected = dict(checksums)
    if record is not None:
        expected |= {fact.path: fact.sha256 for fact in record.files}
    found: list[str] = []
    for path, sha256 in expected.items():
        try:
            actual = sha256_of(folder / path, advance)
        except OSError:
            found.append(f"{path} is missing")
            continue
        if actual != sha256:
            found.append(f"{path} has the wrong checksum: {actual[:16]}... instead of {sha256[:16]}...")
    return found


def sha256_of(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()


def git_blob_id_of(path: Path) -> str:
    """The name git gives to the contents of a file (SHA-1 with a header): how Hugging Face names small files."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def size_on_disk(folder: Path) -> int:
    """Bytes of all files below `folder`, parts of a running download among them."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:  # renamed meanwhile
                continue
    return total
