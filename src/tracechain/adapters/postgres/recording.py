"""What a call sends to PostgreSQL, seen where it is sent: for `store statements` and its test.

The store is the real one, in a schema of its own that is gone afterwards; only its transactions
note what passes. Which keys a statement names is read off the parameters that it was sent with,
so a statement that named more than it should would show.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from tracechain.adapters.postgres.session import Transaction, maintenance
from tracechain.adapters.postgres.statements import Statement, statement

_INSERTED = re.compile(r"INSERT INTO \w+ \(([^)]*)\)")
_ASKED = re.compile(r"\bbatch_key = (?:q\.batch_key AND batch_key = )?(?:ANY\()?\$(\d+)")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE) (?!SET\b|LATERAL\b|unnest\b)(\w+)")

# Filled with a name that is made here: it takes no parameters.
_MAKE = statement("MAKE_TRIAL", "CREATE SCHEMA {name}", maintenance=True)
_DROP = statement("DROP_TRIAL", "DROP SCHEMA {name} CASCADE", maintenance=True)
# As Citus does it: the hash of the key's type, over shards that part its 2^32 values evenly.
SHARDS_OF = statement(
    "SHARDS_OF",
    "SELECT key, least($2::bigint - 1, "
    "(hashint8(key)::bigint + 2147483648) / (4294967296 / $2::bigint)) "
    "FROM unnest($1::bigint[]) AS asked (key)",
    maintenance=True,
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement, and the batch keys that it was sent with; none for a reference table."""

    statement: Statement
    keys: frozenset[int]

    @property
    def table(self) -> str:
        """The table that it reads or writes."""
        found = _TABLE.search(self.statement.sql)
        return found[1] if found else ""


class Recorder:
    """Notes what is sent. `transaction` is for open_store."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def transaction(self, connection: Any) -> Transaction:
        """A transaction that is recorded."""
        return _Recorded(connection, self.sent)


class _Recorded(Transaction):
    __slots__ = ("_sent",)

    def __init__(self, connection: Any, sent: list[Sent]) -> None:
        super().__init__(connection)
        self._sent = sent

    async def fetch(self, statement: Statement, *parameters: object) -> list[Sequence[Any]]:
        self._sent.append(Sent(statement, keys_of(statement.sql, parameters)))
        return await super().fetch(statement, *parameters)

    async def row(self, statement: Statement, *parameters: object) -> Sequence[Any] | None:
        self._sent.append(Sent(statement, keys_of(statement.sql, parameters)))
        return await super().row(statement, *parameters)

    async def fetch_many(
        self, statement: Statement, calls: Sequence[Sequence[object]]
    ) -> list[Sequence[Any]]:
        self._sent += (Sent(statement, keys_of(statement.sql, call)) for call in calls)
        return await super().fetch_many(statement, calls)


def keys_of(sql: str, parameters: Sequence[Any]) -> frozenset[int]:
    """The batch keys that a statement names with these parameters."""
    place = -1
    if inserted := _INSERTED.search(sql):
        # What is put comes as one parameter for each column, in their order.
        names = inserted[1].split(", ")
        place = names.index("batch_key") if "batch_key" in names else -1
    elif asked := _ASKED.search(sql):
        place = int(asked[1]) - 1
    if place < 0:
        return frozenset()
    named = parameters[place]
    return frozenset([named] if isinstance(named, int) else named)


@asynccontextmanager
async def trial_schema(url: str) -> AsyncIterator[str]:
    """The URL of an empty schema in the database at `url`, dropped at the end.

    Raises Unavailable, also where the user may make no schema there.
    """
    name = f"tracechain_trial_{secrets.token_hex(6)}"
    await _run(url, _MAKE, name)
    try:
        parts = urlsplit(url)
        # In front of `public`, and in place of it: what lies there is never touched.
        query = "&".join(filter(None, (parts.query, urlencode({"search_path": name}))))
        yield urlunsplit(parts._replace(query=query))
    finally:
        await _run(url, _DROP, name)


async def _run(url: str, template: Statement, name: str) -> None:
    async with maintenance(url, reads_only=False) as transaction:
        await transaction.fetch(Statement(template.name, template.sql.format(name=name)))


async def shards_of(url: str, keys: Iterable[int], shards: int) -> dict[int, int]:
    """On which of so many shards each key lies, from 0."""
    async with maintenance(url, reads_only=True) as transaction:
        found = await transaction.fetch(SHARDS_OF, sorted(keys), shards)
    return {row[0]: row[1] for row in found}
