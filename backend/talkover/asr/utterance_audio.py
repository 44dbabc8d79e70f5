"""The audio of one utterance, collected for engines that hear it as a whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from talkover.audio import INPUT_RATE_HZ, SILENCE
from talkover.engines import EngineFailed, Hypothesis, IsStale
from talkover.messages import Samples

MAX_UTTERANCE_S = 300


class UtteranceAudio:
    """Pieces of an utterance. What a client may send that is no sound (NaN, infinities, over full scale) is mended."""

    def __init__(self) -> None:
        self._pieces: list[Samples] = []
        self._n_samples = 0

    def add(self, samples: Samples) -> Samples:
        """Take (n,) float32 at 16 kHz, any n, and return what was kept of it: nothing beyond the limit."""
        self._n_samples += samples.size
        if self._n_samples > MAX_UTTERANCE_S * INPUT_RATE_HZ:
            self._pieces.clear()
            return SILENCE
        clean = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        kept = np.clip(clean, -1.0, 1.0).astype(np.float32)
        self._pieces.append(kept)
        return kept

    def joined(self) -> Samples:
        """(n,) float32. Raises EngineFailed when it was too long."""
        if self._n_samples > MAX_UTTERANCE_S * INPUT_RATE_HZ:
            raise EngineFailed(f"an utterance must be at most {MAX_UTTERANCE_S} s, got more")
        return np.concatenate(self._pieces) if self._pieces else SILENCE

    def clear(self) -> None:
        self._pieces.clear()


class WholeUtteranceStream:
    """`AsrStream` of an engine without captions, which hears an utterance when it is over."""

    def __init__(self, min_samples: int, recognise: Callable[[Samples, IsStale], Hypothesis | None]) -> None:
        """`recognise`: the hypothesis of all of it, None once stale. Less than `min_samples` holds no word."""
        self._min_samples = min_samples
        self._recognise = recognise
        self._audio = UtteranceAudio()

    def feed(self, samples: Samples) -> Hypothesis | None:
        self._audio.add(samples)
        return None

    def partial(self) -> Hypothesis | None:
        return None

    def finish(self, is_stale: IsStale) -> Hypothesis:
        samples = self._audio.joined()
        if samples.size < self._min_samples or is_stale():
            return Hypothesis("")
        return self._recognise(samples, is_stale) or Hypothesis("")

    def close(self) -> None:
        self._audio.clear()
