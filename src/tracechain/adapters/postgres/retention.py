"""Dropping what is old in PostgreSQL: the RetentionStore port.

A month that is over is dropped whole, in no time and whatever it holds. What lies in no month (rows
of a store that was imported, of a clock that was wrong) and what is not kept by month goes row by
row, in the order of the key. Statements here read every shard on purpose: no call waits for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import structlog

from tracechain.adapters.kept_rows import STEP, TIMES, kept_table
from tracechain.adapters.postgres.archive import arrays_of
from tracechain.adapters.postgres.schema import SHORT_LOCK, month_end
from tracechain.adapters.postgres.session import Session, Transaction
from tracechain.adapters.postgres.statements import Statement, columns, statement
from tracechain.app.ports import DropStep
from tracechain.domain.errors import TracechainError
from tracechain.domain.retention import Kept

_LOG = structlog.get_logger(__name__)
_BY_MONTH = (Kept.SCAN, Kept.AUDIT)
_MONTH = re.compile(r"(?:scan|audit)_y\d{4}m\d{2}")

TAKE_TURN = statement(
    "TAKE_TURN",
    "INSERT INTO counter (name, value) VALUES ('retention', $2) ON CONFLICT (name) "
    "DO UPDATE SET value = excluded.value WHERE counter.value <= $1 RETURNING value",
)
PASS_TURN = statement(
    "PASS_TURN",
    "UPDATE counter SET value = $2 WHERE name = 'retention' AND value = $1 RETURNING value",
)
LIST_MONTHS = statement(
    "LIST_MONTHS",
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass",
    maintenance=True,
)
# Filled with the name of a month that the catalogue gave and a pattern allows.
_DROP_MONTH = statement("DROP_MONTH", "DROP TABLE {month}", maintenance=True)


def _where(what: Kept) -> str:
    # The default month by its own name: those that are not over need not be looked through.
    name = kept_table(what).name
    return f"{name}_default" if what in _BY_MONTH else name


def _page(what: Kept, *, is_first: bool) -> Statement:
    key = ", ".join(kept_table(what).key)
    places = ", ".join(f"${n}" for n in range(1, len(kept_table(what).key) + 1))
    behind = "" if is_first else f"WHERE ({key}) > ({places}) "
    return statement(
        f"{'FIRST' if is_first else 'NEXT'}_KEPT_{what.name}",
        f"SELECT {TIMES[what]}, {key} FROM {_where(what)} {behind}ORDER BY {key} LIMIT {STEP}",
        maintenance=True,
    )


def _drop(what: Kept) -> Statement:
    table = kept_table(what)
    key_columns = [table.columns[place] for place in table.key_places]
    last = len(key_columns) + 1
    return statement(
        f"DROP_KEPT_{what.name}",
        # Looked at again: a try may have begun a new window since.
        f"DELETE FROM {_where(what)} WHERE batch_key = ANY($1) AND {TIMES[what]} < ${last} "
        f"AND ({', '.join(table.key)}) IN (SELECT * FROM unnest({arrays_of(key_columns)})) "
        "RETURNING batch_key",
        maintenance=True,
    )


_FIRST = {what: _page(what, is_first=True) for what in Kept}
_NEXT = {what: _page(what, is_first=False) for what in Kept}
_DROP = {what: _drop(what) for what in Kept}


class RetentionPart:
    """See tracechain.app.ports.RetentionStore."""

    _session: Session

    async def take_turn(self, now: int, until: int) -> bool:
        return await self._session.row(TAKE_TURN, now, until) is not None

    async def pass_turn(self, held: int, until: int) -> bool:
        return await self._session.row(PASS_TURN, held, until) is not None

    async def drop_old(self, what: Kept, before: int, after: tuple[object, ...]) -> DropStep:
        if not after and what in _BY_MONTH:
            await self._drop_months(what, before)
        chosen = _NEXT[what] if after else _FIRST[what]
        page = await self._session.fetch(chosen, *after)
        old = [tuple(row[1:]) for row in page if row[0] < before]
        dropped: Sequence[Any] = ()
        if old:
            dropped = await self._session.fetch(_DROP[what], *columns(old), before)
        return DropStep(len(dropped), tuple(page[-1][1:]) if len(page) == STEP else None)

    async def _drop_months(self, what: Kept, before: int) -> None:
        for (name,) in await self._session.fetch(LIST_MONTHS, kept_table(what).name):
            if _MONTH.fullmatch(name) and month_end(name) <= before:
                try:
                    await self._session.transact(_dropping(name))
                except TracechainError as error:
                    # Somebody reads it at length; the next turn tries again.
                    _LOG.warning("month_not_dropped", month=name, cause=str(error.__cause__))


def _dropping(name: str) -> Any:
    made = Statement(_DROP_MONTH.name, _DROP_MONTH.sql.format(month=name), maintenance=True)

    async def work(transaction: Transaction) -> None:
        await transaction.fetch(SHORT_LOCK)
        await transaction.fetch(made)

    return work
