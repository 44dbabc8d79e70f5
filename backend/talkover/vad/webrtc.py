"""WebRTC VAD: the cheapest detector, alone or as the gate in front of a better one."""

from __future__ import annotations

import webrtcvad

from talkover.audio import INPUT_RATE_HZ, samples_to_pcm16
from talkover.config import Settings
from talkover.engines import VadEngine, VadStream
from talkover.messages import Samples

SUBFRAME_SAMPLES = 160
"""10 ms"""


class WebRtcStream:
    """Share of voiced 10 ms pieces of each frame."""

    def __init__(self, aggressiveness: int = 2) -> None:
        self._aggressiveness = aggressiveness
        self.reset()

    def speech_probability(self, frame: Samples) -> float:
        pcm = samples_to_pcm16(frame)
        pieces = [pcm[i : i + 320] for i in range(0, 960, 320)]
        return sum(self._detector.is_speech(piece, INPUT_RATE_HZ) for piece in pieces) / len(pieces)

    def reset(self) -> None:
        self._detector = webrtcvad.Vad(self._aggressiveness)


class WebRtcEngine:
    name = "webrtc"

    def stream(self) -> VadStream:
        return WebRtcStream()

    def warmup(self) -> None: ...

    def close(self) -> None: ...


def create(settings: Settings) -> VadEngine:
    return WebRtcEngine()
