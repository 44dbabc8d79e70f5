"""The agent's channel of a recording: what the user heard of it, placed when it was heard. Pure.

It goes by what a client does with audio, as the heard ledger does (`pipeline/ledger.py`): what arrives while other
audio still plays queues behind it, what arrives later begins at once; a pause holds it at the sample, and after a stop
nothing of it is heard. Where the client reports its playback, the audio is moved to where it was truly heard, as long
as it has not been taken. All positions are samples at `RATE_HZ` on the clock of the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from talkover.recording.wire_audio import RATE_HZ, Pcm

TOLERANCE = round(0.04 * RATE_HZ)
"""a report that differs by less is jitter of the network"""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of an item's audio as it was heard."""

    start: int
    """on the clock"""
    first: int
    """in the item's audio"""
    size: int


@dataclass(slots=True)
class _Piece:
    item_id: str
    first: int
    """in the item's audio"""
    samples: Pcm
    at: int
    """in its run"""


@dataclass(slots=True)
class _Run:
    """Audio that is played without a gap."""

    start: int | None
    """None: it waits for the end of a pause"""
    pieces: list[_Piece] = field(default_factory=list[_Piece])
    size: int = 0
    confirmed: int = 0
    """a report has placed its first so many samples"""
    ended: bool = False
    """nothing queues behind it any more"""

    def append(self, item_id: str, first: int, samples: Pcm) -> None:
        self.pieces.append(_Piece(item_id, first, samples, self.size))
        self.size += samples.size

    def split(self, at: int) -> _Run:
        """Keep the first `at` samples, return the others."""
        rest = _Run(None, ended=self.ended)
        kept: list[_Piece] = []
        for piece in self.pieces:
            cut = min(max(at - piece.at, 0), piece.samples.size)
            if cut:
                kept.append(_Piece(piece.item_id, piece.first, piece.samples[:cut], piece.at))
            if cut < piece.samples.size:
                rest.append(piece.item_id, piece.first + cut, piece.samples[cut:])
        self.pieces, self.size = kept, min(at, self.size)
        self.confirmed = min(self.confirmed, self.size)
        return rest


