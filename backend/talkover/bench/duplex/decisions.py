"""What turn taking decided in a session, from its decision log, for the timelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from talkover.bench.duplex.observation import Mark

LABELS: Mapping[str, str] = {
    "SpeechOnset": "onset",
    "OnsetDropped": "nothing",
    "SpeechStarted": "yield",
    "InterruptionConfirmed": "interrupted",
    "SpeechRetracted": "taken back",
    "LikelyEnd": "likely end",
    "SpeechResumed": "goes on",
    "SpeechEnded": "end",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One event of a decider."""

    at_ms: float
    """of the session's audio"""
    label: str


SESSION_LINES = 8
"""within which a log tells whose it is"""


def logs_of(folder: Path) -> dict[str, Path]:
    """The decision log of each session, by its id. Raises ValueError for what is no log."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as lines:
            for _, line in zip(range(SESSION_LINES), lines, strict=False):
                session = _entry(line, path).get("session")
                if session is not None:
                    found[session] = path
    return found


def decisions_of(folder: Path) -> dict[str, list[Decision]]:
    """The decisions of every session with a log in the folder, by its id. Raises ValueError for what is no log."""
    return {
        session: [
            decision
            for line in path.read_bytes().splitlines()
            for decision in _decisions(_entry(line, path).get("gives"))
        ]
        for session, path in logs_of(folder).items()
    }


def _entry(line: bytes, path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: every line must be a JSON object: {error}") from error


def _decisions(gives: object) -> Iterator[Decision]:
    events: list[dict[str, Any]] = gives if isinstance(gives, list) else []
    for event in events:
        at_ms = event.get("at_ms", event.get("end_ms"))
        if isinstance(at_ms, (int, float)):
            label = LABELS.get(event["type"], event["type"])
            reason = event.get("reason")
            yield Decision(float(at_ms), f"{label}: {reason}" if reason else label)


def marks(decisions: Sequence[Decision], zero_ms: float, from_ms: float, to_ms: float) -> list[Mark]:
    """Decisions as marks on the clock of a track that began at `zero_ms` of the session's audio."""
    placed = [Mark(decision.at_ms - zero_ms, decision.label) for decision in decisions]
    return [mark for mark in placed if from_ms <= mark.at_ms <= to_ms]
