"""What was heard and told in one take, on the clock of its track: milliseconds since the track began. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ
from talkover.bench.duplex.takes import Take
from talkover.client.connection import JsonObject
from talkover.client.loudspeaker import AUDIBLE, Stretch
from talkover.client.recordings import Span
from talkover.client.turns import Answer, UserTurn

SOUND_GAP_MS = 100.0
"""audible samples closer than this make one sound"""


@dataclass(frozen=True, slots=True)
class Played:
    """Samples of an item that went through the loudspeaker without a break."""

    item_id: str
    start_ms: float
    end_ms: float
    audible: tuple[Span, ...]
    """the parts of it that are loud enough to be heard"""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the agent, as far as it came within the take."""

    response_id: str
    created_ms: float
    item_ids: tuple[str, ...]
    text: str
    status: str
    reason: str | None
    words: tuple[JsonObject, ...] = ()
    """`s2s.response.words` of it"""
    heard_chars: int | None = None
    """what the server believes was heard, once it was cut off"""


@dataclass(frozen=True, slots=True)
class TurnSeen:
    """A turn of the user, as the server took it."""

    item_id: str
    started_ms: float | None
    ended_ms: float | None
    """how far the microphone had come when its end was decided"""
    at_ms: float
    """when the client was told of it"""
    text: str | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something worth a line in the timeline."""

    at_ms: float
    label: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One take as the client lived through it."""

    take: Take
    replies: tuple[Reply, ...]
    """in order; those begun before the take are there when something of them played in it"""
    played: tuple[Played, ...]
    flushes_ms: tuple[float, ...]
    turns: tuple[TurnSeen, ...]
    marks: tuple[Mark, ...]
    then_start_ms: float | None = None
    """where the second track of the take began"""
    ended_ms: float = 0.0
    passage: str = ""
    """all that the agent was told to say, where it was told; of what it was stopped in, a client knows only what was
    sent"""
    session_id: str = ""
    zero_input_ms: float = 0.0
    """position of the track's first sample in the microphone's audio"""
    lag_ms: float = 0.0
    """how late the microphone was at worst: from some ms on, the machine was too busy to measure"""

    def played_of(self, item_ids: Sequence[str]) -> list[Played]:
        return [played for played in self.played if played.item_id in item_ids]

    def first_audible_ms(self, reply: Reply, after_ms: float = float("-inf")) -> float | None:
        starts = [
            max(span.start_ms, after_ms)
            for played in self.played_of(reply.item_ids)
            for span in played.audible
            if span.end_ms > after_ms
        ]
        return min(starts, default=None)

    def last_audible_ms(self, item_ids: Sequence[str]) -> float | None:
        return max((span.end_ms for played in self.played_of(item_ids) for span in played.audible), default=None)

    @property
    def speaking_at_start(self) -> Reply | None:
        """The reply that was being played when the track began."""
        for reply in self.replies:
            if any(played.start_ms <= 0 < played.end_ms for played in self.played_of(reply.item_ids)):
                return reply
        return None


@dataclass(slots=True)
class Clock:
    """Monotonic seconds and positions in the microphone's audio, told as milliseconds of the track."""

    zero_s: float
    """when the track began to sound"""
    zero_input_ms: float
    """position of its first sample in the microphone's audio"""
    marks: list[Mark] = field(default_factory=list[Mark])

    def ms(self, at_s: float) -> float:
        return (at_s - self.zero_s) * 1000

    def played(self, stretches: Sequence[Stretch]) -> tuple[Played, ...]:
        """Stretches as one, where one follows the other without a break."""
        runs: list[list[Stretch]] = []
        for stretch in stretches:
            last = runs[-1][-1] if runs else None
            if last is not None and last.item_id == stretch.item_id and abs(stretch.start_s - last.end_s) < 0.001:
                runs[-1].append(stretch)
            else:
                runs.append([stretch])
        return tuple(self._run(run) for run in runs)

    def _run(self, run: Sequence[Stretch]) -> Played:
        start_ms = self.ms(run[0].start_s)
        samples = np.concatenate([stretch.samples for stretch in run])
        spans = tuple(
            Span(start_ms + first * 1000 / OUTPUT_RATE_HZ, start_ms + (last + 1) * 1000 / OUTPUT_RATE_HZ)
            for first, last in _audible_runs(np.abs(samples) >= AUDIBLE)
        )
        return Played(run[0].item_id, start_ms, start_ms + samples.size * 1000 / OUTPUT_RATE_HZ, spans)

    def turn(self, turn: UserTurn) -> TurnSeen:
        started = None if turn.started_ms is None else turn.started_ms - self.zero_input_ms
        ended = None if turn.ended_ms is None else turn.ended_ms - self.zero_input_ms
        return TurnSeen(turn.item_id, started, ended, self.ms(turn.at_s), turn.text)

    def reply(self, answer: Answer) -> Reply:
        return Reply(
            answer.response_id,
            self.ms(answer.created_s),
            tuple(answer.item_ids),
            answer.text,
            answer.status,
            answer.reason,
            tuple(answer.words),
            answer.heard_chars[-1] if answer.heard_chars else None,
        )


def _audible_runs(loud: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) sample of each stretch of sound."""
    indices = np.flatnonzero(loud)
    if not indices.size:
        return []
    breaks = np.flatnonzero(np.diff(indices) > SOUND_GAP_MS * OUTPUT_RATE_HZ / 1000)
    firsts = np.concatenate([[0], breaks + 1])
    lasts = np.concatenate([breaks, [indices.size - 1]])
    return [(int(indices[a]), int(indices[b])) for a, b in zip(firsts, lasts, strict=True)]
