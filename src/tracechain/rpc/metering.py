"""What a call costs its caller: the limits as methods have them, for every transport.

A public method is paid for by the client's address: by what its request asks for, so that a batch
is no cheaper than its codes. A private one is paid for by the caller's party.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from google.protobuf.descriptor import MethodDescriptor

from tracechain.app.limits import Limits, client_of
from tracechain.domain.address import behind_proxies


class Meter:
    """The limits in front of one method. `proxies` of ours stand before the port of gRPC."""

    def __init__(self, limits: Limits, method: MethodDescriptor, proxies: int) -> None:
        self._limits = limits
        self.proxies = proxies
        fields = method.input_type.fields_by_name
        # AIP-231: what a batch asks for stands in `requests`.
        self._is_batch = "requests" in fields and not method.client_streaming
        self._is_pin = "code" in fields and "pin" in fields
        self._is_look = "code" in fields and not self._is_pin

    def client(self, peer: str, forwarded: str = "", proxies: int | None = None) -> str:
        """The client at an address, or at that which so many proxies tell of."""
        count = self.proxies if proxies is None else proxies
        return client_of(behind_proxies(forwarded, peer, count) if count else peer)

    def open(self, client: str) -> None:
        """Charges a call of a public method, before its request is looked at. Raises
        ResourceExhausted TOO_MANY_REQUESTS."""
        self._limits.call(client)

    def charge(self, client: str, request: Any) -> Awaitable[None] | None:
        """Charges what the request asks for besides; what it gives, if anything, is to be awaited.
        Raises ResourceExhausted, awaited Unavailable LIMITS_UNAVAILABLE as well."""
        if self._is_look:
            self._limits.look(client, request.code)
        elif self._is_batch:
            self._limits.call(client, max(0, len(request.requests) - 1))
        elif self._is_pin:
            return self._limits.pin(client, request.code)
        return None

    def paced(self, client: str) -> Awaitable[None]:
        """Waits until the next request of a public stream may be read."""
        return self._limits.paced(client)

    def login(self, client: str) -> None:
        """Before it is found out who calls. Raises ResourceExhausted."""
        self._limits.login(client)

    def wrong_login(self, client: str) -> None:
        """Charges a client for what was no credential."""
        self._limits.wrong_login(client)

    def party(self, gln: str) -> None:
        """Charges a call of a party. Raises ResourceExhausted."""
        self._limits.party(gln)
