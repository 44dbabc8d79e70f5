"""Which speech the benchmark uses: a folder of sound files, with or without a manifest that says what they say."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkover.client.recordings import Recording, read_recording, sound_files

SHARED_VARIABLE = "TALKOVER_SHARED"
SHIPPED = Path("tests") / "data" / "speech"
"""questions to Talkover, spoken by a synthesiser; in a checkout"""
MAX_SPOKEN_MS = 9000.0
LEAD_MS, TAIL_MS = 300.0, 800.0
"""what is kept of the silence around the speech"""


@dataclass(frozen=True, slots=True)
class Clip:
    """An entry of a manifest, or a file without one."""

    path: Path
    text: str
    language: str
    kind: str
    """question, command, outside; empty where the manifest does not say"""
    duration_s: float | None
    name: str
    """what is said, the same for several voices; else the file's name"""

    def read(self) -> Recording:
        """Without long silence around it. Raises ValueError."""
        return read_recording(self.path, self.text).trimmed(LEAD_MS, TAIL_MS)


@dataclass(frozen=True, slots=True)
class Speech:
    """A folder of speech and why it was taken."""

    folder: Path
    reason: str
    clips: tuple[Clip, ...]

    @property
    def description(self) -> str:
        return f"{self.folder}, {len(self.clips)} recordings ({self.reason})"

    def utterances(self, n: int, max_spoken_ms: float = MAX_SPOKEN_MS, language: str = "en") -> list[Recording]:
        """At most `n` recordings of one language in which no more than so much is spoken, spread over the folder.

        Raises ValueError when there is none.
        """
        spoken = [clip.read() for clip in self.clips if clip.language in (language, "")]
        fitting = [
            recording for recording in spoken if recording.voiced.end_ms - recording.voiced.start_ms <= max_spoken_ms
        ]
        if not fitting:
            raise ValueError(
                f"{self.folder}: holds no recording in {language!r} with at most {max_spoken_ms / 1000:g} s of speech"
            )
        chosen = np.unique(np.linspace(0, len(fitting) - 1, min(n, len(fitting))).round().astype(int))
        return [fitting[int(index)] for index in chosen]


def find_speech(folder: Path | None, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Speech:
    """The folder asked for, else recordings of people beside the checkout, else the shipped synthetic questions.

    Raises ValueError naming what was looked for.
    """
    environ = os.environ if environ is None else environ
    cwd = Path() if cwd is None else cwd
    shared = Path(environ.get(SHARED_VARIABLE) or cwd / ".." / "shared") / "speech"
    if folder is not None:
        return load_speech(folder, "as asked by --speech")
    for candidate, reason in (
        (shared, "recordings of people"),
        (cwd / SHIPPED, "synthesised questions; no recordings of people found"),
    ):
        if candidate.is_dir():
            return load_speech(candidate, reason)
    raise ValueError(f"neither {shared} nor {cwd / SHIPPED} exists: name a folder of recordings with --speech FOLDER")


def shipped_speech(cwd: Path | None = None) -> Speech | None:
    """The synthetic questions about Talkover; None outside of a checkout."""
    folder = (Path() if cwd is None else cwd) / SHIPPED
    return load_speech(folder, "synthesised questions about Talkover") if folder.is_dir() else None


def load_speech(folder: Path, reason: str) -> Speech:
    """Raises ValueError when there is no recording in it."""
    manifest = folder / "manifest.json"
    if manifest.is_file():
        rows: Sequence[Mapping[str, Any]] = json.loads(manifest.read_text(encoding="utf-8"))
        clips = [_clip(folder, row) for row in rows]
    else:
        clips = [_clip(folder, {"file": str(path.relative_to(folder))}) for path in sound_files(folder)]
    present = tuple(clip for clip in clips if clip.path.is_file())
    if not present:
        raise ValueError(f"{manifest}: names no file that is there")
    return Speech(folder, reason, present)


def _clip(folder: Path, row: Mapping[str, Any]) -> Clip:
    path = folder / row["file"]
    return Clip(
        path=path,
        text=row.get("text") or row.get("transcript") or "",
        language=row.get("lang") or ("en" if "voice" in row else ""),
        kind=row.get("kind") or "",
        duration_s=row.get("duration_s") or row.get("seconds"),
        name=row.get("id") or path.stem,
    )
