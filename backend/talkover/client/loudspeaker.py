"""What a client hears, on its own clock: a loudspeaker without a device. Pure; times are passed in.

Audio that arrives while other audio still plays is queued behind it, audio that arrives later starts at once, and a
flush throws away what has not sounded yet. So the record of stretches is what a listener's ear got, sample by sample,
and every figure about hearing (first audible sample, last one, what was heard of an item) is taken from it and not from
arrival times. A real sound card adds its own latency to all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from talkover.audio import AUDIBLE, OUTPUT_RATE_HZ, silent_head
from talkover.messages import Samples


@dataclass(frozen=True, slots=True)
class Stretch:
    """Audio of one item, sounding without a gap."""

    item_id: str
    start_s: float
    first_sample: int
    """position of `samples[0]` in the audio of its item"""
    samples: Samples
    """(n,) float32 at 24 kHz"""
    arrived_s: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.samples.size / OUTPUT_RATE_HZ


@dataclass(frozen=True, slots=True)
class Cut:
    """An item whose playback was stopped."""

    item_id: str
    played_ms: float


@dataclass(frozen=True, slots=True)
class Gap:
    """The next audio of an item came too late: silence in the middle of it."""

    item_id: str
    at_s: float
    missing_s: float


@dataclass(frozen=True, slots=True)
class Gain:
    """The volume moves to `gain` within `ramp_s`."""

    at_s: float
    gain: float
    ramp_s: float


class Loudspeaker:
    """Plays what arrives and keeps the record of it. Times are seconds of one monotonic clock. For one thread."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self.gains: list[Gain] = []
        self.flushes_s: list[float] = []
        """when a flush stopped something"""
        self._stretches: list[Stretch] = []
        self._arrived: dict[str, int] = {}

    def play(self, item_id: str, samples: Samples, now_s: float) -> None:
        """Queue (n,) float32 at 24 kHz, the next of its item."""
        first_sample = self._arrived.get(item_id, 0)
        self._arrived[item_id] = first_sample + samples.size
        if samples.size == 0:
            return
        last = self._stretches[-1] if self._stretches else None
        start_s = now_s
        if last is not None and last.end_s > now_s:
            start_s = last.end_s
        elif last is not None and last.item_id == item_id and last.first_sample + last.samples.size == first_sample:
            self.gaps.append(Gap(item_id, last.end_s, now_s - last.end_s))
        self._stretches.append(Stretch(item_id, start_s, first_sample, samples, now_s))

    def flush(self, now_s: float) -> Cut | None:
        """Stop, drop what has not sounded. Returns the item that was being played."""
        playing = self.playing(now_s)
        if playing is None:
            return None
        kept: list[Stretch] = []
        for stretch in self._stretches:
            n_samples = min(stretch.samples.size, max(0, int((now_s - stretch.start_s) * OUTPUT_RATE_HZ)))
            if n_samples:
                played = stretch.samples[:n_samples]
                kept.append(Stretch(stretch.item_id, stretch.start_s, stretch.first_sample, played, stretch.arrived_s))
        self._stretches = kept
        self.flushes_s.append(now_s)
        return Cut(playing, self.played_ms(playing, now_s))

    def set_gain(self, gain: float, ramp_s: float, now_s: float) -> None:
        self.gains.append(Gain(now_s, gain, ramp_s))

    def playing(self, now_s: float) -> str | None:
        """The item that sounds now."""
        for stretch in reversed(self._stretches):
            if stretch.start_s <= now_s < stretch.end_s:
                return stretch.item_id
        return None

    def played_ms(self, item_id: str, now_s: float) -> float:
        """How far into the audio of an item playback has come."""
        played = 0
        for stretch in self._stretches:
            if stretch.item_id == item_id and stretch.start_s < now_s:
                n_samples = min(stretch.samples.size, round((now_s - stretch.start_s) * OUTPUT_RATE_HZ))
                played = max(played, stretch.first_sample + n_samples)
        return played * 1000 / OUTPUT_RATE_HZ

    @property
    def ends_s(self) -> float:
        """When all that has arrived will have sounded."""
        return self._stretches[-1].end_s if self._stretches else 0.0

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        return tuple(self._stretches)

    def forget(self, before_s: float) -> None:
        """Drop the record of what ended before a time, so that it does not grow for ever."""
        self._stretches = [stretch for stretch in self._stretches if stretch.end_s >= before_s]
        self.gaps = [gap for gap in self.gaps if gap.at_s >= before_s]
        self.flushes_s = [flush_s for flush_s in self.flushes_s if flush_s >= before_s]


