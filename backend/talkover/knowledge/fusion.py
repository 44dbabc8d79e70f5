"""One ranking from two: by words and by meaning. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

DENSE_SHARE = 0.7
"""weight of meaning against words; chosen on half of the question set, see `talkover bench retrieval`"""


def fused_scores(words: Scores, meaning: Scores | None, dense_share: float = DENSE_SHARE) -> Scores:
    """Convex combination of both scores: (chunks,) each. `meaning`: None where there is no embedding model.

    Preferred to reciprocal ranks, which forget by how much the first is ahead of the second (S. Bruch, S. Gai,
    A. Ingber: "An Analysis of Fusion Functions for Hybrid Retrieval", 2023).
    """
    if meaning is None:
        return words
    return np.asarray((1 - dense_share) * words + dense_share * np.clip(meaning, 0.0, 1.0), np.float32)


def reciprocal_ranks(rankings: list[Scores], constant: int = 60) -> Scores:
    """Reciprocal rank fusion (G. Cormack et al., 2009), to compare with: (chunks,)."""
    total = np.zeros_like(rankings[0])
    for scores in rankings:
        ranks = np.empty(scores.size, np.float32)
        ranks[np.argsort(-scores, kind="stable")] = np.arange(1, scores.size + 1, dtype=np.float32)
        total += 1 / (constant + ranks)
    return total


def best_of(scores: Scores, limit: int, least: float) -> list[int]:
    """Indices of the highest scores of at least `least`, highest first; the earlier one of equal scores."""
    if limit < scores.size:
        cut = np.partition(scores, scores.size - limit)[scores.size - limit]
        candidates = np.flatnonzero(scores >= max(cut, least))
    else:
        candidates = np.flatnonzero(scores >= least)
    order = np.lexsort((candidates, -scores[candidates]))
    return [int(candidates[at]) for at in order[:limit]]
