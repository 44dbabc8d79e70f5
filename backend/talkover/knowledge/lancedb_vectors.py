"""Vectors in LanceDB, a database in a folder: for more of them than memory should hold."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkover.engines import EngineFailed, EngineUnavailable
from talkover.extras import install_command
from talkover.knowledge.vectors import Found

MAX_TABLES = 10_000
"""there is one for each embedding model"""
REMOVED_AT_ONCE = 500
"""ids in one condition"""


class LanceVectors:
    """One table, made with the first vectors."""

    def __init__(self, path: Path | None, table: str) -> None:
        """`path`: of the database; None: a folder that is deleted with it. Raises EngineUnavailable."""
        try:
            lancedb: Any = import_module("lancedb")
        except ImportError as error:
            raise EngineUnavailable(f"knowledge.vectors = 'lancedb' needs {install_command('lancedb')}") from error
        self._temporary = tempfile.TemporaryDirectory(prefix="talkover-") if path is None else None
        try:
            self._database = lancedb.connect(self._temporary.name if self._temporary is not None else str(path))
            self._name = table
            names = self._database.list_tables(limit=MAX_TABLES).tables
            self._table: Any = self._database.open_table(table) if table in names else None
            self._known: frozenset[str] = self._stored()
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineUnavailable(f"knowledge.vectors: LanceDB cannot use {path}: {error}") from error
        self._changing = threading.Lock()

    def known(self) -> frozenset[str]:
        return self._known

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        pyarrow: Any = import_module("pyarrow")
        flat = pyarrow.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        rows = pyarrow.table(
            {"id": list(ids), "vector": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
        )
        with self._changing:
            try:
                if self._table is None:
                    self._table = self._database.create_table(self._name, rows)
                else:
                    self._table.add(rows)
            except (OSError, RuntimeError, ValueError) as error:
                raise EngineFailed(f"LanceDB: {error}") from error
            self._known |= frozenset(ids)

    def remove(self, ids: Iterable[str]) -> None:
        gone = sorted(self._known & set(ids))
        with self._changing:
            for start in range(0, len(gone), REMOVED_AT_ONCE):
                quoted = ", ".join(f"'{name}'" for name in gone[start : start + REMOVED_AT_ONCE])
                try:
                    self._table.delete(f"id IN ({quoted})")
                except (OSError, RuntimeError, ValueError) as error:
                    raise EngineFailed(f"LanceDB: {error}") from error
            self._known -= frozenset(gone)

    def search(self, vector: NDArray[np.float32], limit: int) -> Found:
        if self._table is None or not self._known:
            return []
        try:
            query = self._table.search(vector, vector_column_name="vector").distance_type("cosine")
            rows: list[dict[str, Any]] = query.select(["id", "_distance"]).limit(limit).to_list()
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineFailed(f"LanceDB: {error}") from error
        return [(str(row["id"]), 1 - float(row["_distance"])) for row in rows]

    def close(self) -> None:
        self._table = None
        if self._temporary is not None:
            self._temporary.cleanup()

    def _stored(self) -> frozenset[str]:
        if self._table is None:
            return frozenset()
        rows = self._table.search().select(["id"]).limit(self._table.count_rows()).to_arrow()
        return frozenset(str(name) for name in rows["id"].to_pylist())


def open_lancedb(path: Path | None, table: str) -> LanceVectors:
    """Raises EngineUnavailable."""
    return LanceVectors(path, table)
