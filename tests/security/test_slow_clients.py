"""Clients that take their time on purpose: each holds a connection, and none holds it for long."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from attacker import UPGRADE, dial, is_hung_up, read_answer, request
from fakes import fake_engines
from live import InProcessServer, eventually
from talkover.access.http_protocol import MIN_BODY_BYTES_PER_S
from wire import WireClient

IMPATIENT = "access.read_timeout_s=0.5"
POST = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def trickle(connection: socket.socket, data: bytes, every_s: float = 0.05) -> bool:
    """Send byte by byte; True when the server hung up before the end, or within the connection's timeout after it."""
    stopped = threading.Event()

    def drip() -> None:
        for at in range(len(data)):
            try:
                connection.send(data[at : at + 1])
            except OSError:
                return
            if stopped.wait(every_s):
                return

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        return is_hung_up(connection)
    finally:
        stopped.set()
        dripping.join()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Slow: a\r\n" * 1000,
        request("GET", "/v1/realtime", {"Host": "localhost", **UPGRADE, "X-Slow": "a" * 9000}),
    ],
    ids=["silence", "request", "handshake"],
)
def test_a_head_that_trickles_in_is_not_waited_for(serve, head: bytes):
    server = serve(fake_engines(), IMPATIENT)
    with dial(server) as connection:
        assert trickle(connection, head)
    assert eventually(lambda: server.open_connections == 0)


def test_a_second_request_is_waited_for_no_longer_than_the_first(serve):
    server = serve(fake_engines(), IMPATIENT)
    with dial(server) as connection:
        connection.sendall(request("GET", "/healthz", {"Host": "localhost"}))
        assert read_answer(connection).status == 200
        assert trickle(connection, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Slow: a\r\n" * 1000)


@pytest.mark.parametrize("length", ["Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_that_trickles_in_is_not_waited_for(serve, length: str):
    server = serve(fake_engines(), IMPATIENT)
    with dial(server) as connection:
        connection.sendall((POST + length).encode())
        assert trickle(connection, b"1\r\na\r\n" * 1000 if "chunked" in length else b" " * 1000)
    assert eventually(lambda: server.open_connections == 0)


def test_a_body_after_an_early_refusal_is_not_waited_for_either(serve):
    server = serve(fake_engines(), IMPATIENT, environ={"TALKOVER_API_KEY": "sesame"})
    with dial(server) as connection:
        connection.sendall((POST + "Content-Length: 100000\r\n\r\n").encode())
        assert trickle(connection, b" " * 1000)


def test_an_honest_upload_over_a_slow_line_arrives(serve):
    """It takes longer than the patience for silence, and keeps the pace."""
    server = serve(fake_engines(), "access.read_timeout_s=1")
    body = b'{"input": "Hello."' + b" " * (3 * MIN_BODY_BYTES_PER_S) + b"}"
    with dial(server) as connection:
        connection.sendall((POST + f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n").encode())
        began_s = time.monotonic()
        for at in range(0, len(body), MIN_BODY_BYTES_PER_S // 5):
            connection.sendall(body[at : at + MIN_BODY_BYTES_PER_S // 5])
            time.sleep(0.1)
        assert time.monotonic() - began_s > 1.2
        assert read_answer(connection).status == 200


def test_a_client_that_does_not_take_its_answers_is_dropped(serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("talkover.serving.WRITE_TIMEOUT_S", 0.5)
    server = serve(fake_engines())
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    with connection:
        connection.sendall(request("GET", "/docs/swagger-ui-bundle.js", {"Host": "localhost"}) * 20)
        assert eventually(lambda: server.open_connections == 1)
        assert eventually(lambda: server.open_connections == 0, 20)


def test_an_idle_connection_is_closed(serve):
    """uvicorn's own bound between two requests: five seconds."""
    server = serve(fake_engines())
    with dial(server) as connection:
        connection.sendall(request("GET", "/healthz", {"Host": "localhost"}))
        assert read_answer(connection).status == 200
        assert is_hung_up(connection)


def test_slow_clients_disturb_no_conversation(serve):
    server: InProcessServer = serve(fake_engines(), IMPATIENT)
    with WireClient(server.ws_url) as client:
        slow = [dial(server) for _ in range(20)]
        for connection in slow:
            connection.sendall(b"GET / HTTP/1.1\r\n")
        client.next()
        assert all(is_hung_up(connection) for connection in slow)
        client.ask("Still there?")  # long after the time in which a head has to come
        assert client.until("response.done")["response"]["status"] == "completed"
        for connection in slow:
            connection.close()


def test_a_head_without_an_end_is_kept_in_no_memory(serve):
    """h11's own bound: 16 KiB of what cannot be read yet."""
    server = serve(fake_engines())
    with dial(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 100_000)
        assert read_answer(connection).status == 400
