"""What the receiver knows of a frame of audio: the seam behind which no decision looks at samples any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from talkover.audio import level_dbfs
from talkover.engines import VadStream
from talkover.messages import Samples
from talkover.vad.prosody import Pitch, PitchTracker
from talkover.vad.voice_end import last_sound_ms


@dataclass(frozen=True, slots=True)
class FrameSound:
    """One frame of 32 ms."""

    speech_probability: float
    """0 to 1"""
    level_dbfs: float
    """-inf for digital silence"""
    pitch: Pitch


class FrameSounds(Protocol):
    """Measures a stream frame by frame, or remembers how it was measured."""

    def measure(self, frame: Samples) -> FrameSound:
        """The next (512,) float32 samples at 16 kHz."""
        ...

    def last_sound_ms(self, samples: Samples, voiced_end_ms: float) -> float:
        """Where the last sound in (n,) samples ends whose voice was heard until `voiced_end_ms`, from the first one."""
        ...

    def reset(self) -> None:
        """The stream is interrupted here."""
        ...


class MeasuredSounds:
    """By the VAD and the pitch tracker."""

    def __init__(self, vad: VadStream) -> None:
        self._vad = vad
        self._pitch = PitchTracker()

    def measure(self, frame: Samples) -> FrameSound:
        return FrameSound(self._vad.speech_probability(frame), level_dbfs(frame), self._pitch.feed(frame))

    def last_sound_ms(self, samples: Samples, voiced_end_ms: float) -> float:
        return last_sound_ms(samples, voiced_end_ms)

    def reset(self) -> None:
        self._vad.reset()
        self._pitch.reset()
