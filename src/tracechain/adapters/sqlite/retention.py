"""Dropping what is old in SQLite: the RetentionStore port.

Old rows are looked for by the reader, page by page in the order of the key, and dropped by key in
short writes: a search by time on the writer would keep scans waiting while it reads everything.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from tracechain.adapters.kept_rows import STEP, TIMES, kept_table
from tracechain.adapters.sqlite.session import Session
from tracechain.app.ports import DropStep
from tracechain.domain.retention import Kept

_TAKE = (
    "INSERT INTO counter (name, value) VALUES ('retention', ?2) ON CONFLICT (name) "
    "DO UPDATE SET value = excluded.value WHERE counter.value <= ?1 RETURNING value"
)
_PASS = "UPDATE counter SET value = ?2 WHERE name = 'retention' AND value = ?1 RETURNING value"


def _page(what: Kept, *, is_first: bool) -> str:
    table = kept_table(what)
    key = ", ".join(table.key)
    behind = "" if is_first else f"WHERE ({key}) > ({', '.join('?' * len(table.key))}) "
    return f"SELECT {TIMES[what]}, {key} FROM {table.name} {behind}ORDER BY {key} LIMIT {STEP}"


def _drop(what: Kept) -> str:
    table = kept_table(what)
    found = " AND ".join(f"{column} = ?" for column in table.key)
    # Looked at again: a try may have begun a new window since.
    return f"DELETE FROM {table.name} WHERE {found} AND {TIMES[what]} < ?"


_FIRST = {what: _page(what, is_first=True) for what in Kept}
_NEXT = {what: _page(what, is_first=False) for what in Kept}
_DROP = {what: _drop(what) for what in Kept}


class RetentionPart:
    """See tracechain.app.ports.RetentionStore."""

    _writer: Session
    _reader: Session

    async def take_turn(self, now: int, until: int) -> bool:
        return await self._turned(_TAKE, now, until)

    async def pass_turn(self, held: int, until: int) -> bool:
        return await self._turned(_PASS, held, until)

    async def _turned(self, sql: str, *moments: int) -> bool:
        return await self._writer.write(
            lambda connection: connection.execute(sql, moments).fetchone() is not None
        )

    async def drop_old(self, what: Kept, before: int, after: tuple[object, ...]) -> DropStep:
        def read(connection: sqlite3.Connection) -> list[Any]:
            if not after:
                return connection.execute(_FIRST[what]).fetchall()
            return connection.execute(_NEXT[what], after).fetchall()

        page = await self._reader.read(read)
        old = [(*key, before) for time, *key in page if time < before]
        dropped = 0
        if old:

            def write(connection: sqlite3.Connection) -> int:
                return connection.executemany(_DROP[what], old).rowcount

            dropped = await self._writer.write(write)
        return DropStep(dropped, tuple(page[-1][1:]) if len(page) == STEP else None)
