"""The one-time token that a client comes back with. Pure but for the randomness."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

PROTOCOL = "s2s-resume."
"""A subprotocol, since addresses end up in logs and histories."""
TOKEN_BYTES = 32


def new_token() -> str:
    """256 bits, in letters that a subprotocol may have."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> str:
    """All that is kept of a token. A plain hash will do: nobody can guess 256 random bits from it."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_same(one: str, other: str) -> bool:
    """In a time that tells nothing about where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def presented(offered: Sequence[str]) -> str | None:
    """The token among a handshake's subprotocols; None when there is none."""
    return next((name.removeprefix(PROTOCOL) for name in offered if name.startswith(PROTOCOL)), None)
