"""Short-lived secrets for clients that must not hold a key: pages, and apps on other people's telephones."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from talkover.access.keys import Key, digest_of

PREFIX = "ek_"
"""stock browser clients refuse to show anything else"""
OPEN_MAX_SECRETS = 1000
"""valid at the same time on a server without keys"""


@dataclass(frozen=True, slots=True)
class SecretSession:
    """What the sessions of a client secret begin with."""

    settings: Any
    """as the realtime side understands them; nobody here looks inside"""
    model: str | None
    wire: Mapping[str, Any]
    """the session object as clients get to see it"""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """Opens sessions until it expires; those that are open go on."""

    owner: Key | None
    """the key that made it, whose limits count; None: a server without keys"""
    expires_at: int
    """seconds since the epoch"""
    session: SecretSession


class ClientSecrets:
    """Those that are valid, by digest: looking one up by how a presented value hashes tells nothing about others."""

    def __init__(self) -> None:
        self._secrets: dict[bytes, ClientSecret] = {}

    def __len__(self) -> int:
        return len(self._secrets)

    def issue(self, owner: Key | None, seconds: int, session: SecretSession, unix_s: float) -> tuple[str, int] | None:
        """(value, when it expires); None when `owner` has as many as allowed."""
        self._forget_expired(unix_s)
        limit = OPEN_MAX_SECRETS if owner is None else owner.max_client_secrets
        if sum(secret.owner is owner for secret in self._secrets.values()) >= limit:
            return None
        value = PREFIX + secrets.token_hex(24)
        secret = ClientSecret(owner, int(unix_s) + seconds, session)
        self._secrets[digest_of(value)] = secret
        return value, secret.expires_at

    def find(self, presented: str, unix_s: float) -> ClientSecret | None:
        """The secret that `presented` is, unless it has expired."""
        secret = self._secrets.get(digest_of(presented)) if presented.startswith(PREFIX) else None
        return secret if secret is not None and unix_s < secret.expires_at else None

    def retry_after_s(self, owner: Key | None, unix_s: float) -> float:
        """Seconds until the first secret of `owner` expires."""
        return min((s.expires_at - unix_s for s in self._secrets.values() if s.owner is owner), default=1.0)

    def _forget_expired(self, unix_s: float) -> None:
        self._secrets = {digest: secret for digest, secret in self._secrets.items() if unix_s < secret.expires_at}
