"""A pool of connections to PostgreSQL, units of work on it, and the words for its failures.

A session acts for the service; one that is narrowed (`within`) acts for a principal, and sees and
writes what the policies of the tables leave to him (tenancy.py).

A unit of work runs in a task of its own: a caller that is cancelled while it waits leaves it to
finish or roll back by itself, so nothing is half-written and no connection goes back to the pool
in the middle of something. Connections that a restart of the server has broken are replaced.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]

from tracechain.adapters.postgres.statements import Statement
from tracechain.adapters.postgres.tenancy import SERVICE_SETTINGS, OutOfScope, acting_for
from tracechain.domain.errors import DataCorrupted, TracechainError, Unavailable
from tracechain.domain.party import Principal

T = TypeVar("T")
# How long one statement may take, in seconds, and how long a call waits for a free connection.
_PATIENCE = 15.0
# How often a transaction that lost against another one (deadlock, serialization) begins again.
_ATTEMPTS = 8

_SETTINGS = {
    **SERVICE_SETTINGS,
    "application_name": "tracechain",
    # The store's first promise: what returned is on the disk.
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    # Every statement here is a look-up by key; a new table without statistics passes for small.
    "enable_seqscan": "off",
    # The plans depend on no value, and making one takes longer than running it.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # A node that vanished must not keep its rows locked.
    "idle_in_transaction_session_timeout": "30000",
    "tcp_keepalives_idle": "30",
}
# For work on a whole store: nobody waits for it, and a page may be long in coming.
_MAINTENANCE_SETTINGS = {
    **_SETTINGS,
    "enable_seqscan": "on",
    "plan_cache_mode": "auto",
    "idle_in_transaction_session_timeout": "600000",
}
_MAINTENANCE_PATIENCE = 6 * 3600.0
_BUSY = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "53300",  # too_many_connections
    "55P03",  # lock_not_available
    "57014",  # query_canceled
}
_BEGIN_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class _Connection(asyncpg.Connection):  # type: ignore[misc]
    def get_reset_query(self) -> str:
        # Nothing is ever set for a session that had to be unset; asking would cost a round trip
        # each time that a connection is given back. An open transaction is rolled back anyway.
        return ""


class Transaction:
    """One open transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, *parameters: object) -> list[Sequence[Any]]:
        """The rows of a statement."""
        found: list[Sequence[Any]] = await self._connection.fetch(statement.sql, *parameters)
        return found

    async def row(self, statement: Statement, *parameters: object) -> Sequence[Any] | None:
        """The first row of a statement, or none."""
        found: Sequence[Any] | None = await self._connection.fetchrow(statement.sql, *parameters)
        return found

    async def fetch_many(
        self, statement: Statement, calls: Sequence[Sequence[object]]
    ) -> list[Sequence[Any]]:
        """The rows of a statement for each of some parameters, in one round trip."""
        found: list[Sequence[Any]] = await self._connection.fetchmany(statement.sql, calls)
        return found

    async def script(self, text: str, seconds: float = _PATIENCE) -> None:
        """Runs statements that take no parameters: those of a migration, and settings."""
        await self._connection.execute(text, timeout=seconds)


Work = Callable[[Transaction], Awaitable[T]]


