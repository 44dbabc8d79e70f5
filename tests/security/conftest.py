"""What several attacks need."""

import pytest

from knowledge_files import start_library_threads


@pytest.fixture(scope="session")
def library_threads() -> None:
    """For tests with documents: threads of libraries that no test is to blame for."""
    start_library_threads()
