"""Processes that start at once on a store that has no schema yet, or an older one.

Each must get in and see the newest schema, and each step must have been taken once.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support import postgres_server
from tests.support.stores import RULES
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.adapters.postgres import schema
from tracechain.adapters.sqlite import open_store as open_sqlite
from tracechain.adapters.sqlite import session

ROOT = Path(__file__).resolve().parents[2]
NODES = 4
# A node of this release, or of one that has further steps; it starts when it is told to.
NODE = """
import asyncio, sys
from pathlib import Path
from tracechain.adapters.postgres import open_store as open_postgres, schema
from tracechain.adapters.sqlite import open_store as open_sqlite, session
from tracechain.domain.scan import ScanRules

where, more = sys.argv[1], sys.argv[2:]
for module in (schema, session):
    steps = module.migrations()
    steps += [(steps[-1][0] + n, text) for n, text in enumerate(more, 1)]
    module.migrations = lambda steps=steps: steps

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    if where.startswith("postgresql:"):
        store = await open_postgres(where, ScanRules(), connections=2)
    else:
        store = await open_sqlite(Path(where), ScanRules(), busy_seconds=20)
    print(await store.reserve_key_id(), flush=True)
    await store.close()

asyncio.run(main())
"""
# A step that shows if it is taken twice, though the table would forgive it.
MORE = (
    "CREATE TABLE IF NOT EXISTS added (n bigint);\nINSERT INTO added SELECT count(*) FROM added;",
    "ALTER TABLE added ADD COLUMN note text;\nINSERT INTO added (n) VALUES (100);",
)


@pytest.fixture(params=["sqlite", "postgres"])
async def where(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where nothing is yet."""
    if request.param == "sqlite":
        yield str(tmp_path / "store.sqlite3")
        return
    yield await postgres_server.shared().database(tmp_path)
    await postgres_server.shared().drop(tmp_path)


async def rows(where: str, sql: str) -> list[tuple[Any, ...]]:
    """What is found behind the store's back."""
    if where.startswith("postgresql:"):
        connection = await asyncpg.connect(where)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()
    with closing(sqlite3.connect(where)) as file:
        return file.execute(sql).fetchall()


def started_at_once(where: str, *more: str) -> list[int]:
    """Runs nodes that all start in the same moment; the numbers that they took."""
    with ExitStack() as stack:
        nodes = []
        for _ in range(NODES):
            node = subprocess.Popen(
                [sys.executable, "-c", NODE, where, *more],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            stack.callback(node.kill)
            nodes.append(node)
        for node in nodes:
            assert node.stdout is not None
            assert node.stdout.readline() == "ready\n"
        for node in nodes:
            assert node.stdin is not None
            node.stdin.write("go\n")
            node.stdin.flush()
        ended = [node.communicate(timeout=60) for node in nodes]
        assert [node.returncode for node in nodes] == [0] * NODES, [error for _, error in ended]
        # A node that had to leave a month to another may have said so before.
        return sorted(int(out.split()[-1]) for out, _ in ended)


async def test_nodes_that_start_at_once_on_nothing_all_get_in(where: str) -> None:
    assert await asyncio.to_thread(started_at_once, where) == [*range(1, NODES + 1)]
    names = await rows(where, "SELECT name FROM counter ORDER BY name")
    assert names == [("batch_number",), ("key_id",)]


async def test_nodes_that_start_at_once_on_an_older_store_take_each_step_once(where: str) -> None:
    if where.startswith("postgresql:"):
        store: Any = await open_postgres(where, RULES)
        newest = schema.migrations()[-1][0]
    else:
        store = await open_sqlite(Path(where), RULES)
        newest = session.migrations()[-1][0]
    await store.reserve_key_id()
    await store.close()
    assert await asyncio.to_thread(started_at_once, where, *MORE) == [*range(2, NODES + 2)]
    assert await rows(where, "SELECT n FROM added ORDER BY n") == [(0,), (100,)]
    version = (
        "SELECT version FROM schema_version"
        if where.startswith("postgresql:")
        else "PRAGMA user_version"
    )
    assert await rows(where, version) == [(newest + len(MORE),)]
