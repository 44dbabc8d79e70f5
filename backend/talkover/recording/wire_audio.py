"""Audio of the wire as a recording keeps it: int16 at one rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkover.audio import OUTPUT_RATE_HZ, SILENCE, Resampler, decode, samples_to_pcm16
from talkover.messages import AudioFormat

RATE_HZ = OUTPUT_RATE_HZ
"""of recordings; all their positions are samples at this rate"""

Pcm = NDArray[np.int16]
"""(n,)"""


class RecordingDecoder:
    """Wire bytes of one format, cut anywhere; PCM16 at `RATE_HZ` comes out as it went in."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self._odd = b""
        self._resampler = Resampler(audio_format.rate_hz, RATE_HZ)

    def feed(self, data: bytes) -> Pcm:
        data = self._odd + data
        whole = len(data) - len(data) % self.format.bytes_per_sample
        self._odd = data[whole:]
        samples = decode(data[:whole], self.format.encoding)
        return np.frombuffer(samples_to_pcm16(self._resampler.feed(samples)), "<i2")

    def flush(self) -> Pcm:
        """What the resampler still holds; the object is used up."""
        return np.frombuffer(samples_to_pcm16(self._resampler.feed(SILENCE, last=True)), "<i2")
