"""Whose request it is: the address of a client, also behind proxies, and the network it counts as."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_PREFIX_BITS = 64
"""what a subscriber is given at least, to take addresses from at will (RFC 6177)"""


def networks(names: Sequence[str]) -> tuple[Network, ...]:
    """`10.0.0.0/8`, `::1` and the like. Raises ValueError."""
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)


def within(address: str, listed: Sequence[Network]) -> bool:
    """Whether `address` lies in one of the networks; what is no address lies in none."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in listed)


def client_address(peer: str, forwarded_for: str | None, proxies: Sequence[Network]) -> str:
    """Who sent a request that came from `peer` with this `X-Forwarded-For`.

    Read from its end, as only what our own proxies have written is true: the first address that is not one of them.
    What stands before it may have been made up by the client.
    """
    if forwarded_for is None or not within(peer, proxies):
        return peer
    address = peer
    for hop in reversed(forwarded_for.split(",")):
        if _parsed(hop.strip()) is None:
            break
        address = hop.strip()
        if not within(address, proxies):
            break
    return address


@lru_cache(maxsize=4096)
def counted_as(address: str) -> str:
    """What limits count by: an IPv4 address, or the /64 of an IPv6 one."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX_BITS), strict=False))
    return address if parsed is None else str(parsed)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
