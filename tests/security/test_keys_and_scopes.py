"""Keys: what each opens, that none opens more, and that nobody gets in without."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from attacker import ask, knock
from fakes import fake_engines
from live import InProcessServer
from talkover.access import keys
from talkover.access.keys import Key, digest_of, find_key, load_keys, new_key
from talkover.access.scopes import needed_scope
from talkover.config import ConfigError, load_settings
from talkover.sections.operation import AccessSettings, KeyScope, KeySettings

MASTER, DESK, READER = "sesame", "the-key-of-the-desk", "the-key-of-prometheus"
ENDPOINTS: tuple[tuple[str, str, KeyScope], ...] = (
    ("POST", "/v1/realtime/client_secrets", "realtime"),
    ("POST", "/v1/audio/speech", "audio"),
    ("POST", "/v1/audio/transcriptions", "audio"),
    ("GET", "/v1/documents", "documents"),
    ("POST", "/v1/documents", "documents"),
    ("DELETE", "/v1/documents/x.md", "documents"),
    ("POST", "/v1/voices", "voices"),
    ("DELETE", "/v1/voices/x", "voices"),
    ("GET", "/metrics", "metrics"),
    ("GET", "/v1/sessions", "admin"),
    ("GET", "/v1/what-comes-one-day", "admin"),
)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def listed(**by_name: Any) -> str:
    """An override with one key for each name: its fields in TOML."""
    entries = (", ".join(f"{field} = {json.dumps(value)}" for field, value in key.items()) for key in by_name.values())
    inline = (f'{{name = "{name}", {fields}}}' for name, fields in zip(by_name, entries, strict=True))
    return f"access.keys=[{', '.join(inline)}]"


@pytest.fixture
def guarded(serve) -> InProcessServer:
    """With a master key, one for conversations (by digest) and one for metrics (by variable)."""
    override = listed(
        desk={"key_sha256": digest_of(DESK).hex()}, reader={"key_env": "READER_KEY", "scopes": ["metrics"]}
    )
    return serve(fake_engines(), override, environ={"TALKOVER_API_KEY": MASTER, "READER_KEY": READER})


def test_each_key_opens_its_scopes_and_nothing_else(guarded: InProcessServer):
    for method, path, scope in ENDPOINTS:
        for key, scopes in ((MASTER, {scope}), (DESK, {"realtime"}), (READER, {"metrics"})):
            answer = ask(guarded, path, bearer(key), method=method)
            if scope in scopes:
                assert answer.code not in ("invalid_api_key", "insufficient_scope"), (method, path, key)
            else:
                assert (answer.status, answer.code) == (403, "insufficient_scope"), (method, path, key)
                assert scope.encode() in answer.body
                assert key.encode() not in answer.body


def test_a_key_without_the_scope_opens_no_conversation(guarded: InProcessServer):
    assert knock(guarded, bearer(DESK)).status == 101
    assert knock(guarded, bearer(MASTER)).status == 101
    for headers in (bearer(READER), {"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{READER}"}):
        answer = knock(guarded, headers)
        assert (answer.status, answer.code) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    "presented",
    ["", DESK[:-1], f"{DESK}x", DESK.upper(), digest_of(DESK).hex(), "ek_" + "0" * 48, "séšame"],
    ids=["none", "cut", "longer", "upper case", "its digest", "made up secret", "not ascii"],
)
def test_nothing_that_is_no_key_opens_anything(guarded: InProcessServer, presented: str):
    assert knock(guarded, bearer(presented)).status == 401
    for method, path, _ in ENDPOINTS[-3:]:
        answer = ask(guarded, path, bearer(presented), method=method)
        assert (answer.status, answer.code) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_other_ways_to_write_an_address_are_no_way_around(guarded: InProcessServer):
    for path in (
        "/v1/documents/",
        "/v1//documents",
        "//v1/documents",
        "/v1/%64ocuments",
        "/v1/docs/../documents",
        "/V1/documents",
    ):
        assert ask(guarded, path).status in (401, 404), path
        assert b"data" not in ask(guarded, path).body


def test_every_key_is_compared_and_each_in_constant_time(monkeypatch: pytest.MonkeyPatch):
    """A search that ended at the first hit, or compared as strings do, would tell how near a guess came."""
    compared: list[bytes] = []

    def compare(known: bytes, presented: bytes) -> bool:
        compared.append(known)
        return hmac.compare_digest(known, presented)

    monkeypatch.setattr(keys, "hmac", type("Counted", (), {"compare_digest": staticmethod(compare)}))
    ring = [Key(f"key {index}", digest_of(f"secret {index}")) for index in range(5)]
    for presented in ("secret 0", "secret 4", "none of them", ""):
        compared.clear()
        find_key(ring, presented)
        assert compared == [key.digest for key in ring], presented


def test_a_key_is_found_by_its_bytes_however_it_arrived():
    ring = [Key("umlaut", hashlib.sha256("schlüssel".encode()).digest())]
    wire = "schlüssel".encode()
    assert find_key(ring, wire.decode("latin-1")) is ring[0]
    assert find_key(ring, wire.decode("ascii", "surrogateescape")) is ring[0]


def test_new_keys_cannot_be_guessed():
    made = {new_key() for _ in range(50)}
    assert len(made) == 50
    assert all(len(key) >= 43 for key in made)


@pytest.mark.parametrize(
    ("key", "environ", "problem"),
    [
        ({"key_env": "DESK_KEY"}, {}, "DESK_KEY must hold the key of 'desk'"),
        ({"key_env": "DESK_KEY"}, {"DESK_KEY": ""}, "empty or not set"),
        ({"key_env": "DESK_KEY"}, {"DESK_KEY": "short"}, "at least 16 characters, got 5"),
        ({"key_sha256": digest_of(MASTER).hex()}, {}, "is the same key as another"),
    ],
    ids=["unset", "empty", "short", "twice"],
)
def test_a_key_that_is_not_there_stops_the_start(key: dict[str, Any], environ: dict[str, str], problem: str):
    """Left out, it would lock its user out; were it the only one, it would leave the server open."""
    settings = AccessSettings(keys=(KeySettings(name="desk", **key),))
    with pytest.raises(ConfigError, match=problem):
        load_keys(MASTER, settings, environ)


def test_a_key_has_one_source_and_is_never_written_down(tmp_path: Path):
    for fields in ('key_env = "A"\nkey_sha256 = "' + "0" * 64 + '"', "", 'key = "in the clear"'):
        path = tmp_path / "talkover.toml"
        path.write_text(f'[[access.keys]]\nname = "desk"\n{fields}\n')
        with pytest.raises(ConfigError, match=r"exactly one of|not a known key"):
            load_settings(path, environ={})


def test_what_nobody_thought_of_needs_admin():
    assert needed_scope("GET", "/v1/recordings") == "admin"
    assert needed_scope("DELETE", "/v1/models/x") == "admin"
    assert needed_scope("GET", "/v1/realtimes") == "admin"
