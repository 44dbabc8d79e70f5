"""Handshakes that no client would send: each is refused, and leaves nothing behind."""

from __future__ import annotations

import logging

import pytest

from attacker import knock
from fakes import fake_engines
from live import eventually


@pytest.mark.parametrize(
    "header",
    [
        {"Sec-WebSocket-Protocol": "realtime, s2s-resume.é"},
        {"Sec-WebSocket-Extensions": "é"},
        {"Sec-WebSocket-Key": "é"},
        {"Sec-WebSocket-Version": "é"},
        {"Connection": "Upgrade, é"},
        {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "a b"},
    ],
    ids=lambda header: next(reversed(header)),
)
def test_a_broken_handshake_is_refused_and_leaves_no_connection(
    serve, header: dict[str, str], caplog: pytest.LogCaptureFixture
):
    server = serve(fake_engines())
    with caplog.at_level(logging.ERROR):
        assert knock(server, header).status == 400
    assert eventually(lambda: server.open_connections == 0)
    assert not caplog.records
