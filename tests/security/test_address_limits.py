"""What one address may do: requests, handshakes, connections; and whose address it is behind a proxy."""

from __future__ import annotations

import pytest

from attacker import ask, dial, is_hung_up, knock, read_answer
from fakes import fake_engines
from live import eventually
from talkover.access.addresses import client_address, counted_as, networks
from talkover.access.connections import ConnectionTable
from talkover.access.keys import Key, digest_of
from talkover.access.policy import Access, Refusal, Request
from talkover.access.rates import RateTable
from talkover.sections.operation import AccessSettings, ServerSettings

EVERYONE = "access.unlimited_addresses=[]"
OTHER = "127.0.0.2"


def test_a_flood_of_requests_is_stopped_and_others_are_served(serve):
    server = serve(fake_engines(), EVERYONE, "access.requests_per_minute=5")
    answers = [ask(server, "/v1/models") for _ in range(8)]
    assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
    assert (answers[-1].code, answers[-1].headers["retry-after"]) == ("rate_limit_exceeded", "12")
    assert ask(server, "/v1/models", source=OTHER).status == 200
    assert ask(server, "/healthz").status == 200


def test_a_flood_of_handshakes_is_stopped(serve):
    server = serve(fake_engines(), EVERYONE, "access.handshakes_per_minute=3")
    answers = [knock(server) for _ in range(5)]
    assert [answer.status for answer in answers] == [101] * 3 + [429] * 2
    assert knock(server, source=OTHER).status == 101


def test_guessing_keys_ends_soon():
    policy = Access(
        ServerSettings(),
        AccessSettings(unlimited_addresses=(), requests_per_minute=100, handshakes_per_minute=60),
        [Key("desk", digest_of("right"))],
        lambda: 0.0,
        lambda: 0.0,
    )

    def attempts(path: str) -> int:
        kind = "websocket" if path == "/v1/realtime" else "http"
        for made in range(1000):
            guess = Request(kind, "GET", path, "192.0.2.1", "localhost", authorization=f"Bearer {made}")
            decision = policy.decide(guess)
            assert isinstance(decision, Refusal)
            if decision.status == 429:
                return made
        return 1000

    assert attempts("/v1/models") <= 10
    assert attempts("/v1/realtime") <= 30


def test_a_client_cannot_make_up_its_address(serve):
    """Unless a proxy is configured, what a client writes into X-Forwarded-For is nothing but its own words."""
    server = serve(fake_engines(), EVERYONE, "access.requests_per_minute=3")
    statuses = [ask(server, "/v1/models", {"X-Forwarded-For": f"192.0.2.{at}"}).status for at in range(5)]
    assert statuses == [200] * 3 + [429] * 2


def test_behind_a_trusted_proxy_callers_are_told_apart(serve):
    proxied = ("access.unlimited_addresses=[]", 'access.trusted_proxies=["127.0.0.1"]', "access.requests_per_minute=2")
    server = serve(fake_engines(), *proxied)
    for caller in ("192.0.2.1", "192.0.2.2"):
        statuses = [ask(server, "/v1/models", {"X-Forwarded-For": caller}).status for _ in range(3)]
        assert statuses == [200, 200, 429], caller
    forged = {"X-Forwarded-For": "198.51.100.9, 192.0.2.1"}
    assert ask(server, "/v1/models", forged).status == 429, "what the client itself wrote stands first"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("", "198.51.100.1", ""),
    ],
)
def test_the_client_is_the_last_whom_no_proxy_of_ours_wrote_down_for_another(
    peer: str, forwarded: str | None, expected: str
):
    assert client_address(peer, forwarded, networks(["10.0.0.0/8"])) == expected


def test_a_subscriber_cannot_change_addresses_to_get_more():
    assert counted_as("2001:db8:1:2::1") == counted_as("2001:db8:1:2:ffff::9")
    assert counted_as("2001:db8:1:2::1") != counted_as("2001:db8:1:3::1")
    assert counted_as("::ffff:192.0.2.1") == counted_as("192.0.2.1")


def test_the_table_of_addresses_does_not_grow_without_end():
    table = RateTable(60, max_entries=100)
    for at in range(10_000):
        assert table.take(f"address {at}", 0.0) == 0.0
    assert len(table) == 100


def test_a_rate_is_a_burst_and_then_a_pace():
    table = RateTable(60)
    assert [table.take("a", 0.0) for _ in range(60)] == [0.0] * 60
    assert table.take("a", 0.0) == pytest.approx(1.0)
    assert table.take("a", 0.5) == pytest.approx(0.5)
    assert table.take("a", 1.0) == 0.0
    assert table.take("a", 1.0) > 0
    assert [table.take("a", 10_000.0) for _ in range(61)].count(0.0) == 60


def test_connections_of_one_address_are_bounded(serve):
    server = serve(fake_engines(), EVERYONE, "access.connections_per_address=4", "access.read_timeout_s=30")
    held = [dial(server) for _ in range(4)]
    assert eventually(lambda: server.open_connections == 4)
    with dial(server) as one_more:
        answer = read_answer(one_more)
        assert (answer.status, answer.code) == (429, "rate_limit_exceeded")
        assert is_hung_up(one_more)
    assert ask(server, "/healthz", source=OTHER).status == 200
    held.pop().close()
    assert eventually(lambda: ask(server, "/healthz").status == 200)
    for connection in held:
        connection.close()


def test_a_conversation_holds_its_connection_and_gives_it_back(serve):
    server = serve(fake_engines(), EVERYONE, "access.connections_per_address=1")
    for _ in range(3):
        with dial(server) as connection:
            connection.sendall(
                b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert read_answer(connection).status == 101
            assert ask(server, "/healthz").status == 429
        assert eventually(lambda: server.open_connections == 0)


def test_connections_of_all_addresses_together_are_bounded(serve):
    """Also of those that are not counted one by one."""
    server = serve(fake_engines(), "access.max_connections=3", "access.read_timeout_s=30")
    held = [dial(server, source) for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3")]
    assert eventually(lambda: server.open_connections == 3)
    assert ask(server, "/healthz", source="127.0.0.4").status == 429
    held.pop().close()
    assert eventually(lambda: ask(server, "/healthz", source="127.0.0.4").status == 200)
    for connection in held:
        connection.close()


def test_the_table_of_connections_counts_by_address_and_in_all():
    table = ConnectionTable(2, 3, networks(["10.0.0.0/8"]))
    assert [table.enter(peer) for peer in ("a", "a", "a", "10.0.0.1", "10.0.0.1")] == [True, True, False, True, False]
    assert len(table) == 3
    for peer in ("a", "a", "10.0.0.1"):
        table.leave(peer)
    assert len(table) == 0
    assert table.enter("b")
