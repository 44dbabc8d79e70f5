"""A recogniser fed as the receiver feeds it: in pieces, at the pace of a microphone, captions noted as they come."""

from __future__ import annotations

import time
from collections.abc import Callable

from talkover.audio import INPUT_RATE_HZ, ms_to_samples
from talkover.engines import AsrStream, Hypothesis
from talkover.messages import Samples

PIECE_MS = 100
"""what the receiver hands over at a time"""
POLL_S = 0.005
"""between two looks for a caption: what a noted time may be late"""


def feed(stream: AsrStream, samples: Samples, begins_s: float | None, note: Callable[[Hypothesis], None]) -> None:
    """Feed (n,) float32 at 16 kHz and give every caption to `note`.

    `begins_s`: when on the monotonic clock its first sample is spoken; None: all of it as fast as possible.
    """

    def pass_on(caption: Hypothesis | None) -> None:
        if caption is not None:
            note(caption)

    size = ms_to_samples(PIECE_MS, INPUT_RATE_HZ)
    for begin in range(0, samples.size, size):
        piece = samples[begin : begin + size]
        due_s = 0.0 if begins_s is None else begins_s + (begin + piece.size) / INPUT_RATE_HZ
        while (left_s := due_s - time.monotonic()) > 0:
            time.sleep(min(left_s, POLL_S))
            pass_on(stream.partial())
        pass_on(stream.feed(piece))
