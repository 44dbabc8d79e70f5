"""Where the page, the example configurations and the shipped documents lie: in the package, or in a source checkout."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
_PACKAGED = _PACKAGE / "_data"
_CHECKOUT = _PACKAGE.parent.parent


def resource(name: str) -> Path:
    """Path of a top folder that ships with Talkover: `frontend`, `configs` or `ref_audio`."""
    packaged = _PACKAGED / name
    return packaged if packaged.is_dir() else _CHECKOUT / name


def knowledge_folder(configured: Path | None) -> Path:
    """The folder the embedded responder answers from."""
    return configured if configured is not None else resource("configs") / "knowledge"


def cache_folder() -> Path:
    """A writable folder for what can be made again; made when missing."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "talkover"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def data_folder() -> Path:
    """A folder for what users made and nothing can make again; not made here."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "talkover"
