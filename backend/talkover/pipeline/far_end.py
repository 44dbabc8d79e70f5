"""What the loudspeaker plays while the microphone listens: the reference of an echo canceller. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from talkover.audio import INPUT_RATE_HZ
from talkover.messages import Samples

KEPT_S = 2.0
"""of the past: microphone audio that comes later than that has no reference"""
MAX_AHEAD_S = 600.0
"""of audio sent and not yet played; more is not kept"""
CLOCK_RISE_S_PER_S = 0.002
"""how fast the estimate of the transport delay may grow: clocks drift by less, networks change by more"""


@dataclass(frozen=True, slots=True)
class _Played:
    begin_s: float
    samples: Samples

    @property
    def end_s(self) -> float:
        return self.begin_s + self.samples.size / INPUT_RATE_HZ


class FarEnd:
    """Sent audio on the clock of its playback."""

    def __init__(self) -> None:
        self._parts: deque[_Played] = deque()
        self.referenced_s = 0.0
        """how much of the agent's speech has been given out as reference"""

    def add(self, samples: Samples, begin_s: float, now_s: float) -> None:
        """(n,) float32 at 16 kHz that begin to sound at `begin_s`."""
        while self._parts and self._parts[0].end_s < now_s - KEPT_S:
            self._parts.popleft()
        if begin_s < now_s + MAX_AHEAD_S:
            self._parts.append(_Played(begin_s, samples))

    def stop(self, now_s: float) -> None:
        """Playback was thrown away: nothing sounds from now on."""
        while self._parts and self._parts[-1].begin_s >= now_s:
            self._parts.pop()
        if self._parts and self._parts[-1].end_s > now_s:
            last = self._parts.pop()
            kept = round((now_s - last.begin_s) * INPUT_RATE_HZ)
            self._parts.append(_Played(last.begin_s, last.samples[:kept]))

    def window(self, end_s: float, n_samples: int) -> Samples:
        """(n_samples,) float32: what sounded until `end_s`, silence where nothing did."""
        window = np.zeros(n_samples, np.float32)
        first = round(end_s * INPUT_RATE_HZ) - n_samples
        for part in self._parts:
            begin = round(part.begin_s * INPUT_RATE_HZ) - first
            low, high = max(begin, 0), min(begin + part.samples.size, n_samples)
            if low < high:
                window[low:high] = part.samples[low - begin : high - begin]
                self.referenced_s += (high - low) / INPUT_RATE_HZ
        return window


class CaptureClock:
    """When the microphone heard a sample, from when it arrived: the least delay seen is true, more is jitter."""

    def __init__(self) -> None:
        self._heard_s = 0.0
        self._offset_s: float | None = None

    def heard_until_s(self, n_samples: int, arrived_s: float) -> float:
        """The time at which the last of `n_samples` more was heard, on the clock of `arrived_s`."""
        duration_s = n_samples / INPUT_RATE_HZ
        self._heard_s += duration_s
        offset_s = arrived_s - self._heard_s
        if self._offset_s is None:
            self._offset_s = offset_s
        self._offset_s = min(offset_s, self._offset_s + CLOCK_RISE_S_PER_S * duration_s)
        return self._heard_s + self._offset_s
