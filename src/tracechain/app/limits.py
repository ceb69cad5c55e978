"""How much one caller may take, so that nobody takes another's share or guesses without end.

Who says who it is pays from its party's bucket, and all others from that of their address. What
is refused costs next to nothing: it is decided in front of all work. Verification stays open where
the counts of other processes cannot be had; tries at a PIN stay shut.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from tracechain.domain.address import address_of, host_of
from tracechain.domain.errors import ResourceExhausted
from tracechain.domain.rate import Rate

# An address of IPv6 is one of 2^64 that a single line has.
_IPV6_PREFIX = 64
_CODE = 256
# A try of an address at a code that was quiet for this time, in seconds, is its first.
_FIRST = 3600


class Buckets(Protocol):
    """Token buckets of one rate, one for each name. A name is forgotten once its bucket is full.

    Who has a token left may take more than are there: the next waits for them to come.
    """

    def take(self, name: str, cost: int = 1) -> float:
        """Takes and gives 0, or takes nothing and gives the seconds to wait. Decided here and at
        once: of what other processes let through an eighth of the burst each may be missed."""

    def wait(self, name: str) -> float:
        """The seconds until `take` would take, 0 where it would now. Takes nothing; decided as
        `take` does."""

    async def take_exactly(self, name: str) -> float:
        """Takes one token, or gives the seconds to wait, by the count of all processes. Raises
        Unavailable LIMITS_UNAVAILABLE where that cannot be had."""


# Makes the buckets of a rule.
MakeBuckets = Callable[[str, Rate], Buckets]


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate of each rule; None where there is no limit.

    client: codes and other public calls of one address. looks: looks of one address at one code.
    party: calls of one party. logins: credentials of one address that were none. tries: PINs and
    reports of one address. tries_at_code: those about one code, but for the first of an address.
    """

    client: Rate | None = None
    looks: Rate | None = None
    party: Rate | None = None
    logins: Rate | None = None
    tries: Rate | None = None
    tries_at_code: Rate | None = None


class Limits:
    """The rules of a service. All that is refused raises ResourceExhausted TOO_MANY_REQUESTS with
    the time to come back, and which limit it was."""

    def __init__(self, rates: Rates, make: MakeBuckets) -> None:
        def of(rule: str, rate: Rate | None) -> Buckets | None:
            return None if rate is None else make(rule, rate)

        self._client = of("client", rates.client)
        self._looks = of("looks", rates.looks)
        self._party = of("party", rates.party)
        self._logins = of("logins", rates.logins)
        self._tries = of("tries", rates.tries)
        self._tries_at_code = of("tries_at_code", rates.tries_at_code)
        self._first = of("first", rates.tries_at_code and Rate(1 / _FIRST, 1))

    def call(self, client: str, cost: int = 1) -> None:
        """A call by anybody, that asks for so much."""
        _check("client", self._client, client, cost)

    def look(self, client: str, code: str) -> None:
        """One look at a code, besides the call. How many look at a code together is not limited:
        whoever wants to sell fakes of it would use that to keep buyers from asking."""
        _check("code", self._looks, _at(client, code))

    def party(self, gln: str) -> None:
        """A call of a party."""
        _check("party", self._party, gln)

    async def paced(self, client: str) -> None:
        """Waits until the next of a stream may be taken: a stream is read no faster."""
        while self._client is not None and (wait := self._client.take(client)):  # noqa: ASYNC110
            await asyncio.sleep(wait)

    def login(self, client: str) -> None:
        """Before it is found out who calls: who was wrong too often is not heard for a while."""
        if self._logins is not None and (wait := self._logins.wait(client)):
            _refuse("login", wait)

    def wrong_login(self, client: str) -> None:
        """What was shown was no credential; nothing is refused here."""
        if self._logins is not None:
            self._logins.take(client)

    async def pin(self, client: str, code: str) -> None:
        """A try at a PIN. Raises Unavailable LIMITS_UNAVAILABLE as well: without the counts of all
        processes nobody guesses. The first try of an address at a code is not kept from it by
        what others tried."""
        if self._tries is not None:
            _refuse("client", await self._tries.take_exactly(client))
        if self._first is None or self._tries_at_code is None:
            return
        if await self._first.take_exactly(_at(client, code)):
            _refuse("code", await self._tries_at_code.take_exactly(_at("", code)))

    def report(self, client: str, code: str) -> None:
        """A report, under the same rule; it is heard also where other processes are not."""
        _check("client", self._tries, client)
        if self._first is not None and self._first.take(_at(f"report {client}", code)):
            _check("code", self._tries_at_code, _at("report", code))


def _at(who: str, code: str) -> str:
    # What is longer than any code of ours may be as long as a message.
    said = code if len(code) <= _CODE else hashlib.sha256(code.encode()).hexdigest()
    return f"{who} {said}"


def _check(limit: str, buckets: Buckets | None, name: str, cost: int = 1) -> None:
    if buckets is not None and (wait := buckets.take(name, cost)):
        _refuse(limit, wait)


def _refuse(limit: str, wait: float) -> None:
    if wait:
        raise ResourceExhausted(
            "TOO_MANY_REQUESTS",
            f"more than the limit of this {limit} allows; try again later",
            retry_after=wait,
            metadata={"limit": limit},
        )


@lru_cache(maxsize=8192)
def client_of(peer: str) -> str:
    """The client that an address stands for: itself, of IPv6 its /64. Kept in memory alone.

    `peer` is as in `host_of`. What is no address is a client of its own.
    """
    host = host_of(peer)
    address = address_of(host)
    if address is None:
        return host[:64]
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
