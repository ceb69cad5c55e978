"""A whole SQLite store, page by page: the Archive port.

A read transaction sees the file as it was when it began, however long it lasts and whoever
writes meanwhile (WAL); until it ends the WAL grows. A loading is one write transaction: other
processes that want to write wait for it, and are refused after their time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tracechain.adapters.sqlite.session import Session, connect, migrate, migrations
from tracechain.adapters.tables import COUNTED, COUNTER, TABLES
from tracechain.app.archive import PAGE, Key, Row, StoreRefused, Table

_CACHE_KIB = 65536
_BUSY_SECONDS = 5.0


class SqliteArchive:
    """See tracechain.app.archive.Archive."""

    tables = TABLES
    newest = migrations()[-1][0]

    def __init__(self, path: Path) -> None:
        self._path = path

    async def version(self) -> int:
        if not self._path.exists():
            return 0
        async with self._opened() as session:
            return await session.step(_version)

    async def migrate(self) -> tuple[int, int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        async with self._opened() as session:
            return await session.write(
                lambda connection: (_version(connection), migrate(connection))
            )

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[_Open]:
        if not self._path.exists():
            # Opening it would make it.
            raise StoreRefused("STORE_MISSING", f"there is no store at {self._path}")
        async with self._opened() as session, _transaction(session, "BEGIN"):
            yield _Open(session)

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[_Open]:
        await self.migrate()
        async with self._opened() as session, _transaction(session, "BEGIN IMMEDIATE"):
            loading = _Open(session)
            await loading.clear()
            yield loading

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Session]:
        session = await connect(self._path, busy_seconds=_BUSY_SECONDS, cache_kib=_CACHE_KIB)
        try:
            yield session
        finally:
            await session.close()


class _Open:
    """See tracechain.app.archive.Loading."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def count(self, table: Table) -> int:
        found = await self._fetch(f"SELECT count(*) FROM {table.name}")
        return int(found[0][0])

    async def pages(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        sql = f"SELECT {', '.join(table.names)} FROM {table.name} ORDER BY {', '.join(table.key)}"
        cursor = await self._session.step(lambda connection: connection.execute(sql))
        try:
            while page := await self._session.step(lambda _: cursor.fetchmany(PAGE)):
                yield page
        finally:
            await self._session.step(lambda _: cursor.close())

    async def find(self, table: Table, keys: Sequence[Key]) -> Mapping[Key, Row]:
        where = " AND ".join(f"{name} = ?" for name in table.key)
        sql = f"SELECT {', '.join(table.names)} FROM {table.name} WHERE {where}"

        def work(connection: sqlite3.Connection) -> dict[Key, Row]:
            found = ((key, connection.execute(sql, key).fetchone()) for key in keys)
            return {key: row for key, row in found if row is not None}

        return await self._session.step(work)

    async def damage(self) -> list[str]:
        found = await self._fetch("PRAGMA integrity_check(5)")
        return [str(row[0]) for row in found if row[0] != "ok"]

    async def warnings(self) -> list[str]:
        # That it has no policies is no news.
        return []

    async def put(self, table: Table, rows: Sequence[Row]) -> None:
        marks = ", ".join("?" for _ in table.names)
        sql = f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES ({marks})"

        def work(connection: sqlite3.Connection) -> None:
            try:
                connection.executemany(sql, rows)
            except (sqlite3.IntegrityError, OverflowError, UnicodeError) as error:
                raise StoreRefused(
                    "VALUE_REFUSED", f"{table.name}: SQLite refuses a row: {error}"
                ) from error

        await self._session.step(work)

    async def clear(self) -> None:
        """Takes away what an empty store has. Raises StoreRefused where there is more."""
        for table in TABLES:
            where = COUNTED if table is COUNTER else ""
            if await self._fetch(f"SELECT 1 FROM {table.name}{where} LIMIT 1"):
                raise StoreRefused("STORE_NOT_EMPTY", f"the store is not empty: see {table.name}")
        await self._fetch("DELETE FROM counter")

    async def _fetch(self, sql: str) -> list[Any]:
        return await self._session.step(lambda connection: connection.execute(sql).fetchall())


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@asynccontextmanager
async def _transaction(session: Session, begin: str) -> AsyncIterator[None]:
    await session.step(lambda connection: connection.execute(begin))
    try:
        yield
        await session.step(lambda connection: connection.execute("COMMIT"))
    except BaseException:
        await session.step(_rolled_back)
        raise


def _rolled_back(connection: sqlite3.Connection) -> None:
    # A full disk may have rolled back already.
    if connection.in_transaction:
        connection.execute("ROLLBACK")
