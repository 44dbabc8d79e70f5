"""A real `talkover serve` as a process of its own: started on a free port, waited for, counted and ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType

from talkover.process_tree import tree_cpu_s

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0


class ServerFailed(Exception):
    """The server did not come up; the message holds the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def own_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without settings of Talkover and without a language model, so that figures can be compared."""
    foreign = ("TALKOVER_", "OPENAI_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | dict(extra or {})


class ServerProcess:
    """A server, started when made and ended by `stop` or the end of a `with`."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        command: Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
        cores: Collection[int] | None = None,
    ) -> None:
        """`arguments` are added to `talkover serve`; `command` replaces it, `{port}` in it stands for the port; the
        process and its children run on `cores` only."""
        self.port = free_port()
        if command is None:
            command = [sys.executable, "-m", "talkover", "serve", "--port", "{port}", *arguments]
        self._log = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed by stop; appended to by two processes
        self._cores = cores
        self.started_s = time.monotonic()
        self._process = subprocess.Popen(
            [part.replace("{port}", str(self.port)) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=dict(own_environment() if environ is None else environ),
            preexec_fn=self._pin if cores is not None else None,  # noqa: PLW1509 - runs before any thread of the child
            start_new_session=True,
        )

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How the process ended; None: it runs."""
        return self._process.poll()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> float:
        """Seconds from the start of the process to the first 200 of /readyz. Raises ServerFailed."""
        while time.monotonic() < self.started_s + timeout_s:
            if self._process.poll() is not None:
                raise ServerFailed(f"the server ended with code {self._process.returncode}:\n{self.log_tail()}")
            if self._answers():
                return time.monotonic() - self.started_s
            time.sleep(0.01)
        raise ServerFailed(f"the server was not ready after {timeout_s:g} s:\n{self.log_tail()}")

    def cpu_s(self) -> float | None:
        """CPU time the process and all its descendants have used so far; None where there is no /proc."""
        return tree_cpu_s(self.pid)

    def log_tail(self, n_bytes: int = 3000) -> str:
        self._log.flush()
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - n_bytes))
        return self._log.read().decode(errors="replace")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()  # not SIGINT: what a shell starts in the background ignores that
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
            self._kill_group()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _kill_group(self) -> None:
        """What the server started and left ends with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _pin(self) -> None:
        os.sched_setaffinity(0, self._cores or ())
