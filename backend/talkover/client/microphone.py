"""A microphone without a device: a room with a little noise in which recordings are spoken at chosen times.

The thread hands over 20 ms at a time, each when its last sample has been spoken, as a sound card does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ, ms_to_samples
from talkover.client.recordings import Recording
from talkover.messages import Samples

CHUNK_MS = 20
CHUNK_SAMPLES = ms_to_samples(CHUNK_MS, OUTPUT_RATE_HZ)
REMEMBERED_CHUNKS = 3000
ROOM_DBFS = -72.0
"""white noise under everything: no microphone is digitally silent"""


@dataclass(frozen=True, slots=True)
class Said:
    """A recording on the timeline of a microphone."""

    recording: Recording
    start_sample: int
    """position of its first sample since the microphone was opened"""

    def onset_s(self, opened_s: float) -> float:
        """When its first sound is made, for a microphone opened at `opened_s`."""
        return opened_s + self.start_sample / OUTPUT_RATE_HZ + self.recording.voiced.start_ms / 1000

    def end_s(self, opened_s: float) -> float:
        """When its last sound ends."""
        return opened_s + self.start_sample / OUTPUT_RATE_HZ + self.recording.voiced.end_ms / 1000


class Room:
    """What a microphone picks up: noise, and what is said. Pure; positions are samples at 24 kHz."""

    def __init__(self, seed: int = 0, level_dbfs: float = ROOM_DBFS) -> None:
        noise = np.random.default_rng(seed).standard_normal(OUTPUT_RATE_HZ) * 10 ** (level_dbfs / 20)
        self._noise: Samples = noise.astype(np.float32)
        self._said: list[Said] = []

    def say(self, recording: Recording, at_sample: int) -> Said:
        said = Said(recording, at_sample)
        self._said.append(said)
        return said

    def samples(self, start: int, n_samples: int) -> Samples:
        """(n,) float32 from a position on; must be asked for in order: what was said before it is forgotten."""
        picked = self._noise[np.arange(start, start + n_samples) % self._noise.size]
        self._said = [said for said in self._said if said.start_sample + said.recording.samples.size > start]
        for said in self._said:
            begin = max(start, said.start_sample)
            end = min(start + n_samples, said.start_sample + said.recording.samples.size)
            if begin < end:
                picked[begin - start : end - start] += said.recording.samples[
                    begin - said.start_sample : end - said.start_sample
                ]
        return picked


class VirtualMicrophone:
    """Sends a room to `take` in real time."""

    def __init__(self, take: Callable[[Samples], None], room: Room, keep: bool = False) -> None:
        """`take` gets (480,) float32 at 24 kHz every 20 ms; what it raises as OSError ends the microphone. `keep`
        remembers all that was sent."""
        self._take = take
        self._room = room
        self._lock = threading.Lock()
        self._next_sample = 0
        self._stopped = threading.Event()
        self._kept: list[Samples] | None = [] if keep else None
        self._sent: deque[tuple[int, float]] = deque(maxlen=REMEMBERED_CHUNKS)
        self.opened_s = time.monotonic()
        self.worst_lag_s = 0.0
        """how late a chunk was handed over at most: beyond some ms it is this machine that was busy"""
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
        self._thread.start()

    def say(self, recording: Recording, delay_s: float = 0.0) -> Said:
        """Speak a recording, from the next chunk on or `delay_s` later."""
        with self._lock:
            return self._room.say(recording, self._next_sample + round(delay_s * OUTPUT_RATE_HZ))

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(1.0)

    def sent_s(self, position_ms: float) -> float:
        """When the chunk was handed over that holds this position of the audio; of the last minute. Raises KeyError."""
        sample = ms_to_samples(position_ms, OUTPUT_RATE_HZ)
        with self._lock:
            for end_sample, at_s in self._sent:
                if end_sample - CHUNK_SAMPLES < sample <= end_sample:
                    return at_s
        raise KeyError(f"no chunk with {position_ms} ms")

    def recorded(self) -> Samples:
        """(n,) float32: all that was sent, when it is kept."""
        with self._lock:
            return np.concatenate(self._kept) if self._kept else np.zeros(0, np.float32)

    def _run(self) -> None:
        while True:
            due_s = self.opened_s + (self._next_sample + CHUNK_SAMPLES) / OUTPUT_RATE_HZ
            if self._stopped.wait(max(0.0, due_s - time.monotonic())):
                return
            self.worst_lag_s = max(self.worst_lag_s, time.monotonic() - due_s)
            with self._lock:
                samples = self._room.samples(self._next_sample, CHUNK_SAMPLES)
                self._next_sample += CHUNK_SAMPLES
                if self._kept is not None:
                    self._kept.append(samples)
                self._sent.append((self._next_sample, time.monotonic()))
            try:
                self._take(samples)
            except OSError:  # the connection is gone; whoever waits on it is told by the client
                return
