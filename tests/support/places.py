"""Stores as a whole, as services, and behind their backs."""

from __future__ import annotations

import io
import itertools
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.stores import RULES
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.adapters.postgres.archive import PostgresArchive
from tracechain.adapters.postgres.tenancy import SERVICE_SETTINGS
from tracechain.adapters.sqlite import open_store as open_sqlite
from tracechain.adapters.sqlite.archive import SqliteArchive
from tracechain.adapters.tables import TABLES
from tracechain.app.archive import Archive
from tracechain.app.archiving import Sum, export_store, import_store
from tracechain.app.ports import Store


@dataclass(frozen=True)
class Place:
    """Where one store is, and ways to it: as a whole, as a service, and behind its back."""

    archive: Archive
    open: Callable[[], Awaitable[Store]]
    run: Callable[[str], Awaitable[list[tuple[Any, ...]]]]

    async def exported(self) -> bytes:
        """The store as a file."""
        target = io.BytesIO()
        await export_store(self.archive, target, quiet)
        return target.getvalue()

    async def imported(self, file: bytes) -> dict[str, Sum]:
        """Fills the store from a file."""
        return await import_store(self.archive, io.BytesIO(file), quiet)

    async def rows(self) -> dict[str, int]:
        """How many rows each table has; counters that were used."""
        async with self.archive.snapshot() as snapshot:
            counts = {table.name: await snapshot.count(table) for table in TABLES}
        used = await self.run("SELECT 1 FROM counter WHERE value <> 0")
        return {**counts, "counter": len(used)}


def quiet(what: str, done: int, total: int) -> None:
    """Hears of progress."""
    assert what
    assert 0 < done <= total


def unrandom() -> Callable[[int], bytes]:
    """Bytes for salts, other ones at each call, the same for each store."""
    numbers = itertools.count(1)
    return lambda count: next(numbers).to_bytes(count)


def sqlite_at(path: Path) -> Place:
    """A store in a file."""

    async def run(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection, connection:
            return connection.execute(sql).fetchall()

    return Place(
        SqliteArchive(path), lambda: open_sqlite(path, RULES, random_bytes=unrandom()), run
    )


def postgres_at(url: str) -> Place:
    """A store in a database."""

    async def run(sql: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url, server_settings=SERVICE_SETTINGS)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return Place(
        PostgresArchive(url),
        lambda: open_postgres(url, RULES, connections=4, random_bytes=unrandom()),
        run,
    )
