"""Keys and origins as pure decisions, and the middleware that applies them to REST."""

import pytest

from talkover.rest.auth import authorized, origin_allowed


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer s3cret", True),
        ("bearer s3cret", True),
        ("Bearer  s3cret ", True),
        ("Bearer s3cre", False),
        ("Bearer s3crets", False),
        ("Basic s3cret", False),
        ("s3cret", False),
        ("Bearer ", False),
        ("Bearer schlüssel", False),
        ("", False),
        (None, False),
    ],
)
def test_bearer_key_must_match(header: str | None, expected: bool) -> None:
    assert authorized(header, "s3cret") is expected


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_everyone_is_authorized(key: str | None) -> None:
    assert authorized(None, key)
    assert authorized("Bearer anything", key)


def test_key_may_hold_any_character() -> None:
    assert authorized("Bearer schlüssel", "schlüssel")


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
    ],
)
def test_pages_of_other_sites_are_told_from_our_own(origin: str | None, host: str | None, expected: bool) -> None:
    assert origin_allowed(origin, host, ()) is expected


def test_listed_origins_are_allowed_exactly() -> None:
    allowed = ("https://app.example", "null")
    assert origin_allowed("https://app.example", "127.0.0.1:8000", allowed)
    assert origin_allowed("null", "127.0.0.1:8000", allowed)
    assert not origin_allowed("http://app.example", "127.0.0.1:8000", allowed)
