"""Reports by consumers: kept for the inspectors of the division, and read by them alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tracechain.app.ports import Clock, Store
from tracechain.app.resolving import Resolver
from tracechain.domain.batch_key import derived
from tracechain.domain.errors import NotFound
from tracechain.domain.party import Principal
from tracechain.domain.region import Region
from tracechain.domain.report import Report, ReportKind, province_place

_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class NewReport:
    """What came in. `once` names the form: the same again is the same report."""

    region: str
    kind: ReportKind
    text: str
    code: str
    gtin: str
    photo: bytes
    once: str
    sent_time: int


class PhotoCleaner(Protocol):
    """Makes a picture anew from its pixels."""

    async def clean(self, data: bytes) -> bytes:
        """A JPEG that holds nothing but the picture. Raises InvalidArgument INVALID_PHOTO,
        PHOTO_TOO_LARGE."""


class Reporting:
    """Use cases on reports."""

    def __init__(
        self, store: Store, resolver: Resolver, photos: PhotoCleaner, clock: Clock
    ) -> None:
        self._store = store
        self._resolver = resolver
        self._photos = photos
        self._clock = clock

    async def report(self, given: NewReport) -> Report:
        """Keeps a report. Raises InvalidArgument, naming the field."""
        wanted = Report(
            _report_id(given.sent_time, given.once),
            given.region,
            given.kind,
            given.text,
            given.code,
            given.gtin,
            await self._resolver.issuer_of(given.gtin) if given.gtin else "",
            self._clock(),
        ).checked()
        photo = await self._photos.clean(given.photo) if given.photo else None
        return await self._store.put_report(_key(given.region), wanted, photo)

    async def list(
        self, principal: Principal, region: str, before: str, limit: int
    ) -> Sequence[Report]:
        """Reports from a division within the inspector's (empty: from all of it), latest first,
        behind the id `before`. Raises InvalidArgument INVALID_REGION, NotFound REPORT_NOT_FOUND
        for a division that is not the inspector's."""
        asked = Region.parse(region or principal.region, "region")
        if not principal.supervises(asked.code):
            raise _absent(region)
        own = self._store.within(principal)
        return await own.list_reports(_key(asked.code), asked.prefix, before, limit)

    async def get(
        self, principal: Principal, province: str, report_id: str
    ) -> tuple[Report, bytes | None]:
        """A report with its photograph. Raises NotFound REPORT_NOT_FOUND."""
        found = await self._store.within(principal).get_report(_key(province), report_id)
        if found is None or not principal.supervises(found[0].region):
            raise _absent(report_id)
        return found

    async def erase(self, principal: Principal, province: str, report_id: str) -> Report:
        """Takes away what a consumer gave, and leaves that there was a report. Raises NotFound
        REPORT_NOT_FOUND."""
        report, _ = await self.get(principal, province, report_id)
        own = self._store.within(principal)
        return await own.erase_report(_key(province), report.erased())


def _absent(what: str) -> NotFound:
    return NotFound("REPORT_NOT_FOUND", f"there is no report {what} in your division")


def _key(region: str) -> int:
    return derived(province_place(region))


def _report_id(time: int, once: str) -> str:
    digest = hashlib.sha256(once.encode()).hexdigest()
    return f"{time:016x}{digest}"[:_ID_DIGITS]
