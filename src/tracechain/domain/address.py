"""Addresses: which stay on this machine, and what of one may be remembered.

Plain text is served and API keys are sent to no others than loopback. An address of a caller is
never kept; a mark of its network may be.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import unquote

from tracechain.domain.errors import Unavailable

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


def refuse_plaintext(listen: str) -> None:
    """Raises Unavailable PLAINTEXT_REFUSED where `host:port` can be reached from another machine:
    called where there is no TLS and nobody said that plain text is meant."""
    if not is_loopback(listen):
        raise Unavailable(
            "PLAINTEXT_REFUSED",
            f"{listen} is reachable from outside and there is no TLS; set TRACECHAIN_TLS_CERT "
            "and TRACECHAIN_TLS_KEY, or put a proxy that does TLS in front and set "
            "TRACECHAIN_ALLOW_PLAINTEXT=true, or listen on 127.0.0.1",
        )


def behind_proxies(forwarded: str, direct: str, proxies: int) -> str:
    """The address of a client behind so many proxies of ours: what the outermost of them wrote
    into X-Forwarded-For, and `direct` where there is none."""
    if proxies:
        heard = forwarded.split(",")
        if len(heard) >= proxies and (address := heard[-proxies].strip()):
            return address[:64]
    return direct


def host_of(peer: str) -> str:
    """The host of a peer's name: an address, with or without a port, or gRPC's `ipv4:…` and
    `ipv6:[…]:…`. What is no address is left as it is, without what follows a colon."""
    text = unquote(peer.removeprefix("ipv4:").removeprefix("ipv6:"))
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, without its zone; of IPv4 in IPv6 the inner one. None for what
    is no address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=8192)
def network_of(peer: str) -> str:
    """The network of an address (/24 of IPv4, /48 of IPv6) as text; empty where it is none. Kept in
    memory alone: each call of a client asks.

    `peer` is as in `host_of`, or a smaller network.
    """
    address = address_of(host_of(peer).partition("/")[0])
    if address is None:
        return ""
    prefix = _IPV4_PREFIX if address.version == 4 else _IPV6_PREFIX
    return str(ipaddress.ip_network((address, prefix), strict=False))