class AgentTrack:
    """Of one call."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        """in the order of playing; those that wait for the end of a pause come last"""
        self._sent: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        """how much was heard of items that were cut"""
        self._spans: dict[str, list[Span]] = {}
        self._is_paused = False
        self._written = 0

    # ---------------------------------------------------------------------------------------------------- events

    def sent(self, item_id: str, samples: Pcm, now: int) -> None:
        """(n,) int16, the next audio of an item, has gone to the client."""
        first = self._sent.get(item_id, 0)
        self._sent[item_id] = first + samples.size
        if samples.size:
            self._queue(now).append(item_id, first, samples)

    def _queue(self, now: int) -> _Run:
        """The run that audio sent now belongs to."""
        last = self._runs[-1] if self._runs else None
        if last is not None and not last.ended and (last.start is None or self._plays_on(last, now)):
            return last
        run = _Run(None if self._is_paused else max(now, self._ends()))
        self._runs.append(run)
        return run

    def _plays_on(self, run: _Run, now: int) -> bool:
        return not self._is_paused and run.start is not None and run.start + run.size >= now

    def paused(self, now: int) -> None:
        """The client stops at the sample, to go on from there."""
        if self._is_paused:
            return
        self._is_paused = True
        runs, self._runs = self._runs, []
        for run in runs:
            self._runs.append(run)
            if run.start is not None and not run.ended and now < run.start + run.size:
                self._hold(len(self._runs) - 1, max(0, now - run.start))

    def resumed(self, now: int) -> None:
        """It plays on."""
        self._is_paused = False
        self._place_waiting(len(self._runs), now)

    def reported(self, item_id: str, played: int, ended: bool, now: int) -> None:
        """The client says that the first `played` samples of an item have sounded by now, and whether it plays on."""
        if item_id in self._limits:
            return
        if ended:
            self._limit(item_id, played)
        found = self._find(item_id, min(played, self._sent.get(item_id, 0)))
        if found is None:
            return
        index, offset = found
        run = self._runs[index]
        if self._is_paused:
            self._paused_at(index, offset)
        elif run.start is not None:
            self._move(index, offset, now - (run.start + offset))

    def heard(self, item_id: str, played: int) -> None:
        """No more than `played` samples of an item were heard; the client has thrown away the others."""
        if self._is_paused:
            self._is_paused = False
            self._place_waiting(len(self._runs), self._written)
        self._limit(item_id, played)

    # --------------------------------------------------------------------------------------------------- results

    def take(self, until: int) -> Pcm:
        """(until - taken before,) int16: what was heard up to a position that is past and stays as it is."""
        channel = np.zeros(until - self._written, np.int16)
        self._keep_order()
        ends = self._written
        for run in self._runs:
            for piece, start, size in self._audible(run):
                begin, end = max(start, ends), min(start + size, until)
                if begin < end:
                    ends = end
                    channel[begin - self._written : end - self._written] = piece.samples[begin - start : end - start]
                    self._placed(piece.item_id, Span(begin, piece.first + begin - start, end - begin))
        self._written = until
        self._runs = [run for run in self._runs if run.start is None or run.start + run.size > until]
        return channel

    def skip(self, until: int) -> None:
        """What was heard up to there is forgotten."""
        self._written = until
        self._runs = [run for run in self._runs if run.start is None or run.start + run.size > until]

    @property
    def pending_samples(self) -> int:
        """Sent, and not taken yet."""
        return sum(piece.samples.size for run in self._runs for piece in run.pieces)

    def spans(self, item_id: str) -> tuple[Span, ...]:
        """Where an item was heard, as far as it has been taken; in order."""
        return tuple(self._spans.get(item_id, ()))

    def sent_samples(self, item_id: str) -> int:
        """How much of an item has gone to the client."""
        return self._sent.get(item_id, 0)

    # ---------------------------------------------------------------------------------------------------- inside

    def _audible(self, run: _Run) -> Iterator[tuple[_Piece, int, int]]:
        """(piece, where it begins on the clock, how much of it was heard) of a run that has its place."""
        if run.start is None:
            return
        for piece in run.pieces:
            limit = self._limits.get(piece.item_id)
            size = piece.samples.size if limit is None else min(piece.samples.size, max(0, limit - piece.first))
            if size:
                yield piece, run.start + piece.at, size

    def _ends(self, before: int | None = None) -> int:
        """Where all that is heard of the first `before` runs ends."""
        ends = [start + size for run in self._runs[:before] for _, start, size in self._audible(run)]
        return max(ends, default=self._written)

    def _keep_order(self) -> None:
        """What is heard of a run begins after the one before it, also when that was heard for longer than thought."""
        ends = self._written
        for run in self._runs:
            audible = list(self._audible(run))
            if run.start is None or not audible:
                continue
            if audible[0][1] < ends and run.start >= self._written:
                run.start += ends - audible[0][1]
                audible = list(self._audible(run))
            ends = max(ends, *(start + size for _, start, size in audible))

    def _placed(self, item_id: str, span: Span) -> None:
        spans = self._spans.setdefault(item_id, [])
        last = spans[-1] if spans else None
        if last is not None and (last.start + last.size, last.first + last.size) == (span.start, span.first):
            spans[-1] = Span(last.start, last.first, last.size + span.size)
        else:
            spans.append(span)

    def _find(self, item_id: str, position: int) -> tuple[int, int] | None:
        """(run, offset in it) of a position in an item's audio."""
        for index in range(len(self._runs) - 1, -1, -1):
            for piece in self._runs[index].pieces:
                if piece.item_id == item_id and piece.first <= position <= piece.first + piece.samples.size:
                    return index, piece.at + position - piece.first
        return None

    def _limit(self, item_id: str, played: int) -> None:
        self._limits[item_id] = played
        for run in self._runs:
            run.ended = run.ended or any(piece.item_id == item_id for piece in run.pieces)

    def _hold(self, index: int, at: int) -> None:
        """What comes after the first `at` samples of a run waits for the end of the pause."""
        rest = self._runs[index].split(at)
        if rest.pieces:
            self._runs.insert(index + 1, rest)
        if not self._runs[index].pieces:
            del self._runs[index]

    def _place_waiting(self, before: int, earliest: int) -> None:
        """Those of the first `before` runs that wait are played one after the other."""
        for index, run in enumerate(self._runs[:before]):
            if run.start is None:
                run.start = max(earliest, self._ends(index))

    def _paused_at(self, index: int, offset: int) -> None:
        """The client says at which sample of a run it paused."""
        run = self._runs[index]
        if run.start is not None:
            self._hold(index, max(offset, self._written - run.start))
        elif offset:
            rest = run.split(offset)
            if rest.pieces:
                self._runs.insert(index + 1, rest)
            self._place_waiting(index + 1, self._written)

    def _move(self, index: int, offset: int, shift: int) -> None:
        """The first `offset` samples of a run were heard `shift` later than thought, or so much earlier."""
        run = self._runs[index]
        assert run.start is not None
        fixed = max(run.confirmed, self._written - run.start)
        if abs(shift) > TOLERANCE:
            if fixed <= 0:
                run.start = max(run.start + shift, self._ends(index))
            elif shift > 0 and fixed < run.size:
                start, rest = run.start, run.split(fixed)
                rest.start = start + fixed + shift
                rest.confirmed = max(0, offset - fixed)
                self._runs.insert(index + 1, rest)
        run.confirmed = max(run.confirmed, min(offset, run.size))
