"""Resolve a host's name, and say which addresses are public."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

# Python counts these as global, some of them only in some versions.
_NOT_GLOBAL_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # relays to 6to4
    IPv4Network("168.63.129.16/32"),  # in Azure the host, which knows the machine's secrets
)
# All global IPv6 addresses are of this network. What embeds an IPv4 address is outside of it
# (IPv4-mapped, NAT64), save for what follows.
_GLOBAL = IPv6Network("2000::/3")
_NOT_GLOBAL = (
    IPv6Network("2001::/23"),  # Teredo among them, which embeds IPv4 addresses
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4, likewise
    IPv6Network("3fff::/20"),
)


class UnusableAddress(Exception):
    """Raised for a host that has no address, or one that must not be connected to."""


def is_public(address: str) -> bool:
    """Say whether *address* is a public one, which embeds no other."""
    try:
        ip = ip_address(address)
    except ValueError:  # such as fe80::1%eth0, which is in the local network
        return False
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _NOT_GLOBAL_V4)
    return ip in _GLOBAL and not any(ip in network for network in _NOT_GLOBAL)


async def resolve(host: str, port: int, *, private: bool = False) -> list[str]:
    """Return the addresses of *host*. Raises UnusableAddress if one is not public.

    *private* allows other addresses, too.
    """
    loop = asyncio.get_running_loop()
    try:
        rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnusableAddress("its host name has no address") from None
    addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))
    if not private and not all(map(is_public, addresses)):
        raise UnusableAddress("its host has an address that is not public")
    return addresses
