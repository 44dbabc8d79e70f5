"""A room in which the loudspeaker can be heard by the microphone."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.bench.duplex.takes import Echo
from talkover.client.loudspeaker import Loudspeaker, Stretch, rendered
from talkover.client.microphone import Room
from talkover.messages import Samples

REVERBERATION_MS = 60.0
"""the tail of a small furnished room, down by 60 dB after 240 ms; what comes later is under the room's noise"""
TAIL_DB = -12.0
"""all of the tail against the direct sound"""


class EchoRoom(Room):
    """Adds what the loudspeaker played, some time ago and through the room, to what the microphone picks up."""

    def __init__(self, echo: Echo, speaker: Loudspeaker, clock: Callable[[], float] = time.monotonic, seed: int = 0):
        """`clock` tells the end of the chunk that is asked for: a chunk is handed over when its last sample sounded."""
        super().__init__(seed)
        self._echo = echo
        self._speaker = speaker
        self._clock = clock
        self._response = impulse_response(seed)

    def samples(self, start: int, n_samples: int) -> Samples:
        picked = super().samples(start, n_samples)
        end_s = self._clock() - self._echo.delay_ms / 1000
        reach = self._response.size - 1
        begin_s = end_s - (n_samples + reach) / OUTPUT_RATE_HZ
        played = heard_between(self._speaker, begin_s, n_samples + reach)
        gain = 10 ** (self._echo.level_db / 20)
        picked += (gain * np.convolve(played, self._response, mode="valid")).astype(np.float32)
        return picked


def impulse_response(seed: int) -> Samples:
    """(n,) float32: the direct sound and an exponentially decaying tail of noise."""
    n = ms_to_samples(REVERBERATION_MS, OUTPUT_RATE_HZ)
    tail = np.random.default_rng(seed).standard_normal(n) * 10 ** (
        -3 * np.arange(n) / ms_to_samples(240, OUTPUT_RATE_HZ)
    )
    tail[0] = 0.0
    tail *= 10 ** (TAIL_DB / 20) / np.sqrt(np.sum(np.square(tail)))
    tail[0] = 1.0
    return tail.astype(np.float32)


def heard_between(speaker: Loudspeaker, from_s: float, n_samples: int) -> Samples:
    """(n,) float32 that sounded from a time on. Only stretches of that time are looked at: the record gets long."""
    to_s = from_s + n_samples / OUTPUT_RATE_HZ
    near: list[Stretch] = []
    for stretch in reversed(speaker.stretches):
        if stretch.end_s < from_s:
            break
        if stretch.start_s < to_s:
            near.append(stretch)
    return rendered(near, tuple(speaker.gains), from_s, n_samples)
