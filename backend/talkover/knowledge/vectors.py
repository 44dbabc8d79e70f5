"""Where the vectors of chunks lie and are searched: one contract, and the default behind it.

Exact search over a matrix in memory, kept in SQLite: 10,000 chunks of 384 dimensions cost 2 ms of one core and nothing
to install, where LanceDB costs 21 ms and 350 MB and Qdrant's engine in the process 12 ms. sqlite-vec cannot be loaded
by every Python: many are built without extensions for SQLite. LanceDB and Qdrant are for more vectors than memory
should hold, and for a server that others share.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from talkover.knowledge.store import Store

Found = list[tuple[str, float]]
"""(id, cosine similarity), highest first"""


class VectorStore(Protocol):
    """Vectors of one embedding model by chunk id. Called from many threads; raises EngineFailed when it cannot."""

    def known(self) -> frozenset[str]:
        """Ids that have a vector."""
        ...

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """`vectors`: (ids, dimensions) of length 1."""
        ...

    def remove(self, ids: Iterable[str]) -> None: ...

    def search(self, vector: NDArray[np.float32], limit: int) -> Found: ...

    def close(self) -> None: ...


class _Matrix:
    """What is searched: replaced as a whole, never changed."""

    def __init__(self, ids: tuple[str, ...], vectors: NDArray[np.float32]) -> None:
        self.ids = ids
        self.vectors = vectors


class ExactVectors:
    """A matrix in memory, kept in the store."""

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._model = model
        self._changing = threading.Lock()
        self._matrix = _Matrix(*store.vectors(model))

    def known(self) -> frozenset[str]:
        return frozenset(self._matrix.ids)

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        with self._changing:
            self._store.add_vectors(self._model, ids, vectors)
            old = self._matrix
            self._matrix = _Matrix((*old.ids, *ids), np.vstack((old.vectors, vectors)) if old.ids else vectors)

    def remove(self, ids: Iterable[str]) -> None:
        with self._changing:
            gone = set(ids)
            self._store.remove_vectors(self._model, gone)
            old = self._matrix
            kept = [at for at, known in enumerate(old.ids) if known not in gone]
            self._matrix = _Matrix(tuple(old.ids[at] for at in kept), old.vectors[kept])

    def search(self, vector: NDArray[np.float32], limit: int) -> Found:
        matrix = self._matrix
        if not matrix.ids:
            return []
        similarity = matrix.vectors @ vector
        limit = min(limit, similarity.size)
        best = np.argpartition(-similarity, limit - 1)[:limit]
        best = best[np.argsort(-similarity[best], kind="stable")]
        return [(matrix.ids[at], float(similarity[at])) for at in best]

    def close(self) -> None:
        """The store is closed by who opened it."""
