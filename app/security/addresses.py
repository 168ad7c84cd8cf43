"""Which addresses of the internet a stranger may have this service speak to.

Everything that is this machine, its network, a cloud's metadata service or no single machine is left out, in each of
the ways in which IPv6 wraps an IPv4 address (RFC 6890 and its registries).
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

_UNICAST = IPv6Network("2000::/3")
_WRAPPING = {
    # network: how many bits an IPv4 address inside is shifted to the left
    IPv6Network("64:ff9b::/96"): 0,  # NAT64, RFC 6052
    IPv6Network("2002::/16"): 80,  # 6to4, RFC 3056
}
_ELSEWHERE_SPECIAL = [
    ip_network("168.63.129.16/32"),  # the host of an Azure machine, at an address that looks public
    ip_network("192.0.0.0/24"),  # protocols; a cloud has its metadata service in it
    ip_network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ip_network("2001::/23"),  # Teredo, ORCHID and other protocols, RFC 2928
    ip_network("3fff::/20"),  # documentation, RFC 9637
]

_NONLOCAL_BIND = Path("/proc/sys/net/ipv4/ip_nonlocal_bind")

_NETWORK_BITS = 64
"""Of an IPv6 address: a network has this many in common (RFC 4291, 2.5.4), and all its machines may be public."""


def is_public(address: str) -> bool:
    """Whether this is the address of one machine that anybody on the internet can reach. False for what is none."""
    try:
        return _is_public(ip_address(address))
    except ValueError:
        return False


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        for network, shift in _WRAPPING.items():
            if address in network:
                return _is_public(IPv4Address(int(address) >> shift & 0xFFFFFFFF))
        if address not in _UNICAST:
            return False
    special = any(address in network for network in _ELSEWHERE_SPECIAL if network.version == address.version)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


def is_nearby(address: str) -> bool:
    """Whether this is an address of this very machine or, in IPv6, of its network, however public. Sends nothing."""
    target = ip_address(address)
    if isinstance(target, IPv6Address) and target.ipv4_mapped is not None:
        target = target.ipv4_mapped
    source = _source(target)
    if isinstance(target, IPv6Address) and isinstance(source, IPv6Address):
        return int(target) >> _NETWORK_BITS == int(source) >> _NETWORK_BITS
    return target == source or (not target.is_loopback and _is_own(target))


def _is_own(target: IPv4Address | IPv6Address) -> bool:
    """Whether a socket of this machine may take this address: a second one of a card is spoken to from its first."""
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    try:
        if _NONLOCAL_BIND.read_text("ascii").strip() == "1":  # then it may take any
            return False
        with socket.socket(family, socket.SOCK_DGRAM) as taking:
            taking.bind((str(target), 0))
    except OSError:
        return False
    return True


def _source(target: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """The address of ours that a connection to this one would come from; None if no way leads there."""
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((str(target), 9))  # of UDP, which only looks the way up
            return ip_address(asking.getsockname()[0])
    except OSError:
        return None
