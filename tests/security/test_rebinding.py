"""Foreign web pages: their browsers are let in by nobody, whatever name they use for this server."""

from __future__ import annotations

import pytest

from attacker import ask, knock
from fakes import fake_engines

EVIL = "evil.example"
REBOUND = {"Host": f"{EVIL}:8000", "Origin": f"http://{EVIL}:8000"}
"""of a page whose name was pointed at this machine after it was loaded: to the browser, all of one origin"""


def test_a_rebound_name_opens_no_conversation(serve):
    answer = knock(serve(fake_engines()), REBOUND)
    assert (answer.status, answer.code) == (403, "host_not_allowed")
    assert b"server.allowed_hosts" in answer.body


def test_a_rebound_name_reads_nothing(serve):
    server = serve(fake_engines())
    for path in ("/", "/v1/documents", "/v1/voices", "/metrics", "/docs"):
        answer = ask(server, path, REBOUND)
        assert (answer.status, answer.code) == (403, "host_not_allowed"), path


def test_a_rebound_name_changes_nothing(serve):
    answer = ask(serve(fake_engines()), "/v1/realtime/client_secrets", REBOUND, method="POST", body=b"{}")
    assert (answer.status, answer.code) == (403, "host_not_allowed")


def test_the_address_of_all_interfaces_is_no_way_around(serve):
    """Browsers that send public pages to 0.0.0.0 reach this machine by it."""
    assert knock(serve(fake_engines()), {"Host": "0.0.0.0:8000"}).status == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "127.8.8.8", "[::1]:8000", "page.localhost"]
)
def test_this_machine_is_reached_by_every_name_of_its_own(serve, host: str):
    assert knock(serve(fake_engines()), {"Host": host}).status == 101


def test_a_name_that_is_listed_is_answered(serve):
    server = serve(fake_engines(), 'server.allowed_hosts=["voice.example", "*.voice.example"]')
    for name in ("voice.example", "VOICE.example:8443", "eu.voice.example"):
        assert knock(server, {"Host": name, "Origin": f"http://{name}"}).status == 101, name
    for name in ("voice.example.evil.example", "evilvoice.example", EVIL):
        assert knock(server, {"Host": name}).status == 403, name


def test_probes_are_answered_by_any_name(serve):
    server = serve(fake_engines())
    for path in ("/healthz", "/readyz"):
        assert ask(server, path, {"Host": "load-balancer.example"}).status == 200


def test_a_page_from_elsewhere_gets_no_conversation(serve):
    server = serve(fake_engines())
    neighbour = "http://127.0.0.1:3000"  # another server on this machine
    for origin in (f"https://{EVIL}", "null", "http://localhost:3000", "file://", neighbour):
        answer = knock(server, {"Origin": origin})
        assert (answer.status, answer.code) == (403, "origin_not_allowed"), origin


def test_a_page_from_elsewhere_makes_the_browser_of_a_user_post_nothing(serve):
    """A form needs no permission of the other side to be sent; what it does has to be refused."""
    server = serve(fake_engines())
    answer = ask(server, "/v1/documents", {"Origin": f"https://{EVIL}"}, method="POST", body=b"x")
    assert (answer.status, answer.code) == (403, "origin_not_allowed")


def test_a_socket_anywhere_else_is_refused_and_leaves_no_traceback(serve, caplog: pytest.LogCaptureFixture):
    """A handler of pages that gets one fails, and fills the log with a traceback for every handshake."""
    server = serve(fake_engines())
    for path in ("/", "/v1/other", "/v1/realtime/", "/healthz"):
        assert knock(server, path=path).status == 404, path
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
