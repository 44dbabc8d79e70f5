"""Keys: who holds one, what it opens, and how a presented one is found.

A key is kept as its SHA-256 only, so that neither the configuration nor a dump of memory gives it away. A fast digest
is enough because keys are random (`talkover key` makes them with 256 bits): there is nothing to guess. The slow ones
that passwords need would cost every request tens of milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from talkover.config import ConfigError
from talkover.sections.operation import AccessSettings, KeyScope, KeySettings

ALL_SCOPES: frozenset[KeyScope] = frozenset(get_args(KeyScope))
MIN_KEY_CHARS = 16
"""of a key in an environment variable: shorter ones can be guessed"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key; limits that are None do not exist."""

    name: str
    """for logs and messages"""
    digest: bytes
    """SHA-256 of the key"""
    scopes: frozenset[KeyScope] = ALL_SCOPES
    max_sessions: int | None = None
    """at the same time"""
    audio_minutes_per_day: float | None = None
    """heard and spoken, by days of UTC"""
    requests_per_minute: int | None = None
    max_client_secrets: int = 1000
    """valid at the same time"""


def new_key() -> str:
    """A random key: 256 bits."""
    return f"tk_{secrets.token_urlsafe(32)}"


def digest_of(presented: str) -> bytes:
    """SHA-256 of a key as it is typed, or as a header brought it: its bytes, each one character."""
    try:
        raw = presented.encode("latin-1")  # how ASGI servers hand on headers: one character per byte
    except UnicodeEncodeError:
        raw = presented.encode("utf-8", "surrogateescape")
    return hashlib.sha256(raw).digest()


def find_key(keys: Sequence[Key], presented: str) -> Key | None:
    """The key that `presented` is. Always compares all of them, each in constant time: how long it takes tells neither
    how much of a key was right nor which one it was."""
    digest = digest_of(presented)
    found: Key | None = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found


def load_keys(api_key: str | None, access: AccessSettings, environ: Mapping[str, str]) -> tuple[Key, ...]:
    """All keys: the one that opens everything (`server.api_key_env`), then those listed. Raises ConfigError.

    A listed key whose variable is empty stops the start: left out silently, it could leave the server open to all.
    """
    keys = [Key("server.api_key_env", _digest_of_text(api_key))] if api_key else []
    problems: list[str] = []
    for index, settings in enumerate(access.keys):
        where = f"access.keys.{index}"
        digest = _configured_digest(settings, environ)
        if isinstance(digest, str):
            problems.append(f"{where}.{digest}")
            continue
        if any(key.name == settings.name for key in keys):
            problems.append(f"{where}.name: {settings.name!r} is taken")
        if any(hmac.compare_digest(key.digest, digest) for key in keys):
            problems.append(f"{where}: {settings.name!r} is the same key as another")
        keys.append(
            Key(
                settings.name,
                digest,
                frozenset(settings.scopes),
                settings.max_sessions,
                settings.audio_minutes_per_day,
                settings.requests_per_minute,
                settings.max_client_secrets,
            )
        )
    if problems:
        raise ConfigError(problems)
    return tuple(keys)


def _configured_digest(settings: KeySettings, environ: Mapping[str, str]) -> bytes | str:
    """The digest, or what is wrong with it."""
    if settings.key_sha256 is not None:
        return bytes.fromhex(settings.key_sha256)
    variable = settings.key_env or ""
    value = environ.get(variable) or ""
    if not value:
        return f"key_env: the variable {variable} must hold the key of {settings.name!r}; it is empty or not set"
    if len(value) < MIN_KEY_CHARS:
        return (
            f"key_env: {variable} must hold at least {MIN_KEY_CHARS} characters, got {len(value)}; see `talkover key`"
        )
    return _digest_of_text(value)


def _digest_of_text(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
