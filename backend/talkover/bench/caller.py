"""One caller: a client with a microphone in a quiet room, that asks and notes when it heard what."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from talkover.client.connection import JsonObject, RealtimeClient
from talkover.client.loudspeaker import Loudspeaker
from talkover.client.microphone import Room, VirtualMicrophone
from talkover.client.recordings import Recording
from talkover.client.turns import Answer, Turns

SCORED_EXTENSION = ("metrics", "words")
"""what is needed to score a conversation; changes nothing of it"""
ANSWER_TIMEOUT_S = 8.0
VOICE_TAIL = "voice tail"
SETTLE_S = 0.4
"""quiet before a caller speaks: detectors need to hear the room"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and what came of it, all as the caller heard it. Times are milliseconds after its last sound."""

    recording: str
    said: str
    understood: str | None
    answer: str
    """as much of it as came before the caller had heard enough"""
    voice_to_voice_ms: float | None
    """None: no audible answer within the timeout"""
    early: bool
    """the agent began to answer before the caller had finished"""
    stages_ms: dict[str, float]
    """what each stage added, by the server's marks; empty when it tells none. The first, `VOICE_TAIL`, is by how much
    its detector heard the voice end later than it did."""
    microphone_lag_ms: float

    def json(self) -> dict[str, Any]:
        return asdict(self)


def open_scored(
    url: str, speaker: Loudspeaker, key: str | None, turn_detection: JsonObject | None, extension: Collection[str]
) -> RealtimeClient:
    """A session whose user is transcribed, so that it can be scored; `turn_detection` as in `session.update`.

    Raises ServerUnreachable.
    """
    client = RealtimeClient(url, speaker, key=key, extension=extension)
    audio: JsonObject = {"transcription": {"model": "default"}}
    if turn_detection is not None:
        audio["turn_detection"] = turn_detection
    client.send({"type": "session.update", "session": {"audio": {"input": audio}}})
    return client


class Caller:
    """A conversation with a server. `turn_detection` as in `session.update`; None keeps the server's default."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        turn_detection: JsonObject | None = None,
        extension: Collection[str] = SCORED_EXTENSION,
        seed: int = 0,
    ) -> None:
        """Raises ServerUnreachable."""
        self.speaker = Loudspeaker()
        self.client = open_scored(url, self.speaker, key, turn_detection, extension)
        self.client.wait("session.created", ANSWER_TIMEOUT_S)
        self.microphone = VirtualMicrophone(self.client.append, Room(seed))

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.client.close()
        self.microphone.close()

    def turns(self, since: int = 0) -> Turns:
        return Turns(self.client.events(since))

    def ask(self, recording: Recording, listen_s: float = 0.3, timeout_s: float = ANSWER_TIMEOUT_S) -> Exchange:
        """Say something, listen to the first `listen_s` of the answer, then cut it off.

        Raises ConversationEnded.
        """
        since = self.client.cursor
        self.microphone.worst_lag_s = 0.0
        said = self.microphone.say(recording, SETTLE_S)
        onset_s, end_s = (time_s(self.microphone.opened_s) for time_s in (said.onset_s, said.end_s))
        heard: list[tuple[Answer, float]] = []

        def answer_is_audible() -> bool:
            heard[:] = self._audible_answers(since, end_s)
            return bool(heard)

        try:
            self.client.wait_until(answer_is_audible, end_s - time.monotonic() + timeout_s, "an answer")
            time.sleep(max(0.0, heard[0][1] + listen_s - time.monotonic()))
        except TimeoutError:
            pass
        self.stop(since)
        turns = self.turns(since)
        answer, audible_s = heard[0] if heard else (None, None)
        if answer is not None:
            answer = turns.answers[answer.response_id]
        return Exchange(
            recording=recording.name,
            said=recording.text,
            understood=_understood(turns),
            answer="" if answer is None else answer.text,
            voice_to_voice_ms=None if audible_s is None else (audible_s - end_s) * 1000,
            early=any(onset_s < other.created_s < end_s for other in turns.answers.values()),
            stages_ms={} if answer is None else self._stages_ms(answer, turns, end_s),
            microphone_lag_ms=self.microphone.worst_lag_s * 1000,
        )

    def stop(self, since: int) -> None:
        """Cut an answer off that still sounds or is being made, and wait until the server has said all about it."""
        if not self._has_ended(since) or self.speaker.playing(time.monotonic()) is not None:
            self.client.stop_answer()
        self.client.wait_until(lambda: self._has_ended(since), ANSWER_TIMEOUT_S, "the end of the answer")

    def _has_ended(self, since: int) -> bool:
        answers = self.turns(since).answers.values()
        return all(answer.status != "in_progress" and answer.metrics is not None for answer in answers)

    def _stages_ms(self, answer: Answer, turns: Turns, end_s: float) -> dict[str, float]:
        stages = answer.stages_ms()
        ended_ms = [turn.ended_ms for turn in turns.user.values() if turn.ended_ms is not None]
        if not stages or not ended_ms:
            return {}
        voice_end_s = self.microphone.opened_s + (ended_ms[-1] - stages["endpointing"]) / 1000
        return {VOICE_TAIL: (voice_end_s - end_s) * 1000} | stages

    def _audible_answers(self, since: int, after_s: float) -> list[tuple[Answer, float]]:
        """Answers begun after a time, with when they were first audible; in order."""
        stretches = self.speaker.stretches
        found: list[tuple[Answer, float]] = []
        for answer in self.turns(since).answers.values():
            audible_s = answer.first_audible_s(stretches) if answer.created_s >= after_s else None
            if audible_s is not None:
                found.append((answer, audible_s))
        return found


def _understood(turns: Turns) -> str | None:
    texts = [turn.text for turn in turns.user.values() if turn.text is not None]
    return " ".join(texts) if texts else None
