"""An HTTP server on the loopback whose answers a test scripts: an OpenAI-compatible endpoint that behaves or does not.

with serving(lambda request: request.answer(200, {"text": "hello"})) as server: ...
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """What one POST held; a `ScriptedRequest` serves all requests of its connection, one after the other."""

    path: str
    headers: dict[str, str]
    """names in lower case"""
    fields: dict[str, Any]
    """of the JSON document or of the form"""
    upload: bytes
    """the file of a form"""


class ScriptedRequest(BaseHTTPRequestHandler):
    """One request. A GET is answered from `documents`, a POST by the next script of the server; the last one stays."""

    protocol_version = "HTTP/1.1"
    server: ScriptedServer
    fields: dict[str, Any]

    def do_GET(self) -> None:
        document = self.server.documents.get(self.path)
        self.answer(404 if document is None else 200, {} if document is None else document)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self.headers["content-type"]
        upload = b""
        if "boundary=" in kind:
            self.fields, upload = _form(body, kind.split("boundary=")[1].encode())
        else:
            self.fields = json.loads(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.run_script(self, Sent(self.path, headers, self.fields, upload))

    def answer(self, status: int, document: Any, kind: str = "application/json", **headers: str) -> None:
        """At once and whole. `document`: bytes as they are, all else as JSON; `headers` with _ for -."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind: str) -> None:
        """An answer in pieces."""
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def piece(self, data: bytes) -> None:
        """An empty one ends the answer."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def wait_for_hang_up(self) -> None:
        """Until the client closes the connection: what a test of cancelling waits for."""
        self.connection.settimeout(10)
        self.close_connection = True
        try:
            gone = self.connection.recv(1) == b""
        except ConnectionError:  # closed with bytes it had not read yet
            gone = True
        if gone:
            self.server.hung_up.set()

    def break_off(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_args: Any) -> None:
        """Silent."""


Script = Callable[[ScriptedRequest], None]


class ScriptedServer(ThreadingHTTPServer):
    """Listens while a `with` lasts, and is gone afterwards with all its threads."""

    daemon_threads = True

    def __init__(
        self,
        *scripts: Script,
        documents: dict[str, Any] | None = None,
        handler: type[ScriptedRequest] = ScriptedRequest,
    ) -> None:
        """`documents`: path -> what a GET of it finds."""
        super().__init__(("127.0.0.1", 0), handler)
        self.scripts = list(scripts)
        self.documents = documents or {}
        self.requests: list[Any] = []
        """what was sent, as `Sent`"""
        self.hung_up = threading.Event()
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def run_script(self, request: ScriptedRequest, sent: Sent) -> None:
        self.next_script(sent)(request)

    def next_script(self, note: object) -> Any:
        """Put `note` down as what was sent, and take the script that answers it."""
        with self.lock:
            self.requests.append(note)
            return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what several tests are about; a failing script shows in its test."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(5)


def _form(body: bytes, boundary: bytes) -> tuple[dict[str, str], bytes]:
    """Fields and the file of a multipart form."""
    fields: dict[str, str] = {}
    upload = b""
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]+)"', head)
        assert name
        if b"filename=" in head:
            upload = value.removesuffix(b"\r\n")
        else:
            fields[name[1].decode()] = value.removesuffix(b"\r\n").decode()
    return fields, upload
