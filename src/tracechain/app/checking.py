"""What must hold between the rows of a store, read through once: the check of a whole store.

Every table is read in the order of its keys and every reference is looked up, a page at a time,
in one snapshot: a service may go on writing. Of each kind of difference the first few are named
and all are counted. A rule that were wrong here would send an operator after goods that are fine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracechain.app.archive import Archive, Key, Row, Snapshot, Table
from tracechain.app.archiving import Told, require_newest
from tracechain.domain.batch_key import derived, event_key, is_registered

# How many differences of each kind are named.
NAMED = 5


@dataclass(slots=True)
class Findings:
    """What a check found: for each kind of difference how many there are, and the first ones; and
    what weakens the store while all holds."""

    warnings: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, where: str) -> None:
        """Notes a difference."""
        self.counts[kind] += 1
        if len(named := self.first.setdefault(kind, [])) < NAMED:
            named.append(where)


async def check_store(archive: Archive, told: Told) -> Findings:
    """Reads the whole store and says what does not hold.

    Raises StoreRefused STORE_MISSING, SCHEMA_TOO_OLD; Unavailable; DataCorrupted where the
    database cannot read on.
    """
    await require_newest(archive)
    findings = Findings()
    async with archive.snapshot() as snapshot:
        for words in await snapshot.damage():
            findings.add("DATABASE_DAMAGED", words)
        findings.warnings += await snapshot.warnings()
        await _Check(snapshot, {t.name: t for t in archive.tables}, findings, told).run()
    return findings


# A reference: from a row the key that must be in another table, or none.
_Reference = tuple[str, str, Callable[[Mapping[str, Any]], Key | None]]


def _registered(row: Mapping[str, Any]) -> Key | None:
    return (row["batch_key"],) if is_registered(row["batch_key"]) else None


def _class_lot(row: Mapping[str, Any]) -> Key:
    return derived(f"https://id.gs1.org/01/{row['gtin']}"), row["lot"]


def _event(row: Mapping[str, Any]) -> Key:
    key = event_key(row["event_id"])
    return key, row["event_id"], row["declaration"], row["event_time"]


_REFERENCES: dict[str, list[_Reference]] = {
    "credential": [("PARTY_MISSING", "party", lambda r: (r["party_gln"],))],
    "issuer_key": [("PARTY_MISSING", "party", lambda r: (r["issuer_gln"],))],
    "product": [("PARTY_MISSING", "party", lambda r: (r["issuer_gln"],))],
    "batch": [
        ("PRODUCT_MISSING", "product", lambda r: (r["gtin"],)),
        ("LOT_MISSING", "product_lot", _class_lot),
    ],
    "product_lot": [("BATCH_MISSING", "batch", lambda r: (r["batch_number"],))],
    "quantity_raise": [("BATCH_MISSING", "batch", _registered)],
    "allocation": [
        ("BATCH_MISSING", "batch", _registered),
        ("KEY_MISSING", "issuer_key", lambda r: (r["key_id"],)),
    ],
    "refused_order": [("BATCH_MISSING", "batch", _registered)],
    "recall": [("BATCH_MISSING", "batch", _registered)],
    "touch": [("BATCH_MISSING", "batch", _registered), ("EVENT_MISSING", "event", _event)],
    "unit_scan": [("BATCH_MISSING", "batch", _registered)],
    "claim": [("BATCH_MISSING", "batch", _registered)],
    "link_set": [("BATCH_MISSING", "batch", _registered)],
}


class _Check:
    def __init__(
        self, snapshot: Snapshot, tables: Mapping[str, Table], findings: Findings, told: Told
    ) -> None:
        self._snapshot, self._tables = snapshot, tables
        self._findings, self._told = findings, told
        # The highest number that was given, by its counter.
        self._highest = {"batch_number": 0, "key_id": 0}

    async def run(self) -> None:
        """Reads every table once; orders and scans beside what they belong to."""
        for table in self._tables.values():
            if table.name not in ("allocation", "scan", "counter"):
                beside = {"batch": self._orders, "unit_scan": self._scans}.get(table.name)
                await (beside() if beside else self._each(table))
        counters = {}
        async for page in self._pages(self._tables["counter"]):
            counters.update({row["name"]: row["value"] for row in page})
        for name, highest in self._highest.items():
            if counters.get(name, -1) < highest:
                self._findings.add(
                    "COUNTER_BEHIND", f"counter {name}: {counters.get(name)}, given: {highest}"
                )

    async def _each(self, table: Table) -> None:
        async for _ in self._pages(table):
            pass

    async def _orders(self) -> None:
        """Each batch beside its orders: they share out what it issued, without gap or overlap."""
        orders = _Groups(self._pages(self._tables["allocation"]), ("batch_key",))
        async for page in self._pages(self._tables["batch"]):
            for batch in page:
                self._batch(batch, await orders.take((batch["batch_key"],)))
        # Those left have no batch, which was said as they were read.
        await orders.rest()

    def _batch(self, batch: Mapping[str, Any], orders: Sequence[Mapping[str, Any]]) -> None:
        where = f"batch {batch['batch_key']}"
        if batch["issued_quantity"] > batch["authorized_quantity"]:
            self._findings.add("ISSUED_BEYOND_AUTHORIZED", where)
        reached = 0
        for order in sorted(orders, key=lambda order: int(order["first_index"])):
            what = f"{where}, order {order['request_id']}"
            if order["first_index"] < reached:
                self._findings.add("ORDERS_OVERLAP", what)
            elif order["first_index"] > reached:
                self._findings.add("CODES_WITHOUT_ORDER", f"{what}: from {reached} on")
            reached = max(reached, order["first_index"] + order["count"])
        if reached > batch["issued_quantity"]:
            self._findings.add("ORDER_BEYOND_ISSUED", where)
        elif reached < batch["issued_quantity"]:
            self._findings.add("CODES_WITHOUT_ORDER", f"{where}: from {reached} on")

    async def _scans(self) -> None:
        """Each unit's history beside its scans: as many at least as there are rows."""
        scans = _Counts(self._pages(self._tables["scan"]), ("batch_key", "unit"))
        async for page in self._pages(self._tables["unit_scan"]):
            for unit in page:
                key = (unit["batch_key"], unit["unit"])
                async for lost in scans.before(key):
                    self._findings.add("HISTORY_MISSING", _at("scan", lost))
                if await scans.of(key) > unit["count"]:
                    self._findings.add("SCANS_UNCOUNTED", _at("unit_scan", key))
        async for lost in scans.before(None):
            self._findings.add("HISTORY_MISSING", _at("scan", lost))

    async def _pages(self, table: Table) -> AsyncIterator[list[dict[str, Any]]]:
        """A table's rows by column, each checked for itself and for what it refers to."""
        total, done = await self._snapshot.count(table), 0
        async for page in self._snapshot.pages(table):
            rows = [dict(zip(table.names, row, strict=True)) for row in page]
            for row, line in zip(rows, page, strict=True):
                self._row(table, row, _at(table.name, _key(table, line)))
            for reference in _REFERENCES.get(table.name, ()):
                await self._refer(table, reference, rows, page)
            done += len(page)
            self._told(f"checking {table.name}", done, total)
            yield rows
        self._findings.rows[table.name] = done

    def _row(self, table: Table, row: Mapping[str, Any], where: str) -> None:
        match table.name:
            case "issuer_key":
                self._highest["key_id"] = max(self._highest["key_id"], row["key_id"])
            case "batch":
                number = max(self._highest["batch_number"], row["batch_key"])
                self._highest["batch_number"] = number
            case "event" if row["batch_key"] != _event(row)[0]:
                self._findings.add("KEY_WRONG", where)
            case "document" if row["batch_key"] != derived("document:" + row["document_id"]):
                self._findings.add("KEY_WRONG", where)
            case "touch" if row["beyond"] - row["first"] > 16 ** row["level"]:
                # It would never be found again.
                self._findings.add("TOUCH_MISFILED", where)

    async def _refer(
        self,
        table: Table,
        reference: _Reference,
        rows: Sequence[Mapping[str, Any]],
        page: Sequence[Row],
    ) -> None:
        kind, name, key_of = reference
        keys = [key_of(row) for row in rows]
        wanted = dict.fromkeys(key for key in keys if key is not None)
        found = await self._snapshot.find(self._tables[name], list(wanted))
        for key, row, line in zip(keys, rows, page, strict=True):
            if key is None:
                continue
            there = found.get(key)
            if there is None:
                self._findings.add(
                    kind, f"{_at(table.name, _key(table, line))}: {name} {_show(key)}"
                )
                continue
            other = dict(zip(self._tables[name].names, there, strict=True))
            if table.name in ("batch", "product_lot"):
                self._lot(table, row, name, other)
            if name in ("product", "batch") and _owner(row) not in (None, _owner(other)):
                # Policies would show it to somebody else, or to nobody.
                self._findings.add("OWNER_WRONG", _at(table.name, _key(table, line)))

    def _lot(
        self, table: Table, row: Mapping[str, Any], name: str, other: Mapping[str, Any]
    ) -> None:
        """A batch and its lot name each other."""
        batch, lot = (row, other) if table.name == "batch" else (other, row)
        if {table.name, name} != {"batch", "product_lot"}:
            return
        if (lot["batch_key"], lot["lot"]) != _class_lot(batch) or (
            lot["batch_number"] != batch["batch_key"]
        ):
            self._findings.add("LOT_OF_ANOTHER_BATCH", f"batch {batch['batch_key']}")


