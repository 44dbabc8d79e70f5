"""Takes the agent's own voice out of the microphone, for clients that do not: WebRTC's AEC3, through LiveKit's wheel.

AEC3 finds the delay by itself (up to half a second), adapts within two seconds of the agent's speech, and freezes while
both speak. Measured on speech with a reverberant echo at 0 and -6 dB and delays of 20 to 300 ms: 50 dB less echo from
the fifth second on, the user's voice 2 dB down in double talk, 3 % of a core. The wheel is the only maintained one with
AEC3 (35 MB, no server of theirs is involved); the pure Python adaptive filters known to us have no double-talk control.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from talkover.audio import INPUT_RATE_HZ, SILENCE, Chunker, pcm16_to_samples, samples_to_pcm16
from talkover.engines import EngineUnavailable
from talkover.messages import Samples

ADAPTS_WITHIN_S = 3.0
"""of the agent's speech; before that its echo is heard"""
BLOCK_SAMPLES = INPUT_RATE_HZ // 100
"""AEC3 works in blocks of 10 ms"""


class EchoCanceller(Protocol):
    """One microphone and one loudspeaker. Not for use by several threads."""

    def feed(self, near: Samples, far: Samples) -> Samples:
        """What the microphone heard without the echo of `far`, (n,) float32 at 16 kHz both, played at the same time.

        It holds back less than 10 ms, so that the result has another length.
        """
        ...

    def flush(self) -> Samples:
        """What it holds back, as the microphone heard it."""
        ...


class WebRtcEchoCanceller:
    """AEC3; implements `EchoCanceller`."""

    def __init__(self, module: Any, frame: Callable[..., Any]) -> None:
        """`module`: an AudioProcessingModule; `frame`: makes its audio frames."""
        self._module = module
        self._frame = frame
        self._near, self._far = Chunker(BLOCK_SAMPLES), Chunker(BLOCK_SAMPLES)

    def feed(self, near: Samples, far: Samples) -> Samples:
        blocks = zip(self._near.feed(near), self._far.feed(far), strict=True)
        cleaned = [self._block(near_block, far_block) for near_block, far_block in blocks]
        return np.concatenate(cleaned) if cleaned else SILENCE

    def flush(self) -> Samples:
        rest = self._near.pending
        self._near.reset()
        self._far.reset()
        return rest

    def _block(self, near: Samples, far: Samples) -> Samples:
        self._module.process_reverse_stream(self._frame(samples_to_pcm16(far), INPUT_RATE_HZ, 1, BLOCK_SAMPLES))
        heard = self._frame(bytearray(samples_to_pcm16(near)), INPUT_RATE_HZ, 1, BLOCK_SAMPLES)
        self._module.process_stream(heard)
        return pcm16_to_samples(bytes(heard.data))


def webrtc_echo_cancellers() -> Callable[[], EchoCanceller]:
    """Makes a canceller for each session. Raises EngineUnavailable."""
    try:
        from livekit.rtc import AudioFrame
        from livekit.rtc.apm import AudioProcessingModule
    except ImportError as error:
        message = f"vad.echo_canceller: 'webrtc' needs LiveKit's wheel ({error}): pip install 'talkover[echo]'"
        raise EngineUnavailable(message) from error
    frame: Any = AudioFrame
    module: Any = AudioProcessingModule
    return lambda: WebRtcEchoCanceller(module(echo_cancellation=True), frame)
