"""Every store of vectors keeps the same contract, and models are loaded as sentence-transformers does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from talkover.config import ConfigError, load_settings
from talkover.engines import EngineUnavailable
from talkover.knowledge.embedding import SentenceTransformerEmbedder, create_embedder
from talkover.knowledge.fusion import best_of, fused_scores, reciprocal_ranks
from talkover.knowledge.qdrant_vectors import LOCAL, open_qdrant
from talkover.knowledge.reranking import CrossEncoderReranker
from talkover.knowledge.store import Store
from talkover.knowledge.vector_stores import collection_name
from talkover.knowledge.vectors import ExactVectors, VectorStore

IDS = tuple(str(UUID(int=at)) for at in range(200))
rng = np.random.default_rng(0)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = unit(rng.standard_normal((200, 32)))
QUESTIONS = unit(rng.standard_normal((5, 32)))


def exact(folder: Path) -> VectorStore:
    return ExactVectors(Store(folder / "index.sqlite"), "model")


def lancedb(folder: Path) -> VectorStore:
    from talkover.knowledge.lancedb_vectors import open_lancedb

    return open_lancedb(folder / "vectors.lancedb", "vectors")


def qdrant(_folder: Path) -> VectorStore:
    return open_qdrant(LOCAL, None, "vectors")


STORES = [exact, lancedb, qdrant]


@pytest.fixture(scope="module", autouse=True)
def _threads_of_libraries() -> None:
    """LanceDB starts its event loop when it is imported, for good: no test has left it behind."""
    import_module("lancedb")


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorStore]:
    store: VectorStore = request.param(tmp_path)
    yield store
    store.close()


def test_the_nearest_are_found(opened: VectorStore) -> None:
    assert opened.search(QUESTIONS[0], 5) == []
    opened.add(IDS[:100], VECTORS[:100])
    opened.add(IDS[100:], VECTORS[100:])
    assert opened.known() == set(IDS)
    for question in QUESTIONS:
        similarity = VECTORS @ question
        expected = np.argsort(-similarity)[:7]
        found = opened.search(question, 7)
        assert [name for name, _ in found] == [IDS[at] for at in expected]
        np.testing.assert_allclose([cosine for _, cosine in found], similarity[expected], atol=1e-4)
    assert len(opened.search(QUESTIONS[0], 500)) == 200


def test_what_is_removed_is_not_found(opened: VectorStore) -> None:
    opened.add(IDS, VECTORS)
    nearest = {name for name, _ in opened.search(QUESTIONS[0], 10)}
    opened.remove([*nearest, "00000000-0000-0000-0000-0000deadbeef"])
    assert opened.known() == set(IDS) - nearest
    assert not nearest & {name for name, _ in opened.search(QUESTIONS[0], 50)}


@pytest.mark.parametrize("make", STORES[:2])
def test_vectors_outlive_the_process(make: Callable[[Path], VectorStore], tmp_path: Path) -> None:
    first = make(tmp_path)
    first.add(IDS, VECTORS)
    expected = first.search(QUESTIONS[1], 5)
    first.close()
    second = make(tmp_path)
    assert second.known() == set(IDS)
    assert second.search(QUESTIONS[1], 5) == expected
    second.close()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineUnavailable, match=r"knowledge\.qdrant_url: http://127\.0\.0\.1:9 does not answer"):
        open_qdrant("http://127.0.0.1:9", None, "vectors")


def test_qdrant_needs_an_address() -> None:
    with pytest.raises(ConfigError, match=r"knowledge\.qdrant_url: must be set"):
        load_settings(None, ["knowledge.vectors=qdrant"], environ={})


def test_folders_do_not_share_a_collection() -> None:
    one, other = (collection_name("BAAI/bge-m3", Path(f"/cache/{name}.sqlite")) for name in ("aa", "bb"))
    assert one != other
    assert one.isidentifier()


class Model:
    """The part of a SentenceTransformer and of a CrossEncoder that is used."""

    def encode_document(self, texts: list[str], **_options: object) -> NDArray[np.float64]:
        return np.array([[len(text), 0.0] for text in texts])

    def encode_query(self, texts: list[str], **_options: object) -> NDArray[np.float64]:
        return np.array([[0.0, len(text)] for text in texts])

    def predict(self, pairs: list[tuple[str, str]], **_options: object) -> list[float]:
        return [float(len(passage)) for _, passage in pairs]


def test_questions_and_passages_are_embedded_each_in_their_way() -> None:
    embedder = SentenceTransformerEmbedder("any", model=Model())
    assert embedder.of_passages(["abc", "a"]).tolist() == [[3, 0], [1, 0]]
    assert embedder.of_question("abcd").tolist() == [0, 4]
    assert embedder.of_question("abcd").dtype == np.float32


def test_a_cross_encoder_scores_pairs() -> None:
    assert CrossEncoderReranker("any", model=Model()).scores("q", ["long passage", "short"]) == [12.0, 5.0]


def test_no_embeddings_when_none_are_wanted() -> None:
    assert create_embedder(load_settings(None, ["knowledge.embeddings=none"], environ={})) is None


def test_fused_scores_weigh_both() -> None:
    words, meaning = np.array([0.5, 0.0, 0.2], np.float32), np.array([0.1, 0.9, -0.5], np.float32)
    np.testing.assert_allclose(fused_scores(words, meaning, 0.5), [0.3, 0.45, 0.1])
    assert fused_scores(words, None) is words


def test_reciprocal_ranks() -> None:
    scores = reciprocal_ranks([np.array([3, 1], np.float32), np.array([1, 2], np.float32)])
    np.testing.assert_allclose(scores, [1 / 61 + 1 / 62] * 2)


def test_the_best_are_in_order_and_good_enough() -> None:
    scores = np.array([0.1, 0.7, 0.3, 0.7, 0.0], np.float32)
    assert best_of(scores, 3, 0.2) == [1, 3, 2]
    assert best_of(scores, 2, 0.0) == [1, 3]
    assert best_of(scores, 10, 0.5) == [1, 3]
