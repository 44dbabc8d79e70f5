"""Whether a configuration leaves the server open to people it was not meant for."""

from __future__ import annotations

from talkover.access.hosts import is_loopback
from talkover.config import Settings


def exposure(settings: Settings, has_keys: bool) -> str | None:
    """What whoever starts the server should know; None when there is nothing."""
    server = settings.server
    if is_loopback(server.host):
        return None
    if not has_keys:
        return (
            f"{server.host} is reached by other machines and no key is configured: anyone there may talk and add "
            f"documents. Set {server.api_key_env}, or [[access.keys]]."
        )
    if server.tls_certificate is None:
        return (
            f"{server.host} is reached by other machines without TLS: keys and voices can be read on their way. "
            "Set server.tls_certificate, unless a proxy in front of it speaks TLS."
        )
    return None
