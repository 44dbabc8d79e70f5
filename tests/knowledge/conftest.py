"""What every test of retrieval runs in."""

from __future__ import annotations

import pytest

from knowledge_files import start_library_threads


@pytest.fixture(scope="session", autouse=True)
def _library_threads() -> None:
    start_library_threads()
