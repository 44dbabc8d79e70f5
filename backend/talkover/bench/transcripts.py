"""Recordings with what is said in them, from a manifest: a JSON list with one object per recording.

`file` (or `path`) counts from the folder of the manifest; `text` (or `transcript`) is what is said, empty where that
is not known; `language` (or `lang`) is a BCP 47 tag; `slots` is an object of values that must be heard, wherever they
stand in the sentence. A `note` that ends in `slots: {...}` will do for the last one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

_SLOTS_NOTE = "slots: "


@dataclass(frozen=True, slots=True)
class Sample:
    """One recording."""

    path: Path
    text: str
    language: str | None
    slots: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return self.path.stem


def read_manifest(path: Path, language: str | None = None) -> tuple[Sample, ...]:
    """The recordings of a manifest that are there, of one language or of all. Raises ValueError, naming the entry."""
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: is not valid JSON: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path}: must be a list of objects")
    samples = [_sample(path, index, row) for index, row in enumerate(cast(list[Any], rows))]
    chosen = [s for s in samples if s.path.is_file() and (language is None or s.language in (language, None))]
    if not chosen:
        wanted = "" if language is None else f" in {language!r}"
        raise ValueError(f"{path}: names no recording{wanted} that is there")
    return tuple(chosen)


def _sample(manifest: Path, index: int, row: Any) -> Sample:
    entry: Mapping[str, Any] = cast(dict[str, Any], row) if isinstance(row, dict) else {}
    file = entry.get("file") or entry.get("path")
    if not isinstance(file, str):
        raise ValueError(f"{manifest}: entry {index} must be an object with `file` or `path`")
    language = entry.get("language") or entry.get("lang")
    return Sample(
        path=manifest.parent / file,
        text=str(entry.get("text") or entry.get("transcript") or ""),
        language=str(language) if language else None,
        slots=_slots(entry),
    )


def _slots(entry: Mapping[str, Any]) -> dict[str, str]:
    slots: Any = entry.get("slots")
    note = str(entry.get("note") or "")
    if slots is None and _SLOTS_NOTE in note:
        try:
            slots = json.loads(note.partition(_SLOTS_NOTE)[2])
        except ValueError:
            slots = None
    return {str(key): str(value) for key, value in cast(dict[Any, Any], slots or {}).items()}
