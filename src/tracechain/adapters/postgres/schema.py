"""The schema: numbered migrations, and a partition for each month of what grows without end.

Promise: of nodes that start at once each sees the whole schema, and each step is taken once: who
migrates holds the one row of `schema_version`. A month that has no partition costs nothing but
that its rows lie in the default one: so making them may fail, and callers never notice.
"""

from __future__ import annotations

import asyncio
import datetime
from importlib import resources

import asyncpg  # type: ignore[import-untyped]
import structlog

from tracechain.adapters.postgres.session import Session, Transaction, Work
from tracechain.adapters.postgres.statements import Statement, statement
from tracechain.domain.errors import TracechainError, Unavailable

_LOG = structlog.get_logger(__name__)
# A step may have to build an index over everything.
_STEP_SECONDS = 3600.0
# Months before the present one and ahead of it that get partitions.
_BEHIND, _AHEAD = 1, 3
_MICROSECONDS = 1_000_000

MAKE_VERSION = statement(
    "MAKE_VERSION",
    'CREATE TABLE IF NOT EXISTS schema_version (name text COLLATE "C" PRIMARY KEY, '
    "version bigint NOT NULL)",
)
FIRST_VERSION = statement(
    "FIRST_VERSION",
    "INSERT INTO schema_version (name, version) VALUES ('store', 0) ON CONFLICT DO NOTHING",
)
HAS_VERSION = statement("HAS_VERSION", "SELECT to_regclass('schema_version') IS NOT NULL")
GET_VERSION = statement("GET_VERSION", "SELECT version FROM schema_version WHERE name = 'store'")
# The update keeps everybody else out until this transaction ends.
HOLD_VERSION = statement(
    "HOLD_VERSION",
    "UPDATE schema_version SET version = version WHERE name = 'store' RETURNING version",
)
SET_VERSION = statement(
    "SET_VERSION", "UPDATE schema_version SET version = $1 WHERE name = 'store'"
)
HAS_TABLE = statement("HAS_TABLE", "SELECT to_regclass($1::text) IS NOT NULL")
# Whoever waits for this lock stops everybody who comes after him.
SHORT_LOCK = statement("SHORT_LOCK", "SET LOCAL lock_timeout = '500ms'")
# Filled with numbers of the calendar and nothing else: it takes no parameters.
_MONTH_OF_SCANS = statement(
    "MONTH_OF_SCANS",
    "CREATE TABLE IF NOT EXISTS scan_{month} PARTITION OF scan "
    "FOR VALUES FROM ({start:d}) TO ({end:d})",
)
_MONTH_OF_EVENTS = statement(
    "MONTH_OF_EVENTS",
    "CREATE TABLE IF NOT EXISTS event_{month} PARTITION OF event "
    "FOR VALUES FROM ({start:d}) TO ({end:d})",
)
_MONTH_OF_AUDIT = statement(
    "MONTH_OF_AUDIT",
    "CREATE TABLE IF NOT EXISTS audit_{month} PARTITION OF audit "
    "FOR VALUES FROM ({start:d}) TO ({end:d})",
)
# Reached through its parent alone, whose policies say who may: see migration 0007.
_CLOSE_MONTH = statement(
    "CLOSE_MONTH_OF_AUDIT",
    "ALTER TABLE audit_{month} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
)
_MONTHLY = (("scan", _MONTH_OF_SCANS), ("event", _MONTH_OF_EVENTS), ("audit", _MONTH_OF_AUDIT))


def migrations() -> list[tuple[int, str]]:
    """The numbered SQL files of this package, in order, as (number, text)."""
    folder = resources.files("tracechain.adapters.postgres") / "migrations"
    found = [
        (int(item.name[:4]), item.read_text())
        for item in folder.iterdir()
        if item.name[:4].isdigit()
    ]
    return sorted(found)


async def migrate(session: Session) -> int:
    """Brings the schema up to date; gives its version.

    Raises Unavailable SCHEMA_TOO_NEW for a store that a newer release has migrated.
    """
    steps = migrations()
    newest = steps[-1][0]
    await _begin(session)
    row = await session.row(GET_VERSION)
    if row is None:
        await session.fetch(FIRST_VERSION)
    elif _known(row[0], newest) == newest:
        return newest

    async def work(transaction: Transaction) -> int:
        held = await transaction.row(HOLD_VERSION)
        current = _known(held[0] if held else 0, newest)
        for number, text in steps:
            if number > current:
                await transaction.script(text, _STEP_SECONDS)
                await transaction.fetch(SET_VERSION, number)
        return newest

    return await session.transact(work)


def _known(current: int, newest: int) -> int:
    if current > newest:
        raise Unavailable(
            "SCHEMA_TOO_NEW", f"the store has schema {current}, this release knows {newest}"
        )
    return current


async def _begin(session: Session) -> None:
    """Makes the version's table where it is missing. IF NOT EXISTS does not help those who do it
    at the very same moment: of them one succeeds, and the others look again."""
    for attempt in range(10):
        found = await session.row(HAS_VERSION)
        if found is not None and found[0]:
            return
        try:
            await session.fetch(MAKE_VERSION)
        except Unavailable as error:
            if not isinstance(
                error.__cause__, (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError,
                                  asyncpg.DuplicateTableError)
            ):  # fmt: skip
                raise
            await asyncio.sleep(0.02 * attempt)


async def prepare_months(session: Session, now: int) -> None:
    """Makes the partitions of the months around `now`, in microseconds. Never raises for one
    that cannot be made: its rows lie in the default partition, where they are found as well."""
    present = datetime.datetime.fromtimestamp(now / _MICROSECONDS, datetime.UTC)
    number = present.year * 12 + present.month - 1
    for month in range(number - _BEHIND, number + _AHEAD + 1):
        for table, template in _MONTHLY:
            name = f"y{month // 12:04d}m{month % 12 + 1:02d}"
            try:
                if not await _is_there(session, f"{table}_{name}"):
                    await session.transact(_making(template, name, month))
            except TracechainError as error:
                if not await _was_made_meanwhile(session, f"{table}_{name}"):
                    cause = str(error.__cause__)
                    _LOG.warning("month_not_made", table=table, month=name, cause=cause)


async def _is_there(session: Session, table: str) -> bool:
    found = await session.row(HAS_TABLE, table)
    return found is not None and bool(found[0])


async def _was_made_meanwhile(session: Session, table: str) -> bool:
    """True where another node was faster: then nothing is amiss."""
    try:
        return await _is_there(session, table)
    except TracechainError:
        return False


def _making(template: Statement, name: str, month: int) -> Work[None]:
    sql = template.sql.format(month=name, start=_start(month), end=_start(month + 1))
    made = Statement(template.name, sql)

    async def work(transaction: Transaction) -> None:
        await transaction.fetch(SHORT_LOCK)
        await transaction.fetch(made)
        if template is _MONTH_OF_AUDIT:
            await transaction.script(_CLOSE_MONTH.sql.format(month=name))

    return work


def _start(month: int) -> int:
    begin = datetime.datetime(month // 12, month % 12 + 1, 1, tzinfo=datetime.UTC)
    return int(begin.timestamp()) * _MICROSECONDS


def month_end(partition: str) -> int:
    """When the month of a partition (`scan_y2026m11`) is over, in microseconds."""
    year, month = partition[-7:-3], partition[-2:]
    return _start(int(year) * 12 + int(month))
