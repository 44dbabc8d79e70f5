"""Which network addresses a page from the web may be fetched from: public ones only (no SSRF).

A name is resolved once, all its addresses are judged, and the connection goes to one that was judged: a name server
that answers differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

PORTS = frozenset((80, 443))
"""where public web pages are"""
_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_OF_A_SITE = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: where in it the IPv4 address stands is known to the site only"""

Address = tuple[str, int]
Resolve = Callable[[str, int], Sequence[Address]]
"""(host, port) -> where to connect; raises AddressRefused or OSError"""


class AddressRefused(Exception):
    """Nothing may be fetched from there."""


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet, whatever form it is wrapped in."""
    address = ip_address(text.split("%", maxsplit=1)[0])
    if isinstance(address, IPv6Address):
        if address.is_site_local or address in _NAT64_OF_A_SITE:
            return False
        inner = _inside(address)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def any_address(host: str, port: int) -> list[Address]:
    """For services that the configuration names: they may well be in the own network."""
    return [_address(found[4]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def public_addresses(host: str, port: int) -> list[Address]:
    """For addresses from the web. Raises AddressRefused, OSError when the name is not known."""
    if port not in PORTS:
        raise AddressRefused(f"port {port} is not one of a public web page")
    found = any_address(host, port)
    if not found or not all(is_public(address) for address, _ in found):
        raise AddressRefused("the address is not one of the public internet")
    return found


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for (RFC 4291, 3056, 6052)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _address(found: tuple[object, ...]) -> Address:
    return str(found[0]), int(str(found[1]))
