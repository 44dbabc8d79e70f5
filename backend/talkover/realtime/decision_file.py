"""The file that takes the decisions of one session, as far as there is room for it."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from talkover.vad.decision_log import header, session_line

log = logging.getLogger(__name__)


class DecisionFile:
    """Named by when the session began. A call is worth more than what is noted of it: nothing here raises."""

    def __init__(self, folder: Path, session_id: str) -> None:
        self._session_id = session_id
        self._file = _opened(folder)
        self.write(header())
        self.write(session_line(session_id))

    def write(self, line: bytes) -> None:
        """A line without its end."""
        if self._file is None:
            return
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            log.warning("session %s: vad.decision_log ends here: %s", self._session_id, error.strerror)
            self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what was not written yet is lost
                file.close()


def _opened(folder: Path) -> BinaryIO | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.jsonl").open("xb")
    except OSError as error:
        log.warning("vad.decision_log: %s cannot be written: %s", folder, error.strerror)
        return None