class Session:
    """The pool. Every call raises Unavailable (nothing is known to be written; the caller may
    repeat it), DataCorrupted, or ValueError for a value that no store can hold; within a principal
    OutOfScope for a row that is not his to write."""

    def __init__(self, pool: Any, transaction: Callable[[Any], Transaction] = Transaction) -> None:
        self._pool = pool
        self._transaction = transaction
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False
        # What a transaction begins with; empty for the service, as which connections are opened.
        self._acting = ""

    def within(self, principal: Principal) -> Session:
        """The same session, acting for a principal."""
        narrowed = copy.copy(self)
        narrowed._acting = acting_for(principal)
        return narrowed

    async def fetch(self, statement: Statement, *parameters: object) -> list[Sequence[Any]]:
        """The rows of one statement, which is a transaction of its own."""

        async def work(transaction: Transaction) -> list[Sequence[Any]]:
            return await transaction.fetch(statement, *parameters)

        return await self._alone(work)

    async def fetch_many(
        self, statement: Statement, calls: Sequence[Sequence[object]]
    ) -> list[Sequence[Any]]:
        """The rows of one statement for each of some parameters."""

        async def work(transaction: Transaction) -> list[Sequence[Any]]:
            return await transaction.fetch_many(statement, calls)

        return await self._alone(work)

    async def row(self, statement: Statement, *parameters: object) -> Sequence[Any] | None:
        """The first row of one statement, or none."""
        found = await self.fetch(statement, *parameters)
        return found[0] if found else None

    async def _alone(self, work: Work[T]) -> T:
        """One statement. It needs no transaction around it but to say for whom it is."""
        if self._acting:
            return await self.transact(work)

        async def attempt() -> T:
            async with self._pool.acquire(timeout=_PATIENCE) as connection:
                return await work(self._transaction(connection))

        return await self._apart(attempt)

    async def transact(self, work: Work[T]) -> T:
        """Runs `work` in one transaction and returns once it is durable. `work` may run several
        times: what it changes outside of the store it must change anew each time."""

        async def attempt() -> T:
            async with (
                self._pool.acquire(timeout=_PATIENCE) as connection,
                connection.transaction(),
            ):
                transaction = self._transaction(connection)
                if self._acting:
                    await transaction.script(self._acting)
                return await work(transaction)

        async def attempts() -> T:
            for number in range(_ATTEMPTS - 1):
                try:
                    return await attempt()
                except _BEGIN_AGAIN:
                    await asyncio.sleep(0.01 * number)
            return await attempt()

        return await self._apart(attempts)

    async def _apart(self, work: Callable[[], Awaitable[T]]) -> T:
        if self._closed:
            raise Unavailable("STORE_UNAVAILABLE", "the store is closed")
        task = asyncio.ensure_future(_told(work))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Where the caller has left, nobody else asks how it ended.
            task.exception()

    async def close(self) -> None:
        """Finishes what was begun and closes the connections. Harmless when repeated."""
        self._closed = True
        while self._running:
            await asyncio.wait(list(self._running))
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._pool.close()
        except _FAILURES:
            self._pool.terminate()


async def _told(work: Callable[[], Awaitable[T]]) -> T:
    try:
        return await work()
    except _FAILURES as error:
        raise _translated(error) from error


def _translated(error: Exception) -> Exception:
    if isinstance(error, ValueError):
        # A value that no store can hold is no failure of the store.
        return error
    code = getattr(error, "sqlstate", None) or ""
    if code == "42501" and "row-level security" in str(error):
        return OutOfScope(str(error))
    if code.startswith("22"):
        return ValueError("a value that PostgreSQL cannot hold")
    if isinstance(error, TimeoutError):
        return _failure("57014")
    return _failure(code)


def _failure(code: str) -> TracechainError:
    if code in ("XX001", "XX002"):
        return DataCorrupted("STORE_CORRUPTED", "the store's data is damaged")
    if code == "53100":
        return Unavailable("STORE_FULL", "the store's disk is full", retry_after=5.0)
    if code in _BUSY:
        return Unavailable("STORE_BUSY", "the store has more to do than it can")
    return Unavailable("STORE_UNAVAILABLE", "the store cannot serve now")


async def connect(
    url: str, *, connections: int, transaction: Callable[[Any], Transaction] = Transaction
) -> Session:
    """A session on the database at `url` with at most so many connections; `transaction` makes
    what statements go through, from a connection.

    Raises Unavailable: STORE_UNAVAILABLE, STORE_BUSY. What it says never holds the password.
    """

    async def open_pool() -> Any:
        pool = asyncpg.create_pool(
            url,
            # None are kept at any price: whoever needs one makes it, and hears why he cannot.
            min_size=0,
            max_size=connections,
            timeout=_PATIENCE,
            command_timeout=_PATIENCE,
            connection_class=_Connection,
            server_settings=_SETTINGS,
        )
        await pool
        try:
            async with pool.acquire(timeout=_PATIENCE):
                return pool
        except BaseException:
            pool.terminate()
            raise

    try:
        return Session(await _told(open_pool), transaction)
    except ValueError as error:
        raise Unavailable("STORE_UNAVAILABLE", "store_url is no address of PostgreSQL") from error


@asynccontextmanager
async def maintenance(url: str, *, reads_only: bool) -> AsyncIterator[Transaction]:
    """One transaction on a connection of its own, for work on a whole store. One that only reads
    sees the store at one moment; one that writes sees what others commit meanwhile.

    Raises Unavailable, DataCorrupted, and ValueError for a value that no store can hold.
    """
    try:
        connection = await asyncpg.connect(
            url,
            timeout=_PATIENCE,
            command_timeout=_MAINTENANCE_PATIENCE,
            server_settings=_MAINTENANCE_SETTINGS,
        )
    except _FAILURES as error:
        raise _translated(error) from error
    try:
        isolation = "repeatable_read" if reads_only else "read_committed"
        async with connection.transaction(isolation=isolation, readonly=reads_only):
            yield Transaction(connection)
    except _FAILURES as error:
        raise _translated(error) from error
    finally:
        connection.terminate() if connection.is_closed() else await connection.close()
