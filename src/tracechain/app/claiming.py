"""Claiming a unit by its PIN."""

from __future__ import annotations

from tracechain.app.facts import FactSource, IssueTimes
from tracechain.app.ports import Clock, Digester, ScanStore
from tracechain.app.proving import Prove
from tracechain.app.scanning import MAX_CODE, MAX_DEVICE, check_region
from tracechain.domain.claim import Claim, ClaimAttempt, ClaimStatus
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.keys import KeyStanding
from tracechain.domain.verdict import Verdict, was_issued


class Claiming:
    """The first correct PIN claims the unit; tries are limited per code and device."""

    def __init__(
        self,
        prove: Prove,
        facts: FactSource,
        issue_times: IssueTimes,
        scans: ScanStore,
        digester: Digester,
        clock: Clock,
    ) -> None:
        self._prove = prove
        self._facts = facts
        self._issue_times = issue_times
        self._scans = scans
        self._digester = digester
        self._clock = clock

    async def claim(self, code: str, pin: str, device_id: str, region: str = "") -> Claim:
        """What a claim comes to. The region is checked and not kept. Raises InvalidArgument for a
        request without a device or with a region that is none."""
        if not 0 < len(device_id) <= MAX_DEVICE:
            raise InvalidArgument.of(
                "context.device_id", "MISSING_FIELD", f"1 to {MAX_DEVICE} characters are needed"
            )
        if len(code) > MAX_CODE:
            raise InvalidArgument.of("code", "TEXT_TOO_LONG", f"at most {MAX_CODE} characters")
        if region:
            check_region(region)
        (found,) = await self._prove((code,))
        if isinstance(found, Verdict):
            return Claim(ClaimStatus.NOT_ISSUED, None, 0)
        proved, key = found
        batch = await self._facts.batch(proved.batch_number)
        if (
            batch is None
            or key.record.issuer_gln != batch.product.issuer_gln
            or not was_issued(batch, proved.code, proved.index)
        ):
            return Claim(ClaimStatus.NOT_ISSUED, None, 0)
        if key.record.revoke_time is not None:
            # Who has the key has its PINs: where its codes are refused, so are their claims.
            standing = await self._issue_times.standing(
                key.record, proved.batch_number, proved.index
            )
            if standing in (KeyStanding.LATE, KeyStanding.REFUSED):
                return Claim(ClaimStatus.NOT_ISSUED, None, 0)
        gtin, serial = proved.code.gtin, proved.code.serial
        return await self._scans.claim(
            ClaimAttempt(
                proved.batch_number,
                proved.index,
                self._digester.claim_mark(device_id, gtin, serial),
                self._clock(),
                key.secret.check_pin(gtin, serial, pin),
            )
        )
