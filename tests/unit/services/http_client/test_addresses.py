"""Which addresses are public, and how a host's name is resolved."""

from __future__ import annotations

import asyncio

import pytest

from wrapper.services.http_client.addresses import UnusableAddress, is_public, resolve

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::200e")
NOT_PUBLIC = {
    "loopback": ("127.0.0.1", "127.255.255.254", "::1"),
    "unspecified": ("0.0.0.0", "0.1.2.3", "::"),
    "private": ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1"),
    "link-local": ("169.254.169.254", "fe80::1", "fe80::1%eth0", "fec0::1"),
    "Azure's host": ("168.63.129.16",),
    "carrier-grade NAT": ("100.64.0.1", "100.127.255.255"),
    "multicast": ("224.0.0.1", "239.1.1.1", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "255.255.255.255", "192.0.0.8", "198.18.0.1", "100::1", "4000::1"),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
    "IPv4-mapped": ("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1"),
    "IPv4-compatible": ("::127.0.0.1", "::8.8.8.8"),
    "NAT64": ("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1"),
    "6to4": ("2002:7f00:1::", "2002:808:808::1", "192.88.99.1"),
    "Teredo": ("2001:0:7f00:1::", "2001::1"),
    "no address": ("", "localhost", "1.2.3"),
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    """An address of the internet is public."""
    assert is_public(address)


@pytest.mark.parametrize("kind", NOT_PUBLIC)
def test_not_public(kind):
    """An address of another kind is not, nor one that embeds an IPv4 address."""
    assert not [address for address in NOT_PUBLIC[kind] if is_public(address)]


def resolved(host, monkeypatch, *addresses, **options):
    """Return what *host* resolves to, where the resolver knows these *addresses*."""

    async def getaddrinfo(*_, **__):
        if not addresses:
            raise OSError("no address")
        return [(0, 0, 0, "", (address, 443)) for address in addresses]

    async def run():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return await resolve(host, 443, **options)

    return asyncio.run(run())


def test_resolve(monkeypatch):
    """All addresses of a host are returned, each once."""
    assert resolved("a.example", monkeypatch, "8.8.8.8", "8.8.8.8", "1.1.1.1") == [
        "8.8.8.8",
        "1.1.1.1",
    ]


def test_one_private_address(monkeypatch):
    """A host is refused if only one of its addresses is not public, unless that is allowed."""
    with pytest.raises(UnusableAddress, match="not public"):
        resolved("a.example", monkeypatch, "8.8.8.8", "10.0.0.1")
    assert resolved("a.example", monkeypatch, "10.0.0.1", private=True) == ["10.0.0.1"]


def test_no_address(monkeypatch):
    """A host without an address is refused."""
    with pytest.raises(UnusableAddress, match="no address"):
        resolved("a.example", monkeypatch)
