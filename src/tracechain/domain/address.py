"""Addresses: which stay on this machine, and what of one may be remembered.

Plain text is served and API keys are sent to no others than loopback. An address of a caller is
never kept; a mark of its network may be.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

# A network that many share: about a street, never a person.
_IPV4_PREFIX = 24
_IPV6_PREFIX = 48


def is_loopback(listen: str) -> bool:
    """True where `host:port` cannot be reached from another machine."""
    host = listen.rpartition(":")[0].strip("[]")
    if host in ("localhost", "unix"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return listen.startswith("unix:")


def behind_proxies(forwarded: str, direct: str, proxies: int) -> str:
    """The address of a client behind so many proxies of ours: what the outermost of them wrote
    into X-Forwarded-For, and `direct` where there is none."""
    if proxies:
        heard = forwarded.split(",")
        if len(heard) >= proxies and (address := heard[-proxies].strip()):
            return address[:64]
    return direct


def network_of(peer: str) -> str:
    """The network of an address (/24 of IPv4, /48 of IPv6) as text; empty where it is none.

    `peer` is an address or a smaller network, with or without a port, or gRPC's `ipv4:…` and
    `ipv6:[…]:…`.
    """
    text = unquote(peer.removeprefix("ipv4:").removeprefix("ipv6:"))
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("/")[0].partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = _IPV4_PREFIX if address.version == 4 else _IPV6_PREFIX
    return str(ipaddress.ip_network((address, prefix), strict=False))
