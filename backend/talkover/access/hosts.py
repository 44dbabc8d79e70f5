"""Names a server may be reached by, and pages that may talk to it: what keeps foreign web pages out.

A browser lets any page send requests to any address. It names the page in `Origin`, and the name that was typed in
`Host`. `Origin` alone does not do: a page of evil.example whose name is made to point here (DNS rebinding) is of the
same origin as this server, in the eyes of the browser. `Host` then still says evil.example.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORT = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NAME = re.compile(r"[a-z0-9._:-]+")
_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa")
"""RFC 6761, 6762, 8375, and ICANN for `internal`: names that the public DNS gives to nobody"""


@dataclass(frozen=True, slots=True)
class HostRule:
    """Which `Host` headers are answered."""

    bound_to_loopback: bool
    has_keys: bool
    listed: tuple[str, ...] = ()
    """further names; `*.example.com` stands for all below it, `*` for every name"""

    def allows(self, host: str | None) -> bool:
        """Whether a request for `host` (`name` or `name:port`; None: no such header) is answered.

        Reached through loopback alone, a server answers to the names of loopback. Where others reach it, to addresses
        and to names that no attacker can get from the public DNS; with keys to every name, as a page that was let in
        by rebinding has none to show. Names that are listed come on top, and with keys take the place of every name.
        """
        if host is None:  # HTTP/1.0, which no browser speaks
            return True
        name = _hostname(host)
        if name is None:
            return False
        address = _address(name)
        if (address is not None and address.is_loopback) or name == "localhost" or name.endswith(".localhost"):
            return True
        if any(_matches(name, pattern) for pattern in self.listed):
            return True
        if self.bound_to_loopback:
            return False
        if self.has_keys and not self.listed:
            return True
        if address is not None:
            return not address.is_unspecified  # 0.0.0.0 reaches this machine from pages of the public web
        return "." not in name or name.endswith(_PRIVATE_SUFFIXES)


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` is reached from this machine alone."""
    address = _address(host.strip("[]"))
    return host == "localhost" if address is None else address.is_loopback


def origin_allowed(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """Whether a browser page of `origin` may talk to a server reached as `host` (the two request headers).

    Programs send no origin and pass. A page passes when it came from this server or its origin is in `allowed`; an
    opaque origin ("null": sandboxed frames, local files) only when listed.
    """
    if origin is None or origin in allowed:
        return True
    try:
        page = urlsplit(origin)
        server = urlsplit(f"//{host}")
        default_port = _DEFAULT_PORT.get(page.scheme)
        same_port = (page.port or default_port) == (server.port or default_port)
    except ValueError:
        return False
    return page.hostname is not None and page.hostname == server.hostname and same_port


def _hostname(host: str) -> str | None:
    """The name in a `Host` header, in lower case, without port and final dot; None when it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    name = (parts.hostname or "").removesuffix(".")
    return name if parts.netloc == host and "@" not in host and _NAME.fullmatch(name) else None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.lower()
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))
