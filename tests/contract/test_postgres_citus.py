"""Distributing the tables. No Citus here: its functions and its view are stood in for.

The stand-ins note their calls in a table, as Citus notes them in its catalogue, and refuse what
Citus refuses, so that the plan is really carried out, by the statements that a cluster would get.
What they cannot show is that Citus does with them what its manual says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support import postgres_server
from tests.support.stores import postgres_url
from tracechain.adapters.postgres import archive, schema
from tracechain.adapters.postgres.citus import (
    COPY_TO_ALL,
    DISTRIBUTE_BESIDE,
    DISTRIBUTE_FIRST,
    Placed,
    Step,
    distribute,
    plan,
)
from tracechain.adapters.postgres.session import connect
from tracechain.adapters.tables import TABLES
from tracechain.app.archive import Column, Kind, StoreRefused, Table
from tracechain.domain.errors import Unavailable

SMALL = [
    "party", "credential", "issuer_key", "service_secret", "approval", "product", "counter",
    "schema_version",
]  # fmt: skip
GOODS = [
    "batch", "product_lot", "quantity_raise", "allocation", "refused_order", "recall", "event",
    "touch", "document", "scan", "unit_scan", "claim", "claim_try", "link_set", "report",
    "audit", "log_pending", "log_state", "log_leaf", "log_tile", "log_link", "log_chain",
]  # fmt: skip

STAND_IN = """
CREATE SCHEMA stand_in;
GRANT USAGE ON SCHEMA stand_in TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA stand_in GRANT ALL ON TABLES TO PUBLIC;
CREATE TABLE stand_in.placed (
    place bigint, table_name regclass PRIMARY KEY, citus_table_type text,
    distribution_column text, colocation_id int, shard_count int
);
CREATE VIEW pg_catalog.citus_tables AS
    SELECT table_name, citus_table_type, distribution_column, colocation_id, shard_count
    FROM stand_in.placed;
GRANT SELECT ON pg_catalog.citus_tables TO PUBLIC;
CREATE FUNCTION pg_catalog.create_reference_table(table_name regclass) RETURNS void LANGUAGE sql
    AS 'INSERT INTO stand_in.placed
        SELECT count(*), $1, ''reference'', ''<none>'', 1, 1 FROM stand_in.placed';
CREATE FUNCTION pg_catalog.create_distributed_table(
    table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
    colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL
) RETURNS void LANGUAGE sql AS '
    INSERT INTO stand_in.placed SELECT (SELECT count(*) FROM stand_in.placed), $1, ''distributed'',
        (SELECT attname FROM pg_attribute WHERE attrelid = $1 AND attname = $2),
        CASE $4 WHEN ''none'' THEN 7 ELSE
            (SELECT colocation_id FROM stand_in.placed WHERE table_name = $4::regclass) / 1 END,
        coalesce($5, (SELECT shard_count FROM stand_in.placed WHERE table_name = $4::regclass))';
CREATE TABLE stand_in.workers (nodename text, nodeport int, success bool, result text);
INSERT INTO stand_in.workers VALUES ('one', 5432, true, 'service'), ('two', 5432, true, 'service');
CREATE FUNCTION pg_catalog.run_command_on_workers(command text)
    RETURNS SETOF stand_in.workers LANGUAGE sql AS
    'SELECT * FROM stand_in.workers
        WHERE $1 = ''SELECT current_setting(''''tracechain.tenant'''', true)''';
"""


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A migrated store."""
    yield await postgres_url(tmp_path)
    await postgres_server.shared().drop(tmp_path)


async def run(url: str, sql: str) -> list[Any]:
    """What a connection of the test's own finds."""
    # What stands in for an extension is made as one is: by who may do anything.
    connection = await asyncpg.connect(
        url.replace(postgres_server.USER, postgres_server.ADMIN, 1),
        server_settings={"allow_system_table_mods": "on"},
    )
    try:
        if ";" in sql:
            await connection.execute(sql)
            return []
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def placed(url: str) -> list[tuple[str, str, str, int, int]]:
    """What was distributed, in order."""
    return await run(
        url,
        "SELECT table_name::text, citus_table_type, distribution_column, colocation_id, "
        "shard_count FROM stand_in.placed ORDER BY place",
    )


def test_the_plan_is_small_tables_first_then_the_one_that_all_others_lie_with() -> None:
    assert plan(TABLES, {}, 64) == [
        *(Step(name, COPY_TO_ALL, (name,)) for name in SMALL),
        Step("batch", DISTRIBUTE_FIRST, ("batch", 64)),
        *(Step(name, DISTRIBUTE_BESIDE, (name, "batch")) for name in GOODS[1:]),
    ]


def test_what_is_distributed_is_left_and_the_rest_goes_beside_it() -> None:
    found = {name: Placed("reference", "", 1) for name in SMALL}
    found |= {name: Placed("distributed", "batch_key", 9, 48) for name in GOODS}
    assert plan(TABLES, found, 0) == plan(TABLES, found, 48) == []
    more = Table("more", (Column("batch_key", Kind.INTEGER),), ("batch_key",))
    del found["touch"], found["counter"]
    assert plan([*TABLES, more], found, 0) == [
        Step("counter", COPY_TO_ALL, ("counter",)),
        Step("touch", DISTRIBUTE_BESIDE, ("touch", "batch")),
        Step("more", DISTRIBUTE_BESIDE, ("more", "batch")),
    ]


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("party", Placed("distributed", "gln", 3, 32), "every machine"),
        ("scan", Placed("reference", "", 1, 1), "reference"),
        ("scan", Placed("distributed", "unit", 9, 32), "by unit"),
        ("scan", Placed("distributed", "batch_key", 10, 32), "does not lie with batch"),
        ("batch", Placed("distributed", "batch_key", 9, 16), "16 shards, not 32"),
    ],
)
def test_what_is_distributed_otherwise_is_refused(name: str, wrong: Placed, said: str) -> None:
    found = {each: Placed("distributed", "batch_key", 9, 32) for each in GOODS}
    with pytest.raises(StoreRefused, match=said) as refused:
        plan(TABLES, {**found, name: wrong}, 32)
    assert refused.value.reason == "DISTRIBUTED_OTHERWISE"
    assert name in refused.value.message


