"""A hub on the loopback that speaks ModelScope's and Hugging Face's protocols, well and badly."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 4096
"""files from this size on are kept as Git LFS keeps them: with a SHA-256"""


@dataclass
class Fault:
    """What goes wrong with a file; `times` says how often."""

    kind: str
    """break: close the connection in the middle; wrong: other bytes; hang: stop sending in the middle"""
    times: int = 1


@dataclass
class Hub:
    """The content of both hubs, their faults, and every request they got."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    """`modelscope` or `huggingface`: the repository is not there"""
    hangs: bool = False
    """listings are never answered"""
    requests: list[str] = field(default_factory=list)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    """path and Range header of every resumed file"""
    sent: dict[str, int] = field(default_factory=dict)
    """path -> bytes of it that were sent, over all requests"""
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    """set at the end, so that what hangs goes home"""

    @property
    def environ(self) -> dict[str, str]:
        return {"MODELSCOPE_ENDPOINT": self.url, "HF_ENDPOINT": self.url}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def _route(self) -> None:
        hub, parts = self.server.hub, urlsplit(self.path)
        hub.requests.append(f"{self.command} {parts.path}")
        path = unquote(parts.path)
        if path.startswith("/api/v1/models/"):
            self._modelscope(path, {key: values[0] for key, values in parse_qs(parts.query).items()})
        elif path.startswith("/api/models/") or "/resolve/" in path:
            self._huggingface(path)
        else:
            self._answer(404, {"Code": 404, "Success": False, "Message": "no such page"})

    def _modelscope(self, path: str, query: dict[str, str]) -> None:
        hub = self.server.hub
        if "modelscope" in hub.missing:
            self._answer(404, {"Code": 10010205001, "Success": False, "Message": "record not found", "RequestId": "1"})
        elif path.endswith("/repo/files"):
            if hub.hangs:
                hub.released.wait(30)
                return
            files = [
                {"Path": name, "Name": name, "Size": len(data), "Sha256": _sha256(data), "Type": "blob"}
                for name, data in hub.files.items()
            ]
            self._answer(200, {"Code": 200, "Success": True, "Data": {"Files": files}})
        else:
            self._file(query.get("FilePath", ""), {})

    def _huggingface(self, path: str) -> None:
        hub = self.server.hub
        if "huggingface" in hub.missing:
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif "/tree/" in path:
            self._answer(200, [_tree_entry(name, data) for name, data in hub.files.items()])
        elif path.startswith("/api/"):
            if hub.hangs:
                hub.released.wait(30)
                return
            repo = path.removeprefix("/api/models/").split("/revision/")[0]
            self._answer(200, {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "siblings": [], "tags": []})
        else:
            name = path.split("/resolve/")[1].partition("/")[2]
            data = hub.files.get(name, b"")
            tag = _sha256(data) if len(data) >= LARGE_BYTES else _git_blob_id(data)
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}
            if len(data) >= LARGE_BYTES:
                headers |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(data))}
            self._file(name, headers)

    def _file(self, name: str, headers: dict[str, str]) -> None:
        hub = self.server.hub
        data = hub.files.get(name)
        if data is None:
            self._answer(404, {"Code": 404, "Success": False, "Message": "no such file"})
            return
        fault = hub.faults.get(name)
        kind = fault.kind if fault is not None and fault.times > 0 and self.command == "GET" else ""
        if fault is not None and kind:
            fault.times -= 1
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").split("-")[0])
            hub.ranges.append((name, asked))
            headers = headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = data[start:] if kind != "wrong" else bytes(len(data) - start)
        self.send_response(206 if asked else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind in ("break", "hang"):
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)
        self.wfile.flush()
        hub.sent[name] = hub.sent.get(name, 0) + len(body)
        if kind == "hang":
            hub.released.wait(30)

    def _answer(self, status: int, tree: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(tree).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed are part of the tests."""


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = hub
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="hub")
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def _tree_entry(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": _git_blob_id(data), "size": len(data), "path": name}
    if len(data) >= LARGE_BYTES:
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
    return entry


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
