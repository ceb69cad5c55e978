"""A whole PostgreSQL store, page by page: the Archive port.

A snapshot is one REPEATABLE READ transaction that is held open for as long as it is read; where
the tables are distributed it is of one moment on each machine, not on all: stop the service for
an export there. A loading is one transaction, and the row of `schema_version` that it holds keeps
other loadings and migrations out.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from tracechain.adapters.postgres.schema import (
    GET_VERSION,
    HAS_VERSION,
    HOLD_VERSION,
    migrate,
    migrations,
    prepare_months,
)
from tracechain.adapters.postgres.session import Transaction, connect, maintenance
from tracechain.adapters.postgres.statements import Statement, columns, statement
from tracechain.adapters.postgres.tenancy import BYPASSES, ROW_SECURITY_BYPASSED
from tracechain.adapters.tables import COUNTED, COUNTER, TABLES
from tracechain.app.archive import PAGE, Column, Key, Kind, Row, StoreRefused, Table

_TYPES = {Kind.INTEGER: "bigint", Kind.TEXT: "text", Kind.BYTES: "bytea"}


def arrays_of(of: Sequence[Column]) -> str:
    """Parameters from $1 on: one array for each column."""
    return ", ".join(f"${n}::{_TYPES[column.kind]}[]" for n, column in enumerate(of, 1))


def _registered(name: str, sql: dict[str, str]) -> dict[str, Statement]:
    return {
        table: statement(f"{name}_{table.upper()}", text, maintenance=True)
        for table, text in sql.items()
    }


def _key(table: Table) -> str:
    return ", ".join(table.key)


def _key_columns(table: Table) -> list[Column]:
    return [table.columns[place] for place in table.key_places]


_COUNT = _registered("COUNT", {t.name: f"SELECT count(*) FROM {t.name}" for t in TABLES})
_HAS = _registered("HAS", {
    t.name: f"SELECT 1 FROM {t.name}{COUNTED if t is COUNTER else ''} LIMIT 1"
    for t in TABLES
})  # fmt: skip
_FIRST_PAGE = _registered("FIRST_PAGE", {
    t.name: f"SELECT {', '.join(t.names)} FROM {t.name} ORDER BY {_key(t)} LIMIT {PAGE}"
    for t in TABLES
})  # fmt: skip
_NEXT_PAGE = _registered("NEXT_PAGE", {
    t.name: f"SELECT {', '.join(t.names)} FROM {t.name} WHERE ({_key(t)}) > "
    f"({', '.join(f'${n}' for n in range(1, len(t.key) + 1))}) ORDER BY {_key(t)} LIMIT {PAGE}"
    for t in TABLES
})  # fmt: skip
_FIND = _registered("FIND", {
    t.name: f"SELECT {', '.join(t.names)} FROM {t.name} WHERE {t.key[0]} = ANY($1) "
    f"AND ({_key(t)}) IN (SELECT * FROM unnest({arrays_of(_key_columns(t))}))"
    for t in TABLES
})  # fmt: skip
_LOAD = _registered("LOAD", {
    t.name: f"INSERT INTO {t.name} ({', '.join(t.names)}) "
    f"SELECT * FROM unnest({arrays_of(t.columns)})"
    for t in TABLES
})  # fmt: skip
_NO_COUNTERS = statement("NO_COUNTERS", "DELETE FROM counter", maintenance=True)


class PostgresArchive:
    """See tracechain.app.archive.Archive."""

    tables = TABLES
    newest = migrations()[-1][0]

    def __init__(self, url: str) -> None:
        self._url = url

    async def version(self) -> int:
        async with maintenance(self._url, reads_only=True) as transaction:
            has = await transaction.row(HAS_VERSION)
            row = await transaction.row(GET_VERSION) if has and has[0] else None
            return int(row[0]) if row else 0

    async def migrate(self) -> tuple[int, int]:
        before = await self.version()
        session = await connect(self._url, connections=2)
        try:
            after = await migrate(session)
            await prepare_months(session, time.time_ns() // 1000)
        finally:
            await session.close()
        return before, after

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[_Open]:
        async with maintenance(self._url, reads_only=True) as transaction:
            yield _Open(transaction)

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[_Open]:
        await self.migrate()
        async with maintenance(self._url, reads_only=False) as transaction:
            await transaction.fetch(HOLD_VERSION)
            loading = _Open(transaction)
            await loading.clear()
            yield loading


class _Open:
    """See tracechain.app.archive.Loading."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def count(self, table: Table) -> int:
        row = await self._transaction.row(_COUNT[table.name])
        return int(row[0]) if row else 0

    async def pages(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        places = table.key_places
        page = await self._transaction.fetch(_FIRST_PAGE[table.name])
        while page:
            yield [tuple(row) for row in page]
            if len(page) < PAGE:
                return
            last = [page[-1][place] for place in places]
            page = await self._transaction.fetch(_NEXT_PAGE[table.name], *last)

    async def find(self, table: Table, keys: Sequence[Key]) -> Mapping[Key, Row]:
        if not keys:
            return {}
        found = await self._transaction.fetch(_FIND[table.name], *columns(keys))
        places = table.key_places
        return {tuple(row[place] for place in places): tuple(row) for row in found}

    async def damage(self) -> list[str]:
        # PostgreSQL checks a page as it reads it, where its checksums are on.
        return []

    async def warnings(self) -> list[str]:
        row = await self._transaction.row(BYPASSES)
        return [ROW_SECURITY_BYPASSED] if row and row[0] else []

    async def put(self, table: Table, rows: Sequence[Row]) -> None:
        try:
            await self._transaction.fetch(_LOAD[table.name], *columns(rows))
        except Exception as error:
            code = getattr(error, "sqlstate", None) or ""
            if isinstance(error, ValueError) or code.startswith(("22", "23")):
                raise StoreRefused(
                    "VALUE_REFUSED", f"{table.name}: PostgreSQL refuses a row: {error}"
                ) from error
            raise

    async def clear(self) -> None:
        """Takes away what an empty store has. Raises StoreRefused where there is more."""
        for table in TABLES:
            if await self._transaction.row(_HAS[table.name]):
                raise StoreRefused("STORE_NOT_EMPTY", f"the store is not empty: see {table.name}")
        await self._transaction.fetch(_NO_COUNTERS)
