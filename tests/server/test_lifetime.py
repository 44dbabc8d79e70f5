"""How sessions end when the server wants it."""

from __future__ import annotations

import time

import pytest
from websockets.exceptions import InvalidStatus

from fakes import ScriptedLlm, fake_engines
from live import eventually
from wire import WireClient

pytestmark = pytest.mark.slow

LONG = " ".join(["This goes on and on."] * 100)


def test_session_ends_at_its_expiry_with_an_error_and_1001(serve):
    server = serve(fake_engines(llm=ScriptedLlm(reply=lambda _: LONG)), "server.max_session_minutes=0.02")
    with WireClient(server.ws_url) as client:
        began_s = time.monotonic()
        created = client.next()
        assert abs(created["session"]["expires_at"] - time.time() - 1.2) <= 1.5
        client.ask("Talk until the end.")
        code, reason = client.closed()
        assert (code, reason) == (1001, "session expired")
        assert 1.0 < time.monotonic() - began_s < 3.0
        assert client.events[-1]["error"]["code"] == "session_expired"
    assert eventually(lambda: server.realtime.active_sessions == 0)


def test_shutdown_closes_every_session_with_1001_and_refuses_new_ones(serve):
    server = serve(fake_engines(llm=ScriptedLlm(reply=lambda _: LONG)))
    clients = [WireClient(server.ws_url) for _ in range(4)]
    for client in clients:
        client.ask("Talk while you are stopped.")
        client.until("response.output_audio.delta")
    server.stop()
    for client in clients:
        assert client.closed() == (1001, "server shutdown")
        client.connection.close()
    with pytest.raises((InvalidStatus, OSError)):
        WireClient(server.ws_url)


def test_lifetime_of_one_session_is_not_that_of_another(serve):
    server = serve(fake_engines(), "server.max_session_minutes=0.02")
    with WireClient(server.ws_url) as early:
        early.next()
        early.read_for(0.6)
        with WireClient(server.ws_url) as late:
            late.next()
            assert early.closed()[0] == 1001
            late.ask("Still there?")
            assert late.until("response.done")["response"]["status"] == "completed"