async def test_it_is_done_once_and_for_what_is_new(url: str) -> None:
    await run(url, STAND_IN)
    assert await distribute(url, 24) == (SMALL + GOODS, [])
    assert await placed(url) == [
        *((name, "reference", "<none>", 1, 1) for name in SMALL),
        *((name, "distributed", "batch_key", 7, 24) for name in GOODS),
    ]
    now, before = await distribute(url, 0)
    assert (now, sorted(before)) == ([], sorted(SMALL + GOODS))
    # As after a migration that added two tables: both lie with the others, in as many shards.
    await run(url, "DELETE FROM stand_in.placed WHERE table_name::text IN ('claim', 'product')")
    assert (await distribute(url, 0))[0] == ["product", "claim"]
    assert (await placed(url))[-1][1:] == ("distributed", "batch_key", 7, 24)


async def test_without_a_word_there_are_32_shards(url: str) -> None:
    await run(url, STAND_IN)
    await distribute(url, 0)
    assert {row[4] for row in await placed(url) if row[1] == "distributed"} == {32}
    with pytest.raises(StoreRefused, match="32 shards, not 64"):
        await distribute(url, 64)


async def test_what_was_cut_off_goes_on(url: str) -> None:
    await run(url, STAND_IN)
    await run(
        url,
        "ALTER TABLE stand_in.placed ADD CONSTRAINT broken CHECK "
        "(table_name <> 'touch'::regclass); SELECT 1",
    )
    with pytest.raises(Unavailable):
        await distribute(url, 0)
    assert [row[0] for row in await placed(url)] == SMALL + GOODS[: GOODS.index("touch")]
    await run(url, "ALTER TABLE stand_in.placed DROP CONSTRAINT broken; SELECT 1")
    now, _ = await distribute(url, 0)
    assert now == GOODS[GOODS.index("touch") :]


async def test_workers_that_would_see_nothing_are_told_of(url: str) -> None:
    await run(url, STAND_IN)
    await run(url, "UPDATE stand_in.workers SET result = NULL WHERE nodename = 'two'; SELECT 1")
    with pytest.raises(StoreRefused, match="two:5432") as refused:
        await distribute(url, 0)
    assert refused.value.reason == "WORKERS_SEE_NOTHING"
    assert await placed(url) == []


async def test_a_server_without_citus_is_told_apart(url: str) -> None:
    with pytest.raises(StoreRefused) as refused:
        await distribute(url, 0)
    assert refused.value.reason == "CITUS_MISSING"


async def test_only_a_store_of_this_release_is_distributed(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await run(url, STAND_IN)
    with monkeypatch.context() as patch:
        patch.setattr(archive.PostgresArchive, "newest", 999)
        with pytest.raises(StoreRefused) as refused:
            await distribute(url, 0)
        assert refused.value.reason == "SCHEMA_TOO_OLD"
    await run(url, "UPDATE schema_version SET version = 999")
    with pytest.raises(Unavailable) as newer:
        await distribute(url, 0)
    assert newer.value.reason == "SCHEMA_TOO_NEW"
    server = postgres_server.shared()
    with pytest.raises(StoreRefused) as refused:
        await distribute(await server.database((tmp_path, "none")), 0)
    assert refused.value.reason == "STORE_MISSING"
    await server.drop((tmp_path, "none"))
    assert await placed(url) == []


async def test_a_later_month_is_made_as_a_part_of_its_parent(url: str) -> None:
    """In Citus a partition of a distributed table is distributed as it is made, if it is made by
    PARTITION OF, at the coordinator: that is all that the store ever does."""
    session = await connect(url, connections=2)
    try:
        await schema.prepare_months(session, 2_000_000_000_000_000)
    finally:
        await session.close()
    found = await run(
        url,
        "SELECT inhparent::regclass::text, inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhrelid::regclass::text LIKE '%y2033m05' ORDER BY 1",
    )
    # Partitioned indexes have parts as well.
    assert ("event", "event_y2033m05") in found
    assert ("scan", "scan_y2033m05") in found
