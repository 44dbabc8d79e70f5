"""Where recordings lie: a folder for each call, named by its beginning and its id, readable by its owner only.

There is no index beside the folders that could tell of what was deleted. Names that are not ours are left alone,
whatever else the folder holds.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from talkover.recording.transcript import Transcript, decoded, encoded, readable

TRANSCRIPT = "transcript.json"
TEXT = "transcript.txt"
LIVE_S = 120.0
"""a recording that nobody finished is being made if its transcript is younger: it is written every few seconds"""

_NAME = re.compile(r"(\d{8}T\d{6})Z_(sess_[A-Za-z0-9]{1,64})")
_TIME = "%Y%m%dT%H%M%S"


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A recording on disk."""

    folder: Path
    call: str
    started_at: datetime
    """UTC"""
    transcript: Transcript | None
    """None: it cannot be read"""
    is_live: bool
    """it is being made"""

    @property
    def audio(self) -> Path | None:
        return next((path for path in (self.folder / "audio.flac", self.folder / "audio.wav") if path.is_file()), None)


class RecordingsFolder:
    """All recordings of a server."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, call: str, started_at_s: float) -> Path:
        """A folder for a new recording; `started_at_s` since the epoch. Raises OSError, ValueError for a strange id."""
        name = f"{datetime.fromtimestamp(started_at_s, UTC):{_TIME}}Z_{call}"
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"the id of a call must be sess_ and letters and digits, got {call!r}")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.path / name
        folder.mkdir(mode=0o700)
        return folder

    def calls(self, now_s: float) -> list[StoredCall]:
        """The newest first; `now_s` since the epoch."""
        return [_stored(folder, now_s) for folder in sorted(self._folders(), reverse=True)]

    def older_than(self, days: float, now_s: float) -> Iterator[Path]:
        """Folders of calls that began so long ago."""
        before = datetime.fromtimestamp(now_s, UTC) - timedelta(days=days)
        return (folder for folder in self._folders() if _started_at(folder) < before)

    def _folders(self) -> Iterator[Path]:
        try:
            entries = list(os.scandir(self.path))
        except FileNotFoundError:
            return
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def delete(folder: Path) -> None:
    """The folder of a call with all its files. Raises OSError."""
    if _NAME.fullmatch(folder.name) is None:
        raise ValueError(f"not the folder of a recording: {folder}")
    shutil.rmtree(folder)


def open_private(path: Path) -> int:
    """A descriptor of a new file that only its owner may read. Raises OSError, also when there is one."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


def write_transcript(folder: Path, transcript: Transcript) -> None:
    """Both forms of it; what was there is replaced whole or not at all. Raises OSError."""
    for name, data in ((TRANSCRIPT, encoded(transcript)), (TEXT, readable(transcript).encode())):
        unfinished = folder / f"{name}.part"
        unfinished.unlink(missing_ok=True)
        with os.fdopen(open_private(unfinished), "wb") as file:
            file.write(data)
        unfinished.replace(folder / name)


def _stored(folder: Path, now_s: float) -> StoredCall:
    call = folder.name.partition("_")[2]
    path = folder / TRANSCRIPT
    try:
        transcript = decoded(path.read_bytes())
        is_live = not transcript.finished and now_s - path.stat().st_mtime < LIVE_S
    except (OSError, ValueError):
        transcript, is_live = None, False
    return StoredCall(folder, call, _started_at(folder), transcript, is_live)


def _started_at(folder: Path) -> datetime:
    return datetime.strptime(folder.name.partition("Z_")[0], _TIME).replace(tzinfo=UTC)
