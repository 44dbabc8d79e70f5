"""An OpenAI-compatible chat server on the loopback whose answers a test scripts, request by request."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handle = Callable[["Connection", dict[str, Any]], None]


class Connection(BaseHTTPRequestHandler):
    """One request; a test's script answers it."""

    protocol_version = "HTTP/1.1"
    server: ChatServer

    def do_GET(self) -> None:
        self.answer(200, {"data": [{"id": name, "object": "model"} for name in self.server.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.requests.append(body)
            script = self.server.scripts.pop(0) if len(self.server.scripts) > 1 else self.server.scripts[0]
        script(self, body)

    def answer(self, status: int, body: dict[str, Any], **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def line(self, text: str) -> None:
        data = f"{text}\n\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def say(self, text: str) -> None:
        self.line("data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}))

    def end(self) -> None:
        self.line("data: " + json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        self.line("data: [DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def wait_for_hang_up(self) -> None:
        """Until the client closes the connection: what a test of cancelling measures."""
        self.connection.settimeout(10)
        self.close_connection = True
        if self.connection.recv(1) == b"":
            self.server.hung_up.set()

    def break_off(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: Any) -> None:
        """The test's output stays clean."""


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *scripts: Handle, models: tuple[str, ...] = ("text-embedding-3", "little-chat")) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.scripts = list(scripts)
        self.models = models
        self.requests: list[dict[str, Any]] = []
        self.hung_up = threading.Event()
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what several tests are about; a failing script shows in its test."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self) -> ChatServer:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(5)
