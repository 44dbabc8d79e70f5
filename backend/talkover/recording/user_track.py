"""The user's channel of a recording: their audio as it was received, sample by sample, on the recording's clock. Pure.

Audio of one stream is laid end to end, whatever the jitter of its arrival. Only when it falls behind the clock by more
than `MAX_LAG_S`, as after a pause of the microphone, silence makes up for what did not come. All positions are samples
at `RATE_HZ` on the clock of the call.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

import numpy as np

from talkover.messages import AudioFormat
from talkover.recording.wire_audio import RATE_HZ, Pcm, RecordingDecoder

MAX_LAG_S = 0.5
"""network jitter beyond which audio counts as missing"""


@dataclass(frozen=True, slots=True)
class _Placed:
    start: int
    samples: Pcm


class UserTrack:
    """Of one call."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._decoder = RecordingDecoder(audio_format)
        self._received_ms = 0.0
        self._end: int | None = None
        """where the next sample belongs; None: none has come"""
        self._placed: deque[_Placed] = deque()
        self._written = 0
        self._stream_ms: list[float] = []
        self._clock: list[int] = []
        """positions in the session's input audio, and where they lie on the clock: at the beginning of each stretch"""

    def use_format(self, audio_format: AudioFormat) -> None:
        """Of all that is received from now on."""
        if audio_format != self._decoder.format:
            self._place(self._decoder.flush())
            self._decoder = RecordingDecoder(audio_format)

    def received(self, audio: bytes, now: int) -> None:
        """Bytes of the session's format, cut anywhere, that arrived at `now` on the clock."""
        duration_ms = self._decoder.format.duration_ms(len(audio))
        n_samples = round(duration_ms * RATE_HZ / 1000)
        if self._end is None or now - (self._end + n_samples) > MAX_LAG_S * RATE_HZ:
            self._end = now - n_samples
            self._stream_ms.append(self._received_ms)
            self._clock.append(self._end)
        self._received_ms += duration_ms
        self._place(self._decoder.feed(audio))

    @property
    def pending_samples(self) -> int:
        """Placed, and not taken yet."""
        return sum(placed.samples.size for placed in self._placed)

    @property
    def ends(self) -> int:
        """Where the user's audio ends so far."""
        return self._end or 0

    def clock_at(self, stream_ms: float) -> int:
        """Where a position in the session's input audio lies on the clock."""
        index = bisect_right(self._stream_ms, stream_ms) - 1
        if index < 0:
            return 0
        return self._clock[index] + round((stream_ms - self._stream_ms[index]) * RATE_HZ / 1000)

    def take(self, until: int) -> Pcm:
        """(until - taken before,) int16: what was heard of the user up to a position that is past."""
        channel = np.zeros(until - self._written, np.int16)
        while self._placed and self._placed[0].start < until:
            placed = self._placed.popleft()
            begin = max(0, self._written - placed.start)
            n_samples = min(placed.samples.size, until - placed.start)
            at = placed.start + begin - self._written
            if begin < n_samples:
                channel[at : at + n_samples - begin] = placed.samples[begin:n_samples]
            if n_samples < placed.samples.size:
                self._placed.appendleft(_Placed(placed.start + n_samples, placed.samples[n_samples:]))
        self._written = until
        return channel

    def skip(self, until: int) -> None:
        """What was heard of the user up to there is forgotten."""
        self._written = until
        while self._placed and self._placed[0].start + self._placed[0].samples.size <= until:
            self._placed.popleft()

    def _place(self, samples: Pcm) -> None:
        if samples.size and self._end is not None:
            self._placed.append(_Placed(self._end, samples))
            self._end += samples.size