# --------------------------------------------------------------------------------------------------------- hearing


def first_audible_s(stretches: Collection[Stretch], after_s: float, item_id: str | None = None) -> float | None:
    """When the first audible sample after a time sounds, of any item or of one; None when there is none."""
    for stretch in stretches:
        if stretch.end_s <= after_s or (item_id is not None and stretch.item_id != item_id):
            continue
        skipped = max(0, int(np.ceil((after_s - stretch.start_s) * OUTPUT_RATE_HZ)))
        first = skipped + silent_head(stretch.samples[skipped:])
        if first < stretch.samples.size:
            return stretch.start_s + first / OUTPUT_RATE_HZ
    return None


def last_audible_s(stretches: Collection[Stretch], item_id: str | None = None) -> float | None:
    """When the last audible sample sounds, of any item or of one."""
    for stretch in reversed(tuple(stretches)):
        if item_id is not None and stretch.item_id != item_id:
            continue
        loud = np.flatnonzero(np.abs(stretch.samples) >= AUDIBLE)
        if loud.size:
            return stretch.start_s + (int(loud[-1]) + 1) / OUTPUT_RATE_HZ
    return None


def audible_ms(stretches: Collection[Stretch], after_s: float, item_ids: Collection[str]) -> float:
    """How much audible sound of these items there is after a time."""
    n_samples = 0
    for stretch in stretches:
        if stretch.item_id in item_ids and stretch.end_s > after_s:
            skipped = max(0, round((after_s - stretch.start_s) * OUTPUT_RATE_HZ))
            n_samples += int(np.count_nonzero(np.abs(stretch.samples[skipped:]) >= AUDIBLE))
    return n_samples * 1000 / OUTPUT_RATE_HZ


def render(speaker: Loudspeaker, from_s: float, to_s: float) -> Samples:
    """(n,) float32 at 24 kHz: all that was heard between two times, volume changes included."""
    return rendered(speaker.stretches, speaker.gains, from_s, max(0, round((to_s - from_s) * OUTPUT_RATE_HZ)))


def rendered(stretches: Collection[Stretch], gains: Collection[Gain], from_s: float, n_samples: int) -> Samples:
    """(n,) float32 at 24 kHz: what of these stretches was heard from a time on, volume changes included."""
    heard = np.zeros(n_samples, np.float32)
    for stretch in stretches:
        _mix(heard, stretch.samples, round((stretch.start_s - from_s) * OUTPUT_RATE_HZ))
    for begin, factors in _gain_curve(gains, from_s, heard.size):
        heard[begin : begin + factors.size] *= factors
    return heard


def _mix(heard: Samples, samples: Samples, at: int) -> None:
    begin, end = max(0, at), min(heard.size, at + samples.size)
    if begin < end:
        heard[begin:end] += samples[begin - at : end - at]


def _gain_curve(gains: Collection[Gain], from_s: float, n_samples: int) -> Iterator[tuple[int, Samples]]:
    """(first sample, (m,) factors) for the stretches in which the volume is not 1."""
    changes = sorted(gains, key=lambda change: change.at_s)
    before = 1.0
    for index, change in enumerate(changes):
        next_s = changes[index + 1].at_s if index + 1 < len(changes) else float("inf")
        begin = round((change.at_s - from_s) * OUTPUT_RATE_HZ)
        end = n_samples if next_s == float("inf") else round((next_s - from_s) * OUTPUT_RATE_HZ)
        first, last = max(0, begin), min(n_samples, end)
        ramp = max(1.0, change.ramp_s * OUTPUT_RATE_HZ)
        if first < last:
            share = np.minimum(1.0, (np.arange(first, last) - begin) / ramp)
            yield first, (before + (change.gain - before) * share).astype(np.float32)
        before = change.gain
