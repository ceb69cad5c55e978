"""How a client reaches its service: target, transport security, credential.

Promises that an API key never travels in clear text beyond this machine unless that was asked for
in so many words. What counts is the spelling of the target: a name other than `localhost` is
never taken for this machine, whatever it would resolve to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import grpc

from tracechain_client._version import __version__

Credentials = grpc.ChannelCredentials | Literal["insecure"] | None
Options = Sequence[tuple[str, Any]]

_DEFAULTS: Options = (
    ("grpc.primary_user_agent", f"tracechain-python/{__version__}"),
    # A page of large events is larger than gRPC takes unasked.
    ("grpc.max_receive_message_length", 64 << 20),
    # A channel that lost its service reconnects about as fast as calls are tried again.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A peer that vanished amid a stream is noticed. More often than every five minutes would be
    # taken for an attack by servers with default settings.
    ("grpc.keepalive_time_ms", 360_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
_API_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Connection:
    """What a channel is made from. No credentials means plain text."""

    target: str
    credentials: grpc.ChannelCredentials | None
    options: Options
    metadata: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:  # the metadata holds the API key
        return f"Connection({self.target!r})"


def connection(
    target: str,
    api_key: str | None,
    credentials: Credentials,
    options: Options,
    allow_plaintext_api_key: bool,
) -> Connection:
    """Decides how to connect; raises ValueError rather than give a key away."""
    local = is_loopback(target)
    if isinstance(credentials, str):
        if credentials != "insecure":
            raise ValueError('credentials is None, "insecure" or a grpc.ChannelCredentials')
        secured = None
    elif credentials is None:
        secured = None if local else grpc.ssl_channel_credentials()
    else:
        secured = credentials
    if api_key is not None and not _API_KEY.fullmatch(api_key):
        raise ValueError("an API key is printable ASCII without blanks")
    if api_key is not None and secured is None and not local and not allow_plaintext_api_key:
        raise ValueError(
            f"the API key would travel in clear text to {target}: leave `credentials` away for "
            "TLS, or pass allow_plaintext_api_key=True where the network is yours"
        )
    # A proxy from the environment would carry a plain text call off this machine.
    proxy: Options = (("grpc.enable_http_proxy", 0),) if local else ()
    metadata = () if api_key is None else (("authorization", f"Bearer {api_key}"),)
    return Connection(target, secured, (*_DEFAULTS, *proxy, *options), metadata)


def is_loopback(target: str) -> bool:
    """Whether a gRPC target is this machine, by its spelling alone; in doubt it is not."""
    scheme, colon, rest = target.partition(":")
    if scheme in {"unix", "unix-abstract"} and colon:
        return True
    if scheme in {"ipv4", "ipv6"} and colon:
        return all(_is_loopback_address(_host(address)) for address in rest.split(","))
    host = target
    if scheme == "dns" and rest.startswith("//"):
        server, _, host = rest[2:].partition("/")
        if server:  # a name server of somebody's choice says what localhost is
            return _is_loopback_address(_host(host))
    elif scheme == "dns" and not rest.isdigit():  # and not a host of that name
        host = rest
    return _host(host).lower() == "localhost" or _is_loopback_address(_host(host))


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _is_loopback_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
