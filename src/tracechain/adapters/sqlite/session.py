"""One SQLite connection on a thread of its own, and the words for its failures.

A unit of work runs whole on that thread: begin, statements, commit. A caller that is cancelled
while it waits leaves the work to finish or roll back by itself, so nothing is half-written and
nobody else waits for the one who left.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite

from tracechain.domain.errors import DataCorrupted, TracechainError, Unavailable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
# Pages (of 4 KiB) of the log after which a commit copies them into the database. SQLite's own 1000
# are a few hundred small commits: copying would be a good part of their work, and who comes then
# waits for it.
_CHECKPOINT_PAGES = 4000
# When a work was asked for, the work, and who hears of it.
_Asked = tuple[float, Callable[[sqlite3.Connection], Any], "asyncio.Future[Any]"]


class Session(aiosqlite.Connection):
    """An aiosqlite connection that takes whole units of work: one hop to the thread for each.

    `busy_seconds` is how long a write waits for the lock of another process.
    """

    busy_seconds = 5.0

    def __init__(self, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> None:
        super().__init__(connector, iter_chunk_size)
        self._waiting: list[_Asked] = []
        self._writing: asyncio.Task[None] | None = None

    async def read(self, work: Work[T]) -> T:
        """Runs `work` against one consistent snapshot."""
        return await self._guarded(lambda: _transact(self._conn, "BEGIN", work))

    async def step(self, work: Work[T]) -> T:
        """Runs `work` in the transaction that an earlier step began, or in none: for what takes
        so long that it goes page by page. The session is its caller's alone."""
        return await self._guarded(lambda: work(self._conn))

    async def write(self, work: Work[T]) -> T:
        """Runs `work` as one whole and returns once it is durable. Works that wait together share
        a transaction, for what is dear is the disk: each stands or falls alone, and one may run
        again where the transaction fell.

        Raises Unavailable (locked, full, read-only: nothing was written) or DataCorrupted.
        """
        asked: _Asked = (time.monotonic(), work, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        # The work is the session's: a caller that is cancelled leaves it to be done.
        return cast("T", await asyncio.shield(asked[2]))

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                outcomes = await self._guarded(partial(self._write, group))
            except Exception as error:
                outcomes = [error] * len(group)
            for (_, _, done), outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    done.set_exception(_own(outcome))
                    # Where the caller has left, nobody else asks how it ended.
                    done.exception()
                else:
                    done.set_result(outcome[0])

    def _write(self, group: list[_Asked]) -> list[Any]:
        """What became of each: a tuple of its result, or an error."""
        waited = time.monotonic() - group[0][0]
        if waited < self.busy_seconds / 10:
            return self._done(group)
        # Queued behind others that may have waited for the same lock: the time is shared, or the
        # tenth in the queue would wait ten times as long.
        self._bear(max(self.busy_seconds - waited, self.busy_seconds / 50))
        try:
            return self._done(group)
        finally:
            self._bear(self.busy_seconds)

    def _done(self, group: list[_Asked]) -> list[Any]:
        if len(group) > 1:
            try:
                return _transact(self._conn, "BEGIN IMMEDIATE", partial(_each, group))
            except _Fallen:
                pass
        return [self._alone(work) for _, work, _ in group]

    def _alone(self, work: Work[Any]) -> Any:
        try:
            return (_transact(self._conn, "BEGIN IMMEDIATE", work),)
        except sqlite3.Error as error:
            return _translated(error)
        except Exception as error:
            return error

    async def close(self) -> None:
        """Finishes what was queued and closes the file."""
        while self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])
        await super().close()

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


class _Fallen(Exception):
    """The transaction of a group was rolled back by one of them: each has to be done alone."""


def _each(group: list[_Asked], connection: sqlite3.Connection) -> list[Any]:
    outcomes: list[Any] = []
    for _, work, _ in group:
        connection.execute("SAVEPOINT work")
        try:
            outcomes.append((work(connection),))
            connection.execute("RELEASE work")
        except sqlite3.Error as error:
            # A full disk takes the whole transaction with it, or may: nobody is told of it for
            # what was done by others.
            raise _Fallen from error
        except Exception as error:
            outcomes.append(error)
            connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
    return outcomes


def _own(error: Exception) -> Exception:
    # Each caller gets its own object: a traceback grows with every raise.
    if isinstance(error, Unavailable):
        return Unavailable(error.reason, error.message, retry_after=error.retry_after)
    return error


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
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
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
