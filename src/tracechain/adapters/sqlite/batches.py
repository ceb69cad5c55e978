"""Batches, orders of codes and recalls in SQLite: the BatchStore port."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tracechain.adapters import records
from tracechain.adapters.sqlite.directory import next_number
from tracechain.adapters.sqlite.session import Session
from tracechain.app.ports import AllocationAnswer
from tracechain.domain.batch_key import derived
from tracechain.domain.code import Profile
from tracechain.domain.log.fact import (
    Fact,
    batch_fact,
    first_quantity_fact,
    lifted_fact,
    quantity_fact,
    recall_fact,
)
from tracechain.domain.product import Allocation, Batch
from tracechain.domain.recall import Recall

_BATCH_COLUMNS = (
    "gtin, lot, production_date, expiration_date, plant_gln, authorized_quantity, "
    "activation_required, issued_quantity, batch_key, create_time"
)
_ALLOCATION_COLUMNS = "batch_key, request_id, first_index, count, profile, key_id, create_time"


class BatchPart:
    """See tracechain.app.ports.BatchStore."""

    _writer: Session
    _reader: Session
    _note: Callable[[sqlite3.Connection, Iterable[Fact]], None]

    async def put_batch(self, batch: Batch) -> Batch:
        class_key = _class_key(batch.gtin)

        def work(connection: sqlite3.Connection) -> Batch:
            known = _find(connection, class_key, batch.lot)
            if known is not None:
                return known
            number = next_number(connection, "batch_number")
            owner = _owner(connection, "product", "gtin", batch.gtin)
            connection.execute(
                f"INSERT INTO batch ({_BATCH_COLUMNS}, issuer_gln, issuer_region) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch.gtin,
                    batch.lot,
                    batch.production_date,
                    batch.expiration_date,
                    batch.plant_gln,
                    batch.authorized_quantity,
                    int(batch.activation_required),
                    0,
                    number,
                    batch.create_time,
                    *owner,
                ),
            )
            connection.execute(
                "INSERT INTO product_lot (batch_key, lot, batch_number) VALUES (?, ?, ?)",
                (class_key, batch.lot, number),
            )
            kept = replace(batch, batch_number=number, issued_quantity=0)
            self._note(connection, [batch_fact(kept), first_quantity_fact(kept, owner[0])])
            return kept

        return await self._writer.write(work)

    async def get_batch(self, batch_number: int) -> Batch | None:
        return await self._reader.read(lambda connection: _get(connection, batch_number))

    async def find_batch(self, gtin: str, lot: str) -> Batch | None:
        return await self._reader.read(lambda c: _find(c, _class_key(gtin), lot))

    async def list_batches(self, gtin: str, after: int, limit: int) -> list[Batch]:
        def work(connection: sqlite3.Connection) -> list[Batch]:
            rows = connection.execute(
                "SELECT batch_number FROM product_lot WHERE batch_key = ? AND batch_number > ? "
                "ORDER BY batch_number LIMIT ?",
                (_class_key(gtin), after, limit),
            ).fetchall()
            found = [_get(connection, row[0]) for row in rows]
            return [batch for batch in found if batch is not None]

        return await self._reader.read(work)

    async def raise_quantity(
        self, batch_number: int, quantity: int, request_id: str, decider: str, reason: str, now: int
    ) -> tuple[Batch, bool]:
        def work(connection: sqlite3.Connection) -> tuple[Batch, bool]:
            batch = _must(_get(connection, batch_number))
            issuer, _ = _owner(connection, "batch", "batch_key", batch_number)
            row = connection.execute(
                "SELECT quantity FROM quantity_raise WHERE batch_key = ? AND request_id = ?",
                (batch_number, request_id),
            ).fetchone()
            if row or quantity <= batch.authorized_quantity:
                return batch, bool(row) and row[0] == quantity
            connection.execute(
                "INSERT INTO quantity_raise (batch_key, request_id, quantity, decider, reason, "
                "create_time, issuer_gln) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (batch_number, request_id, quantity, decider, reason, now, issuer),
            )
            connection.execute(
                "UPDATE batch SET authorized_quantity = ? WHERE batch_key = ?",
                (quantity, batch_number),
            )
            fact = quantity_fact(batch_number, quantity, request_id, decider, reason, now)
            self._note(connection, [fact])
            return _must(_get(connection, batch_number)), True

        return await self._writer.write(work)

    async def allocate(self, wanted: Allocation) -> AllocationAnswer:
        def work(connection: sqlite3.Connection) -> AllocationAnswer:
            batch = _must(_get(connection, wanted.batch_number))
            issuer, _ = _owner(connection, "batch", "batch_key", wanted.batch_number)
            row = connection.execute(
                f"SELECT {_ALLOCATION_COLUMNS} FROM allocation "
                "WHERE batch_key = ? AND request_id = ?",
                (wanted.batch_number, wanted.request_id),
            ).fetchone()
            if row:
                return AllocationAnswer(_allocation(row), batch)
            if batch.issued_quantity + wanted.count > batch.authorized_quantity:
                connection.execute(
                    "INSERT INTO refused_order (batch_key, create_time, request_id, count, "
                    "issuer_gln) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (
                        wanted.batch_number,
                        wanted.create_time,
                        wanted.request_id,
                        wanted.count,
                        issuer,
                    ),
                )
                return AllocationAnswer(None, batch)
            taken = replace(wanted, first_index=batch.issued_quantity)
            connection.execute(
                f"INSERT INTO allocation ({_ALLOCATION_COLUMNS}, issuer_gln) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    taken.batch_number,
                    taken.request_id,
                    taken.first_index,
                    taken.count,
                    taken.profile.value,
                    taken.key_id,
                    taken.create_time,
                    issuer,
                ),
            )
            connection.execute(
                "UPDATE batch SET issued_quantity = ? WHERE batch_key = ?",
                (batch.issued_quantity + taken.count, taken.batch_number),
            )
            return AllocationAnswer(taken, _must(_get(connection, taken.batch_number)))

        return await self._writer.write(work)

    async def list_allocations(self, batch_number: int) -> list[Allocation]:
        sql = f"SELECT {_ALLOCATION_COLUMNS} FROM allocation WHERE batch_key = ?"
        rows = await self._reader.read(lambda c: c.execute(sql, (batch_number,)).fetchall())
        return sorted((_allocation(row) for row in rows), key=lambda a: a.first_index)

    async def list_refusals(self, batch_number: int) -> list[tuple[int, str, int]]:
        sql = (
            "SELECT create_time, request_id, count FROM refused_order WHERE batch_key = ? "
            "ORDER BY create_time, request_id"
        )
        return await self._reader.read(lambda c: c.execute(sql, (batch_number,)).fetchall())

    async def put_recall(self, recall: Recall) -> Recall:
        def work(connection: sqlite3.Connection) -> Recall:
            added = connection.execute(
                "INSERT INTO recall (batch_key, recall_id, create_time, body, issuer_gln, "
                "issuer_region) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    recall.batch_number,
                    recall.recall_id,
                    recall.create_time,
                    records.recall_to_json(recall),
                    *_owner(connection, "batch", "batch_key", recall.batch_number),
                ),
            )
            if added.rowcount == 1:
                self._note(connection, [recall_fact(recall)])
            found = _recall(connection, recall.batch_number, recall.recall_id)
            return found if found is not None else recall

        return await self._writer.write(work)

    async def list_recalls(self, batch_number: int) -> list[Recall]:
        sql = (
            "SELECT body, lift_time, lift_reason FROM recall WHERE batch_key = ? "
            "ORDER BY create_time, recall_id"
        )
        rows = await self._reader.read(lambda c: c.execute(sql, (batch_number,)).fetchall())
        return [records.recall_from_json(*row) for row in rows]

    async def lift_recall(
        self, batch_number: int, recall_id: str, time: int, reason: str
    ) -> Recall | None:
        def work(connection: sqlite3.Connection) -> Recall | None:
            lifted = connection.execute(
                "UPDATE recall SET lift_time = ?, lift_reason = ? "
                "WHERE batch_key = ? AND recall_id = ? AND lift_time IS NULL",
                (time, reason, batch_number, recall_id),
            )
            if lifted.rowcount == 1:
                self._note(connection, [lifted_fact(batch_number, recall_id, time, reason)])
            return _recall(connection, batch_number, recall_id)

        return await self._writer.write(work)


def _class_key(gtin: str) -> int:
    return derived(f"https://id.gs1.org/01/{gtin}")


def _get(connection: sqlite3.Connection, number: int) -> Batch | None:
    row = connection.execute(
        f"SELECT {_BATCH_COLUMNS} FROM batch WHERE batch_key = ?", (number,)
    ).fetchone()
    if row is None:
        return None
    return Batch(
        row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]), row[7], row[8], row[9]
    )


def _find(connection: sqlite3.Connection, class_key: int, lot: str) -> Batch | None:
    row = connection.execute(
        "SELECT batch_number FROM product_lot WHERE batch_key = ? AND lot = ?", (class_key, lot)
    ).fetchone()
    return _get(connection, row[0]) if row else None


def _owner(
    connection: sqlite3.Connection, table: str, column: str, key: int | str
) -> tuple[str, str]:
    """GLN and region of the issuer whose product or batch it is; empty where it is nobody's."""
    found: tuple[str, str] | None = connection.execute(
        f"SELECT issuer_gln, issuer_region FROM {table} WHERE {column} = ?", (key,)
    ).fetchone()
    return found or ("", "")


def _must(batch: Batch | None) -> Batch:
    # The caller has read the batch, and batches are never deleted.
    assert batch is not None
    return batch


def _allocation(row: tuple[Any, ...]) -> Allocation:
    return Allocation(row[0], row[1], row[2], row[3], Profile(row[4]), row[5], row[6])


def _recall(connection: sqlite3.Connection, number: int, recall_id: str) -> Recall | None:
    row = connection.execute(
        "SELECT body, lift_time, lift_reason FROM recall WHERE batch_key = ? AND recall_id = ?",
        (number, recall_id),
    ).fetchone()
    return records.recall_from_json(*row) if row else None