def _owner(row: Mapping[str, Any]) -> str | None:
    """The GLN of whose it says that it is; None for what does not say it."""
    gln: str | None = row.get("issuer_gln")
    return gln


def _key(table: Table, row: Row) -> Key:
    return tuple(row[place] for place in table.key_places)


def _at(name: str, key: Key) -> str:
    return f"{name} {_show(key)}"


def _show(key: Key) -> str:
    return "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key)


class _Groups:
    """The rows of a table by the beginning of their keys, taken in the order of the keys."""

    def __init__(self, pages: AsyncIterator[list[dict[str, Any]]], by: tuple[str, ...]) -> None:
        self._rows = _flat(pages)
        self._by = by
        self._next: dict[str, Any] | None = None
        self._begun = False

    async def take(self, key: Key) -> list[dict[str, Any]]:
        """The rows of this key; those before it are passed by."""
        taken = []
        while (row := await self._peek()) is not None and self.key(row) <= key:
            if self.key(row) == key:
                taken.append(row)
            self._begun = False
        return taken

    async def rest(self) -> None:
        """Passes by all that is left."""
        while await self._peek() is not None:
            self._begun = False

    def key(self, row: Mapping[str, Any]) -> Key:
        """The beginning of a row's key."""
        return tuple(row[name] for name in self._by)

    async def _peek(self) -> dict[str, Any] | None:
        if not self._begun:
            self._next, self._begun = await anext(self._rows, None), True
        return self._next


class _Counts(_Groups):
    """How many rows each key has, without keeping them: one unit may have millions of scans."""

    async def before(self, key: Key | None) -> AsyncIterator[Key]:
        """The keys before this one, or all that are left, each once."""
        last: Key | None = None
        while (row := await self._peek()) is not None and (key is None or self.key(row) < key):
            self._begun = False
            if (passed := self.key(row)) != last:
                last = passed
                yield passed

    async def of(self, key: Key) -> int:
        """How many there are of this key."""
        count = 0
        while (row := await self._peek()) is not None and self.key(row) == key:
            count += 1
            self._begun = False
        return count


async def _flat(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[dict[str, Any]]:
    async for page in pages:
        for row in page:
            yield row
