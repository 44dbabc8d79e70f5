"""A user in front of an endpointer, told in seconds of speech and silence."""

from __future__ import annotations

from typing import TypeVar

from talkover.vad.endpointing import FRAME_MS, Endpointer, TurnOptions
from talkover.vad.prosody import Pitch
from talkover.vad.turn_events import (
    TurnEvent,
)

E = TypeVar("E")
SPEECH_DBFS, ROOM_DBFS = -25.0, -70.0
CONSONANT, HUM = Pitch(brightness=0.5), Pitch(120.0, 0.9, 0.001)


class Talk:
    """A user in front of an endpointer."""

    def __init__(self, **options: object) -> None:
        self.endpointer = Endpointer(TurnOptions(**options))  # type: ignore[arg-type]
        self.agent_audible = False
        self.pitch = CONSONANT

    def speech(self, seconds: float, probability: float = 0.95, level_dbfs: float = SPEECH_DBFS) -> list[TurnEvent]:
        frames = round(seconds * 1000 / FRAME_MS)
        return [
            e
            for _ in range(frames)
            for e in self.endpointer.feed(probability, level_dbfs, self.agent_audible, self.pitch)
        ]

    def silence(self, seconds: float) -> list[TurnEvent]:
        return self.speech(seconds, probability=0.02, level_dbfs=ROOM_DBFS)


def kinds(events: list[TurnEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def only(events: list[TurnEvent], kind: type[E]) -> E:
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, events
    return found[0]
