"""Who is calling, from the voice of their own turns: what a sound over the agent is compared with. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MAX_TURNS = 8
"""the caller's voice is known by then; later turns change it no more"""
MIN_TURNS = 2
"""one turn may have been somebody else's"""


class CallerVoice:
    """The mean direction of the speaker vectors of a caller's turns."""

    def __init__(self) -> None:
        self._sum: Vector | None = None
        self._n_turns = 0

    def learn(self, vector: NDArray[np.floating]) -> None:
        """A speaker vector (d,) of a turn that was the caller's."""
        unit = _unit(vector)
        if unit is None or self._n_turns >= MAX_TURNS:
            return
        self._sum = unit if self._sum is None else self._sum + unit
        self._n_turns += 1

    def similarity(self, vector: NDArray[np.floating]) -> float | None:
        """Cosine to the caller's voice, -1 to 1; None while that is not known."""
        unit = _unit(vector)
        if self._sum is None or self._n_turns < MIN_TURNS or unit is None:
            return None
        return float(unit @ self._sum / np.linalg.norm(self._sum))


def _unit(vector: NDArray[np.floating]) -> Vector | None:
    length = float(np.linalg.norm(vector))
    return vector.astype(np.float64) / length if np.isfinite(length) and length > 0 else None
