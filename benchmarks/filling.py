"""Fills a store with goods as a busy year leaves them, through the Store port and in large groups.

Fifty events make a journey: a hundred units of a batch are commissioned, packed into a case, the
case onto a pallet, that into a container and that onto a vessel, and 45 times the outermost is
moved. So each unit has fifty events in its story and is four levels deep, and a batch of a
thousand units is ten journeys. Touches are what capturing makes of such events; a measurement
that traces a unit and counts its steps would notice if they were not.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from dataclasses import replace

from benchmarks.server import ISSUER
from benchmarks.stand import GTIN
from tracechain.app.ports import NewEvent, Store, StoredEvent
from tracechain.bootstrap import App
from tracechain.domain.batch_key import derived
from tracechain.domain.code import Profile
from tracechain.domain.code_run import CodeRun, make_codes
from tracechain.domain.identifiers import gs1_check_digit
from tracechain.domain.product import Allocation, Batch
from tracechain.domain.scan import Scan
from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole

EVENTS_PER_JOURNEY = 50
LEVELS = 4
_UNITS_PER_JOURNEY = 100
_JOURNEYS_PER_BATCH = 10
UNITS_PER_BATCH = _UNITS_PER_JOURNEY * _JOURNEYS_PER_BATCH
_GROUP = 40  # journeys in one transaction
_SCAN_GROUP = 2000
_START = 1_780_000_000_000_000
_MINUTE = 60_000_000
_PLACE = f"https://id.gs1.org/414/{ISSUER}"
_MOVES = ("loading", "departing", "arriving", "unloading", "storing")
_NOTE = {
    "example:waybill": "SF1390027713344",
    "example:remark": "按合同约定在阴凉干燥处存放，温度不高于二十五摄氏度，轻拿轻放，勿倒置",
    "example:sensor": {"device": "urn:epc:id:giai:4000001.111", "min": 3.4, "max": 21.8},
}


class Filling:
    """A store that grows. `app` is a process's parts on that store; nothing is served from it."""

    def __init__(self, app: App) -> None:
        self._store: Store = app.store
        self._key = app.keyring.current(ISSUER)
        self._resolver = app.settings.resolver
        self._batches: list[int] = []
        self._scans = 0
        self.events = 0
        self._chance = random.Random(2026)

    async def grow(self, events: int, scans: int) -> tuple[float, float]:
        """Fills up to so many events and scans; gives how many of each a second."""
        began, had = time.monotonic(), self.events
        while self.events < events:
            group: list[NewEvent] = []
            while len(group) < _GROUP * EVENTS_PER_JOURNEY and self.events < events:
                group += await self._journey(self.events // EVENTS_PER_JOURNEY)
                self.events += EVENTS_PER_JOURNEY
            await self._store.append_events(group)
        between, had_scans = time.monotonic(), self._scans
        while self._scans < scans:
            count = min(_SCAN_GROUP, scans - self._scans)
            await self._store.record_scans(
                [self._scan(number) for number in range(self._scans, self._scans + count)]
            )
            self._scans += count
        spent = between - began, time.monotonic() - between
        return (self.events - had) / spent[0], (self._scans - had_scans) / max(spent[1], 1e-9)

    def codes(self, count: int) -> list[str]:
        """Codes of units anywhere in the store."""
        found = []
        for _ in range(count):
            batch = self._chance.choice(self._batches)
            # The last batch may have fewer journeys than it has room for.
            unit = self._chance.randrange(_UNITS_PER_JOURNEY)
            run = CodeRun(self._resolver, GTIN, batch, unit, 1, Profile.SIGNED, False)
            found += make_codes(self._key.secret, run).uris
        return found

    async def _batch(self, place: int) -> int:
        if place < len(self._batches):
            return self._batches[place]
        lot = f"G{place:07}"
        made = await self._store.put_batch(
            Batch(GTIN, lot, "2026-01-05", "", "", UNITS_PER_BATCH, False, create_time=_START)
        )
        number = made.batch_number
        await self._store.allocate(
            Allocation(
                number, "fill", 0, UNITS_PER_BATCH, Profile.SIGNED, self._key.record.key_id, _START
            )
        )
        self._batches.append(number)
        return number

    async def _journey(self, number: int) -> list[NewEvent]:
        place, part = divmod(number, _JOURNEYS_PER_BATCH)
        batch = await self._batch(place)
        first = part * _UNITS_PER_JOURNEY
        lot = f"https://id.gs1.org/01/{GTIN}/10/G{place:07}"
        units = Thing(batch, first, first + _UNITS_PER_JOURNEY, lot)
        ranges = {"epcClass": lot, "firstIndex": first, "count": _UNITS_PER_JOURNEY}
        made = _Writer(number)
        made.event("ObjectEvent", "ADD", "commissioning", [_touch(units, TouchRole.ITEM)],
                   {"tracechain:codeRangeList": [ranges]})  # fmt: skip
        inner = units
        for level in range(LEVELS):
            outer = _container(number, level)
            what = (
                {"tracechain:codeRangeList": [ranges]} if level == 0 else {"childEPCs": [inner.uri]}
            )
            made.event(
                "AggregationEvent",
                "ADD",
                "packing",
                [_touch(outer, TouchRole.PARENT), _touch(inner, TouchRole.CHILD, outer)],
                {"parentID": outer.uri, **what},
            )
            inner = outer
        while len(made.events) < EVENTS_PER_JOURNEY:
            step = _MOVES[len(made.events) % len(_MOVES)]
            made.event("ObjectEvent", "OBSERVE", step, [_touch(inner, TouchRole.ITEM)],
                       {"epcList": [inner.uri]})  # fmt: skip
        return made.events

    def _scan(self, number: int) -> Scan:
        batch = self._chance.choice(self._batches)
        # Beyond the units that `codes` gives, so that a scan of those can be the first.
        unit = self._chance.randrange(_UNITS_PER_JOURNEY, UNITS_PER_BATCH)
        mark = number.to_bytes(8, "big")
        return Scan(batch, unit, _START + number * 1000, mark, mark, "210102")


class _Writer:
    """The events of one journey, a minute after each other."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.events: list[NewEvent] = []

    def event(
        self, kind: str, action: str, step: str, touches: list[Touch], what: dict[str, object]
    ) -> None:
        place = len(self.events)
        moment = _START + (self._number * 7 % 500_000 + place) * _MINUTE
        name = hashlib.sha256(f"{self._number}/{place}".encode()).digest()
        digest = EventDigest(
            name, b"", moment, moment, kind, action, step, "in_progress", ISSUER,
            "", "", _PLACE, "",
        )  # fmt: skip
        shown = time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime(moment // 1_000_000))
        body = {
            "type": kind, "action": action, "eventTime": shown, "eventTimeZoneOffset": "+08:00",
            "bizStep": step, "disposition": "in_progress", **what,
            "readPoint": {"id": _PLACE}, "bizLocation": {"id": _PLACE}, **_NOTE,
        }  # fmt: skip
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        stored = StoredEvent(name, b"", moment, moment, ISSUER, text)
        own = tuple(replace(touch, digest=digest) for touch in touches)
        self.events.append(NewEvent(stored, own))


_LATER = EventDigest(b"", b"", 0, 0, "", "", "", "", "", "", "", "", "")


def _touch(thing: Thing, role: TouchRole, parent: Thing | None = None) -> Touch:
    return Touch(thing.batch_key, thing.first, thing.end, role, False, _LATER, parent)


def _container(number: int, level: int) -> Thing:
    digits = f"{level}6901234{number:09}"
    uri = f"https://id.gs1.org/00/{digits}{gs1_check_digit(digits)}"
    return Thing(derived(uri), 0, 1, uri)
