"""Vectors on a Qdrant server, which many servers of Talkover can share."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkover.engines import EngineFailed, EngineUnavailable
from talkover.extras import install_command
from talkover.knowledge.vectors import Found

TIMEOUT_S = 5
PAGE = 1000
"""ids a request"""
LOCAL = ":memory:"
"""in the place of an address: qdrant-client's own engine in this process, for tests"""


class QdrantVectors:
    """One collection, made with the first vectors."""

    def __init__(self, url: str, key: str | None, collection: str) -> None:
        """Raises EngineUnavailable."""
        try:
            qdrant: Any = import_module("qdrant_client")
        except ImportError as error:
            raise EngineUnavailable(f"knowledge.vectors = 'qdrant' needs {install_command('qdrant')}") from error
        self._models = qdrant.models
        # What the client raises comes from httpx, its own exceptions and pydantic, which have no common ancestor
        # below Exception that it documents.
        self._failures: tuple[type[Exception], ...] = (
            OSError,
            RuntimeError,
            ValueError,
            import_module("qdrant_client.http.exceptions").ApiException,
        )
        self._collection = collection
        self._changing = threading.Lock()
        try:
            self._client = (
                qdrant.QdrantClient(LOCAL)
                if url == LOCAL
                else qdrant.QdrantClient(url=url, api_key=key, timeout=TIMEOUT_S, check_compatibility=False)
            )
            self._exists = bool(self._client.collection_exists(collection))
            self._known = self._stored() if self._exists else frozenset[str]()
        except self._failures as error:
            raise EngineUnavailable(f"knowledge.qdrant_url: {url} does not answer as Qdrant: {error}") from error

    def known(self) -> frozenset[str]:
        return self._known

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        models = self._models
        points = models.Batch(ids=list(ids), vectors=vectors.tolist())
        with self._changing:
            try:
                if not self._exists:
                    size = models.VectorParams(size=int(vectors.shape[1]), distance=models.Distance.COSINE)
                    self._client.create_collection(self._collection, vectors_config=size)
                    self._exists = True
                self._client.upsert(self._collection, points=points, wait=True)
            except self._failures as error:
                raise EngineFailed(f"Qdrant: {error}") from error
            self._known |= frozenset(ids)

    def remove(self, ids: Iterable[str]) -> None:
        gone = sorted(self._known & set(ids))
        with self._changing:
            try:
                for start in range(0, len(gone), PAGE):
                    selector = self._models.PointIdsList(points=gone[start : start + PAGE])
                    self._client.delete(self._collection, points_selector=selector, wait=True)
            except self._failures as error:
                raise EngineFailed(f"Qdrant: {error}") from error
            self._known -= frozenset(gone)

    def search(self, vector: NDArray[np.float32], limit: int) -> Found:
        if not self._known:
            return []
        try:
            answer = self._client.query_points(self._collection, query=vector.tolist(), limit=limit, with_payload=False)
        except self._failures as error:
            raise EngineFailed(f"Qdrant: {error}") from error
        return [(str(point.id), float(point.score)) for point in answer.points]

    def close(self) -> None:
        self._client.close()

    def _stored(self) -> frozenset[str]:
        found: set[str] = set()
        offset: Any = None
        while True:
            points, offset = self._client.scroll(
                self._collection, limit=PAGE, offset=offset, with_payload=False, with_vectors=False
            )
            found.update(str(point.id) for point in points)
            if offset is None:
                return frozenset(found)


def open_qdrant(url: str, key: str | None, collection: str) -> QdrantVectors:
    """Raises EngineUnavailable."""
    return QdrantVectors(url, key, collection)
