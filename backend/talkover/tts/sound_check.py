"""Whether what a synthesiser gives is speech at all. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from talkover.audio import OUTPUT_RATE_HZ
from talkover.engines import EngineFailed, IsStale, SpeechChunk

MAX_PEAK = 4.0
"""of speech in [-1, 1]: a little too much is clipped, int16 that was never scaled is thousands"""
MAX_S, MAX_S_PER_CHARACTER = 20.0, 2.0
"""longest speech for a text: a Chinese character takes 0.25 s, at a quarter of the speed 1 s"""


def checked(chunks: Iterator[SpeechChunk], text: str, is_stale: IsStale) -> Iterator[SpeechChunk]:
    """The chunks of `text`, until stale.

    Raises EngineFailed at the first that cannot be speech, before anybody hears it, and when there is no sound at all.
    """
    most = left = int((MAX_S + MAX_S_PER_CHARACTER * len(text)) * OUTPUT_RATE_HZ)
    for chunk in chunks:
        if is_stale():
            return
        samples = chunk.samples
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise EngineFailed(f"the synthesiser gave {samples.dtype} of shape {samples.shape}, not (n,) float32")
        if samples.size:
            peak = float(np.max(np.abs(samples)))
            if not peak <= MAX_PEAK:  # NaN is refused, too
                raise EngineFailed(f"the synthesiser gave samples up to {peak:g}, which is not speech")
        left -= samples.size
        if left < 0:
            raise EngineFailed(f"the synthesiser does not stop: {len(text)} characters took too long to say")
        yield chunk
    if left == most and not is_stale() and any(character.isalnum() for character in text):
        raise EngineFailed("the synthesiser gave no sound")
