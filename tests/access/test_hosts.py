"""Names and origins, as decisions."""

import pytest

from talkover.access.hosts import HostRule, is_loopback, origin_allowed

OPEN = HostRule(bound_to_loopback=False, has_keys=False)
KEYED = HostRule(bound_to_loopback=False, has_keys=True)
LOCAL = HostRule(bound_to_loopback=True, has_keys=False)
PUBLIC_NAMES = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "a.b"]
NO_NAMES = [
    *("", ":80", "a b", "user@localhost", "localhost/x", "localhost:port", "[::1", "localhost?x", ".", "local\thost"),
    *("[::1]x", "evil.example[::1]", "evil.example[127.0.0.1]", "[evil.example]"),
]


@pytest.mark.parametrize("host", PUBLIC_NAMES)
def test_names_that_anyone_can_register_reach_no_server_without_keys(host: str) -> None:
    assert not LOCAL.allows(host)
    assert not OPEN.allows(host)
    assert KEYED.allows(host)


@pytest.mark.parametrize("host", ["192.168.1.7:8000", "[fd00::7]:8000", "talkover:8000", "desk.local", "x.internal"])
def test_addresses_and_private_names_reach_a_server_on_the_network(host: str) -> None:
    assert OPEN.allows(host)
    assert KEYED.allows(host)
    assert not LOCAL.allows(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "0.0.0.0:8000", "[::]:8000"])
def test_the_address_of_all_interfaces_is_no_name_of_an_open_server(host: str) -> None:
    """Some browsers let pages of the public web send requests to it, and they arrive at this machine."""
    assert not OPEN.allows(host)
    assert not LOCAL.allows(host)


@pytest.mark.parametrize("rule", [OPEN, KEYED, LOCAL], ids=["open", "keyed", "local"])
@pytest.mark.parametrize("host", ["localhost", "Localhost.:80", "127.0.0.1", "[::1]:9", "[::ffff:127.0.0.1]", None])
def test_loopback_always_reaches(rule: HostRule, host: str | None) -> None:
    assert rule.allows(host)


@pytest.mark.parametrize("rule", [OPEN, KEYED, LOCAL], ids=["open", "keyed", "local"])
@pytest.mark.parametrize("host", NO_NAMES)
def test_what_is_no_name_reaches_nothing(rule: HostRule, host: str) -> None:
    assert not rule.allows(host)


def test_names_that_are_listed_come_on_top_and_with_keys_instead() -> None:
    listed = ("voice.example", "*.eu.example")
    for local, keyed in ((True, True), (True, False), (False, True), (False, False)):
        rule = HostRule(local, keyed, listed)
        assert rule.allows("voice.example:443")
        assert rule.allows("a.eu.example")
        assert not rule.allows("eu.example")
        assert not rule.allows("evil.example")
        assert HostRule(local, keyed, ("*",)).allows("evil.example")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("desk", False)],
)
def test_where_a_server_is_bound(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        (None, "127.0.0.1:8000", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://LOCALHOST:8000", "localhost:8000", True),
        ("https://voice.example", "voice.example", True),
        ("https://voice.example:443", "voice.example", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://localhost:3000", "localhost:8000", False),
        ("http://localhost:8000", "127.0.0.1:8000", False),
        ("https://evil.example", "127.0.0.1:8000", False),
        ("https://voice.example.evil.example", "voice.example", False),
        ("null", "127.0.0.1:8000", False),
        ("", "127.0.0.1:8000", False),
        ("http://127.0.0.1:port", "127.0.0.1:8000", False),
        ("http://127.0.0.1:8000", None, False),
        ("http://evil.example[::1]:8000", "[::1]:8000", False),
        ("http://user@127.0.0.1:8000", "127.0.0.1:8000", False),
    ],
)
def test_pages_of_other_sites_are_told_from_our_own(origin: str | None, host: str | None, expected: bool) -> None:
    assert origin_allowed(origin, host, ()) is expected


def test_listed_origins_are_allowed_exactly() -> None:
    allowed = ("https://app.example", "null")
    assert origin_allowed("https://app.example", "127.0.0.1:8000", allowed)
    assert origin_allowed("null", "127.0.0.1:8000", allowed)
    assert not origin_allowed("http://app.example", "127.0.0.1:8000", allowed)
