"""WebRTC VAD: the cheapest detector, alone or as the gate in front of a better one."""

from __future__ import annotations

import numpy as np
import webrtcvad

from talkover.audio import INPUT_RATE_HZ, VAD_FRAME_SAMPLES
from talkover.config import Settings
from talkover.engines import VadEngine, VadStream
from talkover.messages import Samples

PIECE_BYTES = 320
"""10 ms, the shortest piece it takes; a frame of 512 samples holds three, and every fifth frame a fourth"""
AGGRESSIVENESS = 3
"""0 hears too much, 3 too little: alone, what it takes for speech interrupts the agent"""


class WebRtcStream:
    """Speech probability of one audio stream: the share of voiced pieces."""

    def __init__(self, aggressiveness: int = AGGRESSIVENESS) -> None:
        self._aggressiveness = aggressiveness
        self._detector = webrtcvad.Vad(aggressiveness)
        self._rest = b""

    def speech_probability(self, frame: Samples) -> float:
        """Share in [0, 1] of the 10 ms pieces that end in this frame of (512,) samples."""
        pcm = self._rest + _pcm16(frame)
        ends = range(PIECE_BYTES, len(pcm) + 1, PIECE_BYTES)
        self._rest = pcm[len(ends) * PIECE_BYTES :]
        return sum(self._detector.is_speech(pcm[end - PIECE_BYTES : end], INPUT_RATE_HZ) for end in ends) / len(ends)

    def reset(self) -> None:
        self._detector = webrtcvad.Vad(self._aggressiveness)
        self._rest = b""


def _pcm16(frame: Samples) -> bytes:
    """int16 bytes, clipped, rounded down: a quarter of the time that the exact conversion for listeners takes."""
    return np.fmin(np.fmax(frame * 32767, -32767), 32767).astype("<i2").tobytes()


class WebRtcEngine:
    """Streams are independent of each other and safe side by side."""

    name = "webrtc"

    def stream(self) -> VadStream:
        return WebRtcStream()

    def warmup(self) -> None:
        WebRtcStream().speech_probability(np.zeros(VAD_FRAME_SAMPLES, np.float32))

    def close(self) -> None:
        """Nothing to free."""


def create(settings: Settings) -> VadEngine:
    """The engine `webrtc`."""
    return WebRtcEngine()
