"""A server on a real port, for tests over the socket."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from talkover.app import create_app
from talkover.config import load_settings
from talkover.engines import Engines
from talkover.realtime.server import RealtimeServer
from talkover.serving import asgi_server

ROOT = Path(__file__).resolve().parent.parent
ARTEFACTS = ROOT / "test-artefacts"


class InProcessServer:
    """The whole app on a free port, in a thread of this process."""

    def __init__(
        self,
        engines: Engines,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        """`overrides` are those of `--set`."""
        self.settings = load_settings(None, overrides, {})
        self.app = create_app(self.settings, engines, environ or {})
        self.realtime: RealtimeServer = self.app.state.realtime
        self._listener = socket.create_server(("127.0.0.1", port))
        self._server = asgi_server(self.app, self.settings, time.monotonic())
        self._thread = threading.Thread(target=self._run, name="test-server")
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        secure = "s" if self.settings.server.tls_certificate else ""
        self.http_url = f"http{secure}://{self.host}"
        self.ws_url = f"ws{secure}://{self.host}/v1/realtime"

    def __enter__(self) -> InProcessServer:
        self._thread.start()
        assert eventually(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        """As SIGTERM does. Does not wait."""
        self._server.should_exit = True

    def cut_connections(self) -> None:
        """As a network that breaks: no close frame says so. Does not wait."""
        for connection in tuple(self._server.server_state.connections):
            connection.loop.call_soon_threadsafe(connection.transport.abort)

    @property
    def open_connections(self) -> int:
        """Sockets the server still keeps."""
        return len(self._server.server_state.connections)

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listener]))


class ServerProcess:
    """`talkover serve` with the embedded engines, as a user runs it."""

    def __init__(
        self, log_path: Path, overrides: Sequence[str] = (), config: Path | None = None, port: int = 0
    ) -> None:
        self.log_path = log_path
        # on a busy machine answers are late and little is carried, which must not refuse a test its session; a page
        # that is still open when a test ends is no call to wait for
        overrides = ("server.max_lag_ms=none", "server.max_sessions=16", "server.drain_s=0", *overrides)
        arguments = [argument for override in overrides for argument in ("--set", override)]
        arguments += [] if config is None else ["--config", str(config)]
        own = ("TALKOVER_", "OPENAI_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "talkover", "serve", "--port", str(port), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=environ | {"OMP_NUM_THREADS": "1"},
            )
        self.host = ""

    def __enter__(self) -> ServerProcess:
        def is_ready() -> bool:
            assert self._process.poll() is None, f"the server did not start:\n{self.log}"
            return " INFO ready after " in self.log

        try:
            assert eventually(is_ready, 60), f"the server is not ready:\n{self.log}"
            found = re.search(r"open http://([\d.]+:\d+)", self.log)
            assert found, self.log
        except BaseException:
            self._process.kill()
            raise
        self.host = found[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        finally:
            self._process.kill()

    def kill(self) -> None:
        """As `kill -9` does."""
        self._process.kill()
        self._process.wait(15)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def http_url(self) -> str:
        return f"http://{self.host}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}/v1/realtime"


def eventually(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Whether `condition` becomes true in time; for what other threads and processes do."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return condition()
