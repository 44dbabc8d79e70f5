"""What every test of retrieval runs in."""

from __future__ import annotations

import pytest

from talkover.knowledge.bm25 import WordIndex
from talkover.knowledge.chunking import chunks_of
from talkover.knowledge.documents import parse_document


@pytest.fixture(scope="session", autouse=True)
def _library_threads() -> None:
    """bm25s starts the monitor thread of tqdm, once per process and for good: no test has left it behind."""
    WordIndex(tuple(chunks_of((parse_document("a.md", "# A\nText."),))))
