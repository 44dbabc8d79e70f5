"""What a request needs: which scope opens which address. What nobody has thought of needs `admin`."""

from __future__ import annotations

from typing import Literal

from talkover.sections.operation import KeyScope

Need = KeyScope | Literal["nothing", "any"]
"""`nothing`: open to all; `any`: whoever is let in at all"""

SOCKET_PATHS = frozenset(("/v1/realtime", "/realtime"))
PROBES = frozenset(("/healthz", "/readyz"))
CLIENT_SECRETS_PATH = "/v1/realtime/client_secrets"

_BY_PREFIX: tuple[tuple[str, KeyScope], ...] = (
    ("/v1/realtime", "realtime"),
    ("/v1/audio", "audio"),
    ("/v1/documents", "documents"),
    ("/v1/voices", "voices"),
)


def needed_scope(method: str, path: str) -> Need:
    """For an HTTP request. What can be listed to choose from (models, voices) is open to every key."""
    if path == "/metrics":
        return "metrics"
    if not path.startswith("/v1/"):
        return "nothing"  # the page, its documentation, health
    if method in ("GET", "HEAD") and (path in ("/v1/voices", "/v1/models") or path.startswith("/v1/models/")):
        return "any"
    for prefix, scope in _BY_PREFIX:
        if path == prefix or path.startswith(f"{prefix}/"):
            return scope
    return "admin"
