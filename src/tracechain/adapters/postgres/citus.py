"""The tables of a store spread over the machines of a Citus cluster, by batch_key.

Promise: all tables about goods are colocated, so that one key's rows lie on one machine, whatever
table they are in; small tables are copied to every machine. What is distributed already is left
alone, so that work that was cut off goes on where it ended, and a table that a later migration
adds is distributed by the same command. Each table is a transaction of its own: for one that
holds rows it moves them, and nobody writes to it meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracechain.adapters.postgres.archive import PostgresArchive
from tracechain.adapters.postgres.session import maintenance
from tracechain.adapters.postgres.statements import Statement, statement
from tracechain.adapters.tables import TABLES
from tracechain.app.archive import StoreRefused, Table
from tracechain.app.archiving import require_newest

# The one that all others lie with.
_FIRST = "batch"
DEFAULT_SHARDS = 32
# Where a cluster's tables and machines are found, whichever schema Citus itself is in.
HAS_CITUS = statement("HAS_CITUS", "SELECT to_regclass('citus_tables') IS NOT NULL",
                      maintenance=True)  # fmt: skip
LIST_DISTRIBUTED = statement(
    "LIST_DISTRIBUTED",
    "SELECT table_name::text, citus_table_type, distribution_column, colocation_id, shard_count "
    "FROM citus_tables",
    maintenance=True,
)
DISTRIBUTE_FIRST = statement(
    "DISTRIBUTE_FIRST",
    "SELECT create_distributed_table($1::text::regclass, 'batch_key', colocate_with => 'none', "
    "shard_count => $2::int)",
    maintenance=True,
)
DISTRIBUTE_BESIDE = statement(
    "DISTRIBUTE_BESIDE",
    "SELECT create_distributed_table($1::text::regclass, 'batch_key', colocate_with => $2::text)",
    maintenance=True,
)
COPY_TO_ALL = statement(
    "COPY_TO_ALL", "SELECT create_reference_table($1::text::regclass)", maintenance=True
)
# A worker is asked over connections of the coordinator's, which hand on what is set for one
# transaction and nothing that a session was opened with: so there the role has to have it.
BLIND_WORKERS = statement(
    "BLIND_WORKERS",
    "SELECT nodename || ':' || nodeport FROM "
    "run_command_on_workers('SELECT current_setting(''tracechain.tenant'', true)') "
    "WHERE coalesce(result, '') <> 'service' ORDER BY 1",
    maintenance=True,
)
# The row that orders migrations: every machine that may be asked for it has it.
_VERSION = "schema_version"


@dataclass(frozen=True, slots=True)
class Placed:
    """How a table is distributed. `column` is empty for one that every machine has; tables with
    one `group` are colocated."""

    kind: str
    column: str
    group: int
    shards: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of the plan, with its parameters."""

    table: str
    statement: Statement
    parameters: tuple[str | int, ...]


def plan(tables: Sequence[Table], found: Mapping[str, Placed], shards: int) -> list[Step]:
    """What is left to do, in order: copied tables first, since every machine reads them, then the
    table that the others lie with, then those. Months go with their tables. `shards` is 0 where
    any number will do.

    Raises StoreRefused DISTRIBUTED_OTHERWISE for a table that is distributed, and not like this.
    """
    steps = []
    for name in [table.name for table in tables if not table.of_goods] + [_VERSION]:
        if name not in found:
            steps.append(Step(name, COPY_TO_ALL, (name,)))
        elif found[name].kind != "reference":
            raise _otherwise(name, f"it is {found[name].kind}, and has to be on every machine")
    goods = [table.name for table in tables if table.of_goods]
    first = found.get(_FIRST)
    if first is None:
        steps.append(Step(_FIRST, DISTRIBUTE_FIRST, (_FIRST, shards or DEFAULT_SHARDS)))
    for name in goods:
        there = found.get(name)
        if there is None:
            if name != _FIRST:
                steps.append(Step(name, DISTRIBUTE_BESIDE, (name, _FIRST)))
        elif there.kind != "distributed" or there.column != "batch_key":
            raise _otherwise(name, f"it is {there.kind} by {there.column or 'nothing'}")
        elif first is None or there.group != first.group:
            raise _otherwise(name, f"it does not lie with {_FIRST}")
    if first is not None and shards not in (0, first.shards):
        raise _otherwise(_FIRST, f"it has {first.shards} shards, not {shards}")
    return steps


def _otherwise(name: str, how: str) -> StoreRefused:
    return StoreRefused("DISTRIBUTED_OTHERWISE", f"{name} is distributed otherwise: {how}")


async def distribute(url: str, shards: int) -> tuple[list[str], list[str]]:
    """Distributes the store at `url` over `shards` shards, 0 for as many as it has or 32; the
    tables that were distributed now, and those that were before.

    Raises StoreRefused STORE_MISSING, SCHEMA_TOO_OLD, CITUS_MISSING, WORKERS_SEE_NOTHING,
    DISTRIBUTED_OTHERWISE; Unavailable.
    """
    await require_newest(PostgresArchive(url))
    async with maintenance(url, reads_only=True) as transaction:
        has = await transaction.row(HAS_CITUS)
        if not has or not has[0]:
            raise StoreRefused("CITUS_MISSING", "this database has no extension citus")
        if blind := [row[0] for row in await transaction.fetch(BLIND_WORKERS)]:
            raise StoreRefused(
                "WORKERS_SEE_NOTHING",
                f"on {', '.join(blind)} the policies of the tables would show the service nothing",
            )
        rows = await transaction.fetch(LIST_DISTRIBUTED)
    found = {
        name: Placed(kind, column if kind == "distributed" else "", group, count or 0)
        for name, kind, column, group, count in rows
    }
    steps = plan(TABLES, found, shards)
    for step in steps:
        async with maintenance(url, reads_only=False) as transaction:
            await transaction.fetch(step.statement, *step.parameters)
    ours = [*(table.name for table in TABLES), _VERSION]
    return [step.table for step in steps], [name for name in ours if name in found]
