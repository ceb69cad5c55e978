"""One SQLite connection on a thread of its own, and the words for its failures.

A unit of work runs whole on that thread: begin, statements, commit. A caller that is cancelled
while it waits leaves the work to finish or roll back by itself, so nothing is half-written and
nobody else waits for the one who left.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite

from tracechain.domain.errors import DataCorrupted, TracechainError, Unavailable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class Session(aiosqlite.Connection):
    """An aiosqlite connection that takes whole units of work: one hop to the thread for each.

    `busy_seconds` is how long a write waits for the lock of another process.
    """

    busy_seconds = 5.0

    async def read(self, work: Work[T]) -> T:
        """Runs `work` against one consistent snapshot."""
        return await self._guarded(lambda: _transact(self._conn, "BEGIN", work))

    async def step(self, work: Work[T]) -> T:
        """Runs `work` in the transaction that an earlier step began, or in none: for what takes
        so long that it goes page by page. The session is its caller's alone."""
        return await self._guarded(lambda: work(self._conn))

    async def write(self, work: Work[T]) -> T:
        """Runs `work` in one transaction and returns once it is durable.

        Raises Unavailable (locked, full, read-only: nothing was written) or DataCorrupted.
        """
        asked = time.monotonic()
        return await self._guarded(lambda: self._write(time.monotonic() - asked, work))

    def _write(self, waited: float, work: Work[T]) -> T:
        if waited < self.busy_seconds / 10:
            return _transact(self._conn, "BEGIN IMMEDIATE", work)
        # Queued behind others that may have waited for the same lock: the time is shared, or the
        # tenth in the queue would wait ten times as long.
        self._bear(max(self.busy_seconds - waited, self.busy_seconds / 50))
        try:
            return _transact(self._conn, "BEGIN IMMEDIATE", work)
        finally:
            self._bear(self.busy_seconds)

    def _bear(self, seconds: float) -> None:
        self._conn.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    async def _guarded(self, call: Callable[[], T]) -> T:
        try:
            return await cast("Awaitable[T]", self._execute(call))  # type: ignore[no-untyped-call]
        except sqlite3.Error as error:
            raise _translated(error) from error
        except ValueError as error:
            if self._running and self._connection is not None:
                # A value that no store can hold is no failure of the store.
                raise
            raise Unavailable("STORE_UNAVAILABLE", "the store is closed") from error


def _transact(connection: sqlite3.Connection, begin: str, work: Work[T]) -> T:
    connection.execute(begin)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _translated(error: sqlite3.Error) -> TracechainError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataCorrupted("STORE_CORRUPTED", "the store's file is damaged")
    if code == sqlite3.SQLITE_BUSY:
        return Unavailable("STORE_BUSY", "another process holds the store's lock")
    if code == sqlite3.SQLITE_FULL:
        return Unavailable("STORE_FULL", "the disk is full", retry_after=5.0)
    return Unavailable("STORE_UNAVAILABLE", "the store cannot serve now")


async def connect(path: Path, *, busy_seconds: float, cache_kib: int) -> Session:
    """A session on the file at `path`, made where it is missing.

    Raises Unavailable, and DataCorrupted for a file that is no database.
    """

    def connector() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        _enter_wal(connection, busy_seconds)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{int(cache_kib)}")
        return connection

    session = Session(connector, iter_chunk_size=64)
    session.busy_seconds = busy_seconds
    try:
        return cast("Session", await session)
    except sqlite3.Error as error:
        # Its thread is at its end, and must reach it before the loop that it answers to is gone.
        session._thread.join()
        raise _translated(error) from error


def _enter_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """For this alone SQLite waits for no lock, and of two that open a new file one is refused."""
    end = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
            time.sleep(0.01)


def migrations() -> list[tuple[int, str]]:
    """The numbered SQL files of this package, in order, as (number, text)."""
    folder = resources.files("tracechain.adapters.sqlite") / "migrations"
    found = [
        (int(item.name[:4]), item.read_text())
        for item in folder.iterdir()
        if item.name[:4].isdigit()
    ]
    return sorted(found)


def migrate(connection: sqlite3.Connection) -> int:
    """Brings the schema up to date within the caller's transaction; gives its version.

    Raises Unavailable SCHEMA_TOO_NEW for a file that a newer release has written.
    """
    current = int(connection.execute("PRAGMA user_version").fetchone()[0])
    steps = migrations()
    newest = steps[-1][0]
    if current > newest:
        raise Unavailable(
            "SCHEMA_TOO_NEW", f"the store has schema {current}, this release knows {newest}"
        )
    for number, text in steps:
        if number > current:
            for statement in _statements(text):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
    return newest


def _statements(text: str) -> list[str]:
    """The statements of a script; executescript would commit the caller's transaction."""
    statements: list[str] = []
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
