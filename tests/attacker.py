"""What an attacker does that no honest client library would: raw requests over a raw socket."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from live import InProcessServer

SOCKET_PATH = "/v1/realtime"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Of the server."""

    status: int
    headers: dict[str, str]
    """names in lower case"""
    body: bytes

    @property
    def code(self) -> str:
        """Of the error; empty where there is none."""
        try:
            error: Any = json.loads(self.body)["error"]
        except (ValueError, KeyError, TypeError):
            return ""
        return error["code"]


def dial(server: InProcessServer, source: str = "127.0.0.1", timeout_s: float = 10.0) -> socket.socket:
    """A connection from the address `source`, of which this machine has all of 127.0.0.0/8."""
    return socket.create_connection(("127.0.0.1", server.port), timeout_s, (source, 0))


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask(
    server: InProcessServer,
    path: str,
    headers: dict[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes = b"",
    source: str = "127.0.0.1",
) -> Answer:
    """One request over a connection of its own, with just these headers and `Host`, unless that is given."""
    all_headers = {"Host": server.host, "Connection": "close"} | (headers or {})
    if body:
        all_headers["Content-Length"] = str(len(body))
    with dial(server, source) as connection:
        with suppress(ConnectionError):  # the server may have heard enough
            connection.sendall(request(method, path, all_headers, body))
        return read_answer(connection)


def knock(
    server: InProcessServer,
    headers: dict[str, str] | None = None,
    *,
    source: str = "127.0.0.1",
    path: str = SOCKET_PATH,
) -> Answer:
    """The answer to a WebSocket handshake; 101: the socket was open, for a moment."""
    with dial(server, source) as connection:
        connection.sendall(request("GET", path, {"Host": server.host, **UPGRADE} | (headers or {})))
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer:
    """Reads an answer, to its end unless it is an upgrade. Status 0: the server hung up without a word."""
    data = b""
    with suppress(ConnectionError):
        while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(status_line.split(" ")[1])
    if status != 101:
        with suppress(ConnectionError):
            while len(body) < int(headers.get("content-length", "1000000000")) and (piece := connection.recv(65536)):
                body += piece
    return Answer(status, headers, body)


def is_hung_up(connection: socket.socket) -> bool:
    """Whether the server ends this connection, within its timeout, whatever it still says before."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True
