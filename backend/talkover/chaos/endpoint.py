"""An OpenAI-compatible chat endpoint on the loopback that misbehaves towards the victim and answers everybody else."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from talkover.chaos.plan import VICTIM

Misdeed = Literal[
    "too_many_requests", "server_error", "half_stream", "trickle", "silent", "not_json", "huge_line", "reset"
]
ANSWER = ("I am ", "the model ", "of this experiment. ", "Ask me ", "something else.")
TRICKLE_S = 0.5
HUGE_PIECE_BYTES = 1 << 20
MAX_BODY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class EndpointFault:
    """What the endpoint does to the victim while its switch is on."""

    deed: Misdeed
    times: int = 1_000_000
    """requests in a row, from when the switch is turned on; later ones are answered"""
    retry_after_s: float = 1.0
    """too_many_requests: the pause it asks for"""
    every_s: float = TRICKLE_S
    """trickle: between two tokens"""


class ChaosEndpoint:
    """Listens from `with` on, with a thread per request."""

    def __init__(self, fault: EndpointFault | None = None) -> None:
        """`fault`: None answers everybody."""
        self.fault = fault or EndpointFault("silent", times=0)
        self.is_on = False
        self.ended = threading.Event()
        self._struck = 0
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="chaos-endpoint")

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def turn(self, on: bool) -> None:
        with self._lock:
            self.is_on, self._struck = on, 0

    def strikes(self, body: bytes) -> bool:
        """Whether this request goes wrong."""
        with self._lock:
            if not self.is_on or VICTIM.encode() not in body or self._struck >= self.fault.times:
                return False
            self._struck += 1
            return True

    def __enter__(self) -> ChaosEndpoint:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, endpoint: ChaosEndpoint) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.endpoint = endpoint

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this is for."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._whole(200, {"object": "list", "data": [{"id": "chaos", "object": "model"}]})

    def do_POST(self) -> None:
        body = self.rfile.read(min(MAX_BODY_BYTES, int(self.headers.get("content-length") or 0)))
        endpoint = self._endpoint
        if not endpoint.strikes(body):
            self._answer()
            return
        deeds: dict[Misdeed, Callable[[], None]] = {
            "too_many_requests": self._too_many_requests,
            "server_error": lambda: self._whole(500, {"error": {"message": "chaos", "type": "server_error"}}),
            "half_stream": self._half_stream,
            "trickle": self._trickle,
            "silent": self._silent,
            "not_json": self._not_json,
            "huge_line": self._huge_line,
            "reset": self._reset,
        }
        self.close_connection = True
        with contextlib.suppress(OSError):
            deeds[endpoint.fault.deed]()

    @property
    def _endpoint(self) -> ChaosEndpoint:
        assert isinstance(self.server, _Server)
        return self.server.endpoint

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it is called with
        """Silent."""

    # ------------------------------------------------------------------------------------------------ good answers

    def _whole(self, status: int, document: Any, **headers: str) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _piece(self, data: bytes) -> None:
        """An empty one ends the answer."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _event(self, document: Any) -> None:
        self._piece(b"data: " + json.dumps(document).encode() + b"\n\n")

    def _say(self, text: str) -> None:
        self._event({"choices": [{"index": 0, "delta": {"content": text}}]})

    def _answer(self) -> None:
        self._begin()
        for text in ANSWER:
            self._say(text)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._piece(b"data: [DONE]\n\n")
        self._piece(b"")

    # ------------------------------------------------------------------------------------------------- bad answers

    def _too_many_requests(self) -> None:
        pause_s = f"{self._endpoint.fault.retry_after_s:g}"
        error = {"message": "chaos", "type": "requests", "code": "rate_limit_exceeded"}
        self._whole(429, {"error": error}, retry_after=pause_s)

    def _half_stream(self) -> None:
        self._begin()
        self._say("The answer to that is long. It begins like ")
        self._hang_up()

    def _trickle(self) -> None:
        self._begin()
        while not self._endpoint.ended.wait(self._endpoint.fault.every_s):
            self._say("and ")

    def _silent(self) -> None:
        self._begin()
        self._endpoint.ended.wait(600)

    def _not_json(self) -> None:
        self._begin()
        for line in (b"data: {not json\n\n", b"event: \xff\xfe\n\n", b"<html>502 Bad Gateway</html>\n\n"):
            self._piece(line)
        self._piece(b"")

    def _huge_line(self) -> None:
        """A line that does not end: a client that collects it whole runs out of memory."""
        self._begin()
        self._piece(b'data: {"choices": [{"index": 0, "delta": {"content": "')
        while not self._endpoint.ended.is_set():
            self._piece(b"a" * HUGE_PIECE_BYTES)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
