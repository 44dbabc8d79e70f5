"""Where the user's last sound ends, to 10 ms: what latency is counted from. Pure.

A detector hears a voice end a few frames early or late, by how it was trained and how loud the room is. That does for
ending turns, and is too coarse to count from: two ways of measuring would differ by what they call the end.
"""

from __future__ import annotations

import numpy as np

from talkover.audio import INPUT_RATE_HZ, ms_to_samples
from talkover.messages import Samples

PIECE_MS = 10
PIECE_SAMPLES = ms_to_samples(PIECE_MS, INPUT_RATE_HZ)
BELOW_PEAK_DB = 30.0
"""pieces quieter than this under the loudest ones (95th percentile) are no sound of the user: breath and room"""
ABOVE_FLOOR_DB = 8.0
"""nor are those that stand out so little from what is left when the voice has ended"""
MIN_SOUND_MS = 60
"""shorter stretches are clicks and breath"""
REACH_MS = 200.0
"""how far the last sound may be from where the detector heard the voice end"""
MIN_PIECES = MIN_SOUND_MS // PIECE_MS
SILENT_DBFS = -100.0


def last_sound_ms(samples: Samples, voiced_end_ms: float) -> float:
    """Where the last sound in (n,) float32 at 16 kHz ends, near `voiced_end_ms`, both from the first sample.

    `voiced_end_ms` itself where no sound stands out from the noise.
    """
    n_pieces = samples.size // PIECE_SAMPLES
    end = min(n_pieces, round(voiced_end_ms / PIECE_MS))
    reach = round(REACH_MS / PIECE_MS)
    behind = min(n_pieces, end + reach)
    if end <= 0 or behind <= end:
        return voiced_end_ms
    pieces = samples[: n_pieces * PIECE_SAMPLES].reshape(n_pieces, PIECE_SAMPLES)
    power = np.mean(np.square(pieces, dtype=np.float64), axis=1)
    levels_db = 10 * np.log10(np.maximum(power, 1e-12))
    floor_db = max(SILENT_DBFS, float(np.median(levels_db[behind - (behind - end) // 2 - 1 :])))
    limit_db = max(float(np.percentile(levels_db[:end], 95)) - BELOW_PEAK_DB, floor_db + ABOVE_FLOOR_DB)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], levels_db[:behind] > limit_db, [0]]).astype(np.int8)))
    ends = [last for start, last in zip(edges[::2], edges[1::2], strict=True) if last - start >= MIN_PIECES]
    if not ends or ends[-1] < end - reach:
        return voiced_end_ms
    return float(ends[-1] * PIECE_MS)
