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

_DEFAULT_PORT = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{0,5}))?", re.ASCII | re.IGNORECASE)
"""`name`, `[address]`, and a port; urlsplit of Python 3.11 takes `evil.example[::1]` for ::1"""
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
    scheme, _, authority = origin.partition("://")
    page, server = _name_and_port(authority), _name_and_port(host or "")
    if page is None or server is None:
        return False
    default_port = _DEFAULT_PORT.get(scheme.lower())
    return page[0] == server[0] and (page[1] or default_port) == (server[1] or default_port)


def _hostname(host: str) -> str | None:
    """The name in a `Host` header, in lower case, without port and final dot; None when it is none."""
    found = _name_and_port(host)
    return None if found is None else found[0].removesuffix(".") or None


def _name_and_port(authority: str) -> tuple[str, int | None] | None:
    """Of `name:port`, in lower case; None when it is none."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return None
    address, name, port = found.groups()
    return (address or name).lower(), int(port) if port else None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.lower()
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))
