"""Verifying a code (design section 5): arithmetic first, then facts, then a pure decision.

A code whose token fails costs arithmetic alone: no cache, no store, no record. For all others the
scan is durable before the answer leaves, and what its record finds is what is judged.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

from tracechain.app.facts import FactSource, UnitFactSource
from tracechain.app.ports import Clock, Digester, Directory, ScanAnswer
from tracechain.app.proving import Prove, Prover
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.region import Region
from tracechain.domain.scan import Scan
from tracechain.domain.verdict import (
    Facts,
    Verdict,
    VerdictReason,
    counterfeit,
    decide,
    unproved,
    was_issued,
)

MAX_CODE = 2048
MAX_DEVICE = 128
_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_DAY = 86_400_000_000


class ScanRequest(NamedTuple):
    """One scan as it came in. Device and region may be empty; so may the request id."""

    code: str
    device_id: str = ""
    region: str = ""
    request_id: str = ""


class ScanRecorder(Protocol):
    """Keeps scans, many in one commit."""

    def record(self, scan: Scan) -> Awaitable[ScanAnswer]:
        """What the scan finds, once it is durable."""


class Scanning:
    """Verifies codes and records their scans."""

    def __init__(
        self,
        prover: Prover,
        prove: Prove,
        facts: FactSource,
        units: UnitFactSource,
        recorder: ScanRecorder,
        directory: Directory,
        digester: Digester,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._prover = prover
        self._prove = prove
        self._facts = facts
        self._units = units
        self._recorder = recorder
        self._directory = directory
        self._digester = digester
        self._clock = clock
        self._random = random_bytes
        self._today = (-1, "")

    async def verify(self, request: ScanRequest) -> Verdict:
        """The verdict on a scan, once the scan is durable.

        Raises InvalidArgument for a request that is no scan (a region that is none, a text that
        is too long), Unavailable or ResourceExhausted where it cannot be recorded now.
        """
        check(request)
        found = self._prover.remembered(request.code) or await self._prove(request.code)
        if isinstance(found, Verdict):
            return found
        proved, key = found
        code, index = proved.code, proved.index
        batch = await self._facts.batch(proved.batch_number)
        if batch is None:
            product = await self._directory.get_product(code.gtin)
            if product is None:
                return unproved(code, VerdictReason.UNKNOWN_PRODUCT)
            return counterfeit(code, VerdictReason.NOT_ISSUED)
        now = self._clock()
        device = self._digester.device_mark(request.device_id, now)
        found_at_scan = await self._recorder.record(
            Scan(
                proved.batch_number,
                index,
                now,
                self._scan_id(request.request_id),
                device,
                request.region,
            )
        )
        issuer = batch.product.issuer_gln
        if key.record.issuer_gln != issuer or not was_issued(batch, code, index):
            return counterfeit(code, VerdictReason.NOT_ISSUED, batch)
        unit = await self._units.unit((proved.batch_number, index), found_at_scan, issuer)
        return decide(
            Facts(
                code,
                index,
                key.revoked_at(now),
                batch,
                unit,
                found_at_scan.history,
                device,
                self._day(now),
            )
        )

    def _scan_id(self, request_id: str) -> bytes:
        if request_id:
            return hashlib.sha256(request_id.encode()).digest()[:8]
        return self._random(8)

    def _day(self, now: int) -> str:
        # The day in China, where the last day of use is meant.
        number = (now + 8 * 3_600_000_000) // _DAY
        if self._today[0] != number:
            moment = datetime.datetime.fromtimestamp(now / 1e6, _CHINA)
            self._today = (number, moment.date().isoformat())
        return self._today[1]


def check(request: ScanRequest) -> None:
    """Raises InvalidArgument for a request that is no scan: see Scanning.verify."""
    if len(request.code) > MAX_CODE:
        raise InvalidArgument.of(
            "code", "TEXT_TOO_LONG", f"has {len(request.code)} characters, at most {MAX_CODE}"
        )
    if len(request.device_id) > MAX_DEVICE:
        raise InvalidArgument.of(
            "context.device_id", "TEXT_TOO_LONG", f"at most {MAX_DEVICE} characters are taken"
        )
    if len(request.request_id) > 64:
        raise InvalidArgument.of("request_id", "TEXT_TOO_LONG", "at most 64 characters are taken")
    if request.region:
        check_region(request.region)


@lru_cache(maxsize=8192)
def check_region(text: str) -> None:
    """Raises InvalidArgument INVALID_REGION for what is no division."""
    Region.parse(text, "context.region")
