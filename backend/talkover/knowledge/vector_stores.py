"""The vector store that `knowledge.vectors` names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from talkover.config import Settings
from talkover.knowledge.store import Store, index_path
from talkover.knowledge.vectors import ExactVectors, VectorStore

MAX_NAME_CHARACTERS = 80


def create_vectors(settings: Settings, store: Store, model: str, folder: Path | None) -> VectorStore:
    """For the vectors of `model` over the documents of `folder`. Raises EngineUnavailable."""
    knowledge = settings.knowledge
    match knowledge.vectors:
        case "exact":
            return ExactVectors(store, model)
        case "lancedb":
            from talkover.knowledge.lancedb_vectors import open_lancedb

            path = index_path(knowledge, folder)
            return open_lancedb(None if path is None else path.with_suffix(".lancedb"), collection_name(model, path))
        case "qdrant":
            from talkover.knowledge.qdrant_vectors import open_qdrant

            assert knowledge.qdrant_url is not None  # checked with the configuration
            key = os.environ.get(knowledge.qdrant_api_key_env) or None
            return open_qdrant(knowledge.qdrant_url, key, collection_name(model, index_path(knowledge, folder)))


def collection_name(model: str, index: Path | None) -> str:
    """A name that every database takes, for the vectors of `model` over the documents that `index` is of.

    Documents of different folders share no collection: what is gone from one folder is removed from its own.
    """
    named = re.sub(r"[^A-Za-z0-9]+", "_", model).strip("_")[-MAX_NAME_CHARACTERS:]
    return f"talkover_{named}_{index.stem if index is not None else 'memory'}"
