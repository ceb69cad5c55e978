"""Verifying a code (design section 5): arithmetic first, then facts, then a pure decision.

A code whose token fails costs arithmetic alone: no cache, no store, no record. For all others the
scan is durable before the answer leaves, and what its record finds is what is judged.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from tracechain.app.facts import FactSource, IssueTimes, UnitFactSource
from tracechain.app.ports import Clock, Digester, Directory, ScanAnswer
from tracechain.app.proving import Prove, Proved, Prover
from tracechain.app.working_key import WorkingKey
from tracechain.domain.code import ScannedCode
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.keys import KeyStanding
from tracechain.domain.region import Region
from tracechain.domain.scan import Scan
from tracechain.domain.verdict import (
    BatchFacts,
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
    """Keeps scans, those of many callers in one commit."""

    def record(self, scans: Sequence[Scan]) -> Awaitable[Sequence[ScanAnswer]]:
        """What each scan finds, once all are durable. Raises ResourceExhausted, before anything
        is kept, and Unavailable."""


class Scanning:
    """Verifies codes and records their scans. `facts` may be remembered, `truth` is the store's."""

    def __init__(
        self,
        prover: Prover,
        prove: Prove,
        facts: FactSource,
        truth: FactSource,
        units: UnitFactSource,
        issue_times: IssueTimes,
        recorder: ScanRecorder,
        directory: Directory,
        digester: Digester,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._prover = prover
        self._prove = prove
        self._facts = facts
        self._truth = truth
        self._units = units
        self._issue_times = issue_times
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
        found = self._prover.remembered(request.code)
        if found is None:
            (found,) = await self._prove((request.code,))
        if isinstance(found, Verdict):
            return found
        batch = await self._facts.batch(found[0].batch_number)
        if batch is None:
            return await self._of_no_batch(found[0].code)
        scan = self._scan(request, found[0])
        (answer,) = await self._recorder.record((scan,))
        return await self._judged(found, batch, scan, answer)

    async def verify_all(self, requests: Sequence[ScanRequest]) -> list[Verdict]:
        """The verdicts on scans that came together, in their order, once all are durable.

        All are checked before the first is recorded. Raises what `verify` raises; fields lie
        below `requests[i]`.
        """
        for place, request in enumerate(requests):
            try:
                check(request)
            except InvalidArgument as error:
                raise error.under(f"requests[{place}]") from None
        # Step by step for all: futures and tasks for each would cost more than the work.
        found = [self._prover.remembered(request.code) for request in requests]
        new = [r.code for r, one in zip(requests, found, strict=True) if one is None]
        proved = iter(await self._prove(new) if new else ())
        proofs = [next(proved) if one is None else one for one in found]
        numbers = {one[0].batch_number for one in proofs if not isinstance(one, Verdict)}
        batches = {number: await self._facts.batch(number) for number in numbers}
        scans = [
            self._scan(request, one[0])
            for request, one in zip(requests, proofs, strict=True)
            if not isinstance(one, Verdict) and batches[one[0].batch_number] is not None
        ]
        answers = iter(await self._recorder.record(scans) if scans else ())
        begun = iter(scans)
        verdicts: list[Verdict] = []
        for one in proofs:
            if isinstance(one, Verdict):
                verdicts.append(one)
            elif (batch := batches[one[0].batch_number]) is None:
                verdicts.append(await self._of_no_batch(one[0].code))
            else:
                verdicts.append(await self._judged(one, batch, next(begun), next(answers)))
        return verdicts

    async def _of_no_batch(self, code: ScannedCode) -> Verdict:
        if await self._directory.get_product(code.gtin) is None:
            return unproved(code, VerdictReason.UNKNOWN_PRODUCT)
        return counterfeit(code, VerdictReason.NOT_ISSUED)

    def _scan(self, request: ScanRequest, proved: Proved) -> Scan:
        now = self._clock()
        return Scan(
            proved.batch_number,
            proved.index,
            now,
            self._scan_id(request.request_id),
            self._digester.device_mark(request.device_id, now),
            request.region,
        )

    async def _judged(
        self, proof: tuple[Proved, WorkingKey], batch: BatchFacts, scan: Scan, found: ScanAnswer
    ) -> Verdict:
        (code, number, index), key = proof
        issuer = batch.product.issuer_gln
        issued = was_issued(batch, code, index)
        if not issued:
            # What another node issued a moment ago may not be remembered here yet; and what is
            # called counterfeit is proved to be.
            batch = await self._truth.batch(number) or batch
            issued = was_issued(batch, code, index)
        if key.record.issuer_gln != issuer or not issued:
            return counterfeit(code, VerdictReason.NOT_ISSUED, batch)
        standing = KeyStanding.GOOD
        if key.record.revoke_time is not None:
            standing = await self._issue_times.standing(key.record, number, index)
        unit = await self._units.unit((number, index), found, issuer)
        return decide(
            Facts(
                code,
                index,
                standing,
                batch,
                unit,
                found.history,
                scan.device,
                self._day(scan.time),
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
