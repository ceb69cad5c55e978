"""Batches, orders of codes and recalls in PostgreSQL: the BatchStore port.

Each row says whose it is, for the policies: a batch as its product does, the rest as its batch.

What is decided about a batch is decided while its row is held: two orders that come to two nodes
at once get two runs of indices, and together never more than was authorised.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tracechain.adapters import records
from tracechain.adapters.postgres.directory import next_number
from tracechain.adapters.postgres.session import Session, Transaction
from tracechain.adapters.postgres.statements import statement
from tracechain.adapters.postgres.tenancy import OutOfScope
from tracechain.app.ports import AllocationAnswer
from tracechain.domain.batch_key import derived
from tracechain.domain.code import Profile
from tracechain.domain.errors import Unavailable
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
# Whose goods of no registered product are.
_NOBODY = ("", "")
_TENANT = "issuer_gln, issuer_region"
_ALLOCATION_COLUMNS = "batch_key, request_id, first_index, count, profile, key_id, create_time"

GET_BATCH = statement("GET_BATCH", f"SELECT {_BATCH_COLUMNS} FROM batch WHERE batch_key = $1")
GET_BATCHES = statement(
    "GET_BATCHES",
    f"SELECT {_BATCH_COLUMNS} FROM batch WHERE batch_key = ANY($1::bigint[]) ORDER BY batch_key",
)
HOLD_BATCH = statement(
    "HOLD_BATCH", f"SELECT {_BATCH_COLUMNS}, {_TENANT} FROM batch WHERE batch_key = $1 FOR UPDATE"
)
OWNER_OF_PRODUCT = statement("OWNER_OF_PRODUCT", f"SELECT {_TENANT} FROM product WHERE gtin = $1")
OWNER_OF_BATCH = statement("OWNER_OF_BATCH", f"SELECT {_TENANT} FROM batch WHERE batch_key = $1")
PUT_BATCH = statement(
    "PUT_BATCH",
    f"INSERT INTO batch ({_BATCH_COLUMNS}, {_TENANT}) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
)
FIND_LOT = statement(
    "FIND_LOT", "SELECT batch_number FROM product_lot WHERE batch_key = $1 AND lot = $2"
)
PUT_LOT = statement(
    "PUT_LOT",
    "INSERT INTO product_lot (batch_key, lot, batch_number) VALUES ($1, $2, $3) "
    "ON CONFLICT DO NOTHING RETURNING batch_number",
)
LIST_LOTS = statement(
    "LIST_LOTS",
    "SELECT batch_number FROM product_lot WHERE batch_key = $1 AND batch_number > $2 "
    "ORDER BY batch_number LIMIT $3",
)
GET_RAISE = statement(
    "GET_RAISE", "SELECT quantity FROM quantity_raise WHERE batch_key = $1 AND request_id = $2"
)
PUT_RAISE = statement(
    "PUT_RAISE",
    "INSERT INTO quantity_raise (batch_key, request_id, quantity, decider, reason, create_time, "
    "issuer_gln) VALUES ($1, $2, $3, $4, $5, $6, $7)",
)
SET_AUTHORIZED = statement(
    "SET_AUTHORIZED", "UPDATE batch SET authorized_quantity = $2 WHERE batch_key = $1"
)
SET_ISSUED = statement("SET_ISSUED", "UPDATE batch SET issued_quantity = $2 WHERE batch_key = $1")
GET_ALLOCATION = statement(
    "GET_ALLOCATION",
    f"SELECT {_ALLOCATION_COLUMNS} FROM allocation WHERE batch_key = $1 AND request_id = $2",
)
PUT_ALLOCATION = statement(
    "PUT_ALLOCATION",
    f"INSERT INTO allocation ({_ALLOCATION_COLUMNS}, issuer_gln) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
)
LIST_ALLOCATIONS = statement(
    "LIST_ALLOCATIONS", f"SELECT {_ALLOCATION_COLUMNS} FROM allocation WHERE batch_key = $1"
)
PUT_REFUSAL = statement(
    "PUT_REFUSAL",
    "INSERT INTO refused_order (batch_key, create_time, request_id, count, issuer_gln) "
    "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
)
LIST_REFUSALS = statement(
    "LIST_REFUSALS",
    "SELECT create_time, request_id, count FROM refused_order WHERE batch_key = $1 "
    "ORDER BY create_time, request_id",
)
PUT_RECALL = statement(
    "PUT_RECALL",
    f"INSERT INTO recall (batch_key, recall_id, create_time, body, {_TENANT}) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING recall_id",
)
GET_RECALL = statement(
    "GET_RECALL",
    "SELECT body, lift_time, lift_reason FROM recall WHERE batch_key = $1 AND recall_id = $2",
)
LIST_RECALLS = statement(
    "LIST_RECALLS",
    "SELECT body, lift_time, lift_reason FROM recall WHERE batch_key = $1 "
    "ORDER BY create_time, recall_id",
)
LIFT_RECALL = statement(
    "LIFT_RECALL",
    "UPDATE recall SET lift_time = $3, lift_reason = $4 "
    "WHERE batch_key = $1 AND recall_id = $2 AND lift_time IS NULL RETURNING recall_id",
)


class BatchPart:
    """See tracechain.app.ports.BatchStore."""

    _session: Session
    _note: Callable[[Transaction, Iterable[Fact]], Coroutine[Any, Any, None]]

    async def put_batch(self, batch: Batch) -> Batch:
        known = await self.find_batch(batch.gtin, batch.lot)
        if known is not None:
            return known
        # Two nodes may each take a number for one lot; the one that comes too late is never used.
        number = await next_number(self._session, "batch_number")
        class_key = _class_key(batch.gtin)

        async def work(transaction: Transaction) -> Batch | None:
            owner = await transaction.row(OWNER_OF_PRODUCT, batch.gtin) or _NOBODY
            if await transaction.row(PUT_LOT, class_key, batch.lot, number) is None:
                return None
            await transaction.fetch(
                PUT_BATCH,
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
            )
            kept = replace(batch, batch_number=number, issued_quantity=0)
            facts = [batch_fact(kept), first_quantity_fact(kept, owner[0])]
            await self._note(transaction, facts)
            return kept

        kept = await self._session.transact(work) or await self.find_batch(batch.gtin, batch.lot)
        if kept is None:
            # Lot and batch may lie on two servers, which commit one after the other.
            raise Unavailable("STORE_BUSY", "the batch is being registered at this moment")
        return kept

    async def get_batch(self, batch_number: int) -> Batch | None:
        row = await self._session.row(GET_BATCH, batch_number)
        return _batch(row) if row else None

    async def find_batch(self, gtin: str, lot: str) -> Batch | None:
        row = await self._session.row(FIND_LOT, _class_key(gtin), lot)
        return await self.get_batch(row[0]) if row else None

    async def list_batches(self, gtin: str, after: int, limit: int) -> list[Batch]:
        lots = await self._session.fetch(LIST_LOTS, _class_key(gtin), after, limit)
        rows = await self._session.fetch(GET_BATCHES, [row[0] for row in lots]) if lots else []
        return [_batch(row) for row in rows]

    async def raise_quantity(
        self, batch_number: int, quantity: int, request_id: str, decider: str, reason: str, now: int
    ) -> tuple[Batch, bool]:
        async def work(transaction: Transaction) -> tuple[Batch, bool]:
            batch, owner = await _held(transaction, batch_number)
            row = await transaction.row(GET_RAISE, batch_number, request_id)
            if row or quantity <= batch.authorized_quantity:
                return batch, row is not None and row[0] == quantity
            await transaction.fetch(
                PUT_RAISE, batch_number, request_id, quantity, decider, reason, now, owner
            )
            await transaction.fetch(SET_AUTHORIZED, batch_number, quantity)
            fact = quantity_fact(batch_number, quantity, request_id, decider, reason, now)
            await self._note(transaction, [fact])
            return replace(batch, authorized_quantity=quantity), True

        return await self._session.transact(work)

    async def allocate(self, wanted: Allocation) -> AllocationAnswer:
        number = wanted.batch_number

        async def work(transaction: Transaction) -> AllocationAnswer:
            batch, owner = await _held(transaction, number)
            row = await transaction.row(GET_ALLOCATION, number, wanted.request_id)
            if row:
                return AllocationAnswer(_allocation(row), batch)
            issued = batch.issued_quantity + wanted.count
            if issued > batch.authorized_quantity:
                await transaction.fetch(
                    PUT_REFUSAL, number, wanted.create_time, wanted.request_id, wanted.count, owner
                )
                return AllocationAnswer(None, batch)
            taken = replace(wanted, first_index=batch.issued_quantity)
            await transaction.fetch(
                PUT_ALLOCATION,
                number,
                taken.request_id,
                taken.first_index,
                taken.count,
                taken.profile.value,
                taken.key_id,
                taken.create_time,
                owner,
            )
            await transaction.fetch(SET_ISSUED, number, issued)
            return AllocationAnswer(taken, replace(batch, issued_quantity=issued))

        return await self._session.transact(work)

    async def list_allocations(self, batch_number: int) -> list[Allocation]:
        rows = await self._session.fetch(LIST_ALLOCATIONS, batch_number)
        return sorted((_allocation(row) for row in rows), key=lambda a: a.first_index)

    async def list_refusals(self, batch_number: int) -> list[tuple[int, str, int]]:
        rows = await self._session.fetch(LIST_REFUSALS, batch_number)
        return [(row[0], row[1], row[2]) for row in rows]

    async def put_recall(self, recall: Recall) -> Recall:
        body = records.recall_to_json(recall)
        number = recall.batch_number

        async def work(transaction: Transaction) -> None:
            owner = await transaction.row(OWNER_OF_BATCH, number) or _NOBODY
            row = (number, recall.recall_id, recall.create_time, body, *owner)
            if await transaction.row(PUT_RECALL, *row) is not None:
                await self._note(transaction, [recall_fact(recall)])

        await self._session.transact(work)
        return await self._recall(recall.batch_number, recall.recall_id) or recall

    async def list_recalls(self, batch_number: int) -> list[Recall]:
        rows = await self._session.fetch(LIST_RECALLS, batch_number)
        return [records.recall_from_json(*row) for row in rows]

    async def lift_recall(
        self, batch_number: int, recall_id: str, time: int, reason: str
    ) -> Recall | None:
        lifting = (batch_number, recall_id, time, reason)

        async def work(transaction: Transaction) -> None:
            if await transaction.row(LIFT_RECALL, *lifting) is not None:
                await self._note(transaction, [lifted_fact(*lifting)])

        await self._session.transact(work)
        return await self._recall(batch_number, recall_id)

    async def _recall(self, batch_number: int, recall_id: str) -> Recall | None:
        row = await self._session.row(GET_RECALL, batch_number, recall_id)
        return records.recall_from_json(*row) if row else None


def _class_key(gtin: str) -> int:
    return derived(f"https://id.gs1.org/01/{gtin}")


async def _held(transaction: Transaction, number: int) -> tuple[Batch, str]:
    """A batch that nobody else changes meanwhile, and its issuer's GLN."""
    row = await transaction.row(HOLD_BATCH, number)
    if row is None:
        # The caller has read the batch, and batches are never deleted.
        raise OutOfScope(f"batch {number} is not there for whom this is done")
    return _batch(row), row[10]


def _batch(row: Sequence[Any]) -> Batch:
    return Batch(
        row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]), row[7], row[8], row[9]
    )


def _allocation(row: Sequence[Any]) -> Allocation:
    return Allocation(row[0], row[1], row[2], row[3], Profile(row[4]), row[5], row[6])
