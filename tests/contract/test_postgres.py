"""PostgreSQL itself: opened by many at once, of another release, restarted under load, racing.

These are promises of this backend alone. What must never happen: something that was acknowledged
is gone after a crash, or two nodes decide the same thing twice.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import structlog

from tests.support import postgres_server
from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer
from tests.support.stores import (
    RULES,
    batch,
    digest,
    event,
    event_id,
    fresh_key,
    mark,
    order,
    party,
    scan,
    thing,
    touch,
)
from tracechain.adapters.postgres import PostgresStore, open_store, schema
from tracechain.adapters.postgres.session import _failure
from tracechain.adapters.postgres.statements import EVERY
from tracechain.adapters.postgres.tenancy import SERVICE_SETTINGS
from tracechain.domain.claim import ClaimAttempt, ClaimStatus
from tracechain.domain.errors import DataCorrupted, TracechainError, Unavailable

GTIN = "06901234000018"
MONTH = 1_795_000_000_000_000  # in November 2026


@pytest.fixture
def server() -> PostgresServer:
    """The session's server."""
    return postgres_server.shared()


@pytest.fixture
async def empty(server: PostgresServer, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    yield await server.database(tmp_path)
    await server.drop(tmp_path)


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """A server that a test may kill, and that flushes as in operation."""
    with PostgresServer(durable=True) as running:
        yield running


@asynccontextmanager
async def opened(url: str, connections: int = 4) -> AsyncIterator[PostgresStore]:
    """A store that is closed again."""
    store = await open_store(url, RULES, connections=connections)
    try:
        yield store
    finally:
        await store.close()


async def rows(url: str, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    """What a connection of the test's own finds."""
    connection = await asyncpg.connect(url, server_settings=SERVICE_SETTINGS)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *parameters)]
    finally:
        await connection.close()


async def tables(url: str) -> list[tuple[object, ...]]:
    """Every table and index."""
    return await rows(
        url,
        "SELECT relname, relkind::text FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    )


async def test_many_that_open_a_new_database_at_once_all_get_in(
    server: PostgresServer, tmp_path: Path
) -> None:
    for number in range(3):
        url = await server.database((tmp_path, number))
        stores = await asyncio.gather(*(open_store(url, RULES, connections=2) for _ in range(6)))
        ids = await asyncio.gather(*(store.reserve_key_id() for store in stores))
        assert sorted(ids) == [1, 2, 3, 4, 5, 6]
        for store in stores:
            await store.close()
        await server.drop((tmp_path, number))


async def test_opening_again_changes_nothing(empty: str) -> None:
    async with opened(empty) as store:
        kept = await store.put_party(party(2))
    before = await tables(empty)
    async with opened(empty) as one, opened(empty) as two:
        assert await one.get_party(kept.gln) == kept
        assert await two.get_party(kept.gln) == kept
    assert await tables(empty) == before
    newest = schema.migrations()[-1][0]
    assert await rows(empty, "SELECT name, version FROM schema_version") == [("store", newest)]


async def test_a_store_of_a_newer_release_is_refused_and_left_alone(empty: str) -> None:
    async with opened(empty):
        pass
    await rows(empty, "UPDATE schema_version SET version = 999")
    before = await tables(empty)
    with pytest.raises(Unavailable) as refused:
        await open_store(empty, RULES)
    assert refused.value.reason == "SCHEMA_TOO_NEW"
    assert "999" in refused.value.message
    assert await tables(empty) == before


async def test_a_migration_that_fails_leaves_the_store_as_it_was(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(empty):
        pass
    before, steps = await tables(empty), schema.migrations()
    broken = "CREATE TABLE more (a bigint); INSERT INTO nowhere VALUES (1);"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: [*steps, (steps[-1][0] + 1, broken)])
        with pytest.raises(Unavailable):
            await open_store(empty, RULES)
    assert await tables(empty) == before
    async with opened(empty) as store:
        await store.check()


async def test_months_are_made_ahead_by_all_nodes_at_once(empty: str) -> None:
    async with opened(empty) as one, opened(empty) as two:
        await asyncio.gather(
            *(schema.prepare_months(each._session, MONTH) for each in (one, two) * 3)
        )
        names = {name for name, _ in await tables(empty)}
        for table in ("scan", "event"):
            assert {f"{table}_y2026m{m}" for m in (10, 11, 12)} <= names
            assert {f"{table}_y2027m{m}" for m in ("01", "02")} <= names
        key = fresh_key()
        await one.record_scans([scan(key, 1, "now", MONTH), scan(key, 2, "ancient", 5)])
        where = "SELECT tableoid::regclass::text FROM scan WHERE batch_key = $1 ORDER BY unit"
        assert await rows(empty, where, key) == [("scan_y2026m11",), ("scan_default",)]


async def test_a_month_whose_rows_lie_in_the_default_already_stays_there(empty: str) -> None:
    far = MONTH + 12 * 365 * 86_400_000_000
    async with opened(empty) as store:
        said = digest("far", far)
        await store.append_events([event(said)])
        with structlog.testing.capture_logs() as logged:
            await schema.prepare_months(store._session, far)
        assert [(line["event"], line["table"]) for line in logged] == [("month_not_made", "event")]
        # What could be made was made, and nobody misses anything.
        assert len({name for name, _ in await tables(empty) if "_y2038m" in str(name)}) >= 8
        assert await store.get_events([(event_id("far"), b"")]) == [event(said).event]
        assert await store.append_events([event(said)]) == [False]


async def test_who_finds_a_table_locked_makes_no_month_and_holds_up_nobody(empty: str) -> None:
    async with opened(empty) as store:
        other = await asyncpg.connect(empty)
        held = other.transaction()
        await held.start()
        await other.execute("LOCK TABLE scan IN ACCESS SHARE MODE")
        with structlog.testing.capture_logs() as logged:
            await schema.prepare_months(store._session, MONTH + 5 * 365 * 86_400_000_000)
        assert {line["table"] for line in logged} == {"scan"}
        await held.rollback()
        await other.close()


async def test_nodes_that_register_one_lot_at_once_get_one_number(empty: str) -> None:
    async with opened(empty) as one, opened(empty) as two:
        for lot in range(10):
            kept = await asyncio.gather(
                *((one, two)[n % 2].put_batch(batch(GTIN, f"L{lot}")) for n in range(6))
            )
            assert len({each.batch_number for each in kept}) == 1
            assert await one.find_batch(GTIN, f"L{lot}") == kept[0]
        assert len(await one.list_batches(GTIN, 0, 100)) == 10
        assert await rows(empty, "SELECT count(*) FROM batch") == [(10,)]


async def test_nodes_that_race_for_many_units_lose_no_scan(empty: str) -> None:
    async with opened(empty) as one, opened(empty) as two, opened(empty) as three:
        stores, key = (one, two, three), fresh_key()
        # In orders of their own, some units twice: growth differs between nodes.
        groups = [
            [scan(key, (n * step) % 31, (group, n), n) for n in range(40)]
            for group, step in enumerate((1, 3, 7, 11, 13, 17, 19, 23, 29))
        ]
        answers = await asyncio.gather(
            *(stores[i % 3].record_scans(group) for i, group in enumerate(groups))
        )
        counts: dict[int, list[int]] = {}
        for group, found in zip(groups, answers, strict=True):
            for told, answer in zip(group, found, strict=True):
                before = answer.history.before
                counts.setdefault(told.unit, []).append(before.count if before else 0)
        assert all(sorted(found) == list(range(len(found))) for found in counts.values())
        kept = await rows(empty, "SELECT count(*) FROM scan WHERE batch_key = $1", key)
        assert kept == [(sum(map(len, groups)),)]


async def test_nodes_that_race_for_a_claim_count_every_try(empty: str) -> None:
    async with opened(empty) as one, opened(empty) as two:
        key = fresh_key()
        tries = [ClaimAttempt(key, 1, mark("me"), 1000, False) for _ in range(12)]
        answers = await asyncio.gather(*((one, two)[n % 2].claim(t) for n, t in enumerate(tries)))
        statuses = [answer.status for answer in answers]
        assert statuses.count(ClaimStatus.WRONG_PIN) == 5
        assert statuses.count(ClaimStatus.TOO_MANY_TRIES) == 7
        assert sorted(a.tries_left for a in answers) == [0] * 8 + [1, 2, 3, 4]


async def test_a_caller_that_leaves_breaks_no_connection_and_halves_no_write(empty: str) -> None:
    async with opened(empty, connections=2) as store:
        lot = await store.put_batch(batch(GTIN))
        calls = [
            asyncio.ensure_future(store.allocate(order(lot.batch_number, f"r{n}", 1)))
            for n in range(60)
        ]
        # Some have not begun, some are in the middle of their transaction.
        for call in calls[::2]:
            await asyncio.sleep(0.001)
            call.cancel()
        stayed = await asyncio.wait_for(asyncio.gather(*calls[1::2]), 30)
        async with asyncio.timeout(30):
            while store._session._running:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        runs = await store.list_allocations(lot.batch_number)
        assert {answer.allocation for answer in stayed} <= set(runs)
        assert [run.first_index for run in runs] == list(range(len(runs)))
        kept = await store.get_batch(lot.batch_number)
        assert kept is not None
        assert kept.issued_quantity == len(runs)
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    assert await rows(empty, idle) == [(0,)]


async def test_a_close_finishes_what_was_begun_and_then_says_no(empty: str) -> None:
    store, key = await open_store(empty, RULES, connections=2), fresh_key()
    writes = [asyncio.ensure_future(store.record_scans([scan(key, 1, n)])) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    found = [answer.history.before for (answer,) in await asyncio.gather(*writes)]
    assert sorted(before.count if before else 0 for before in found) == list(range(20))
    for call in (store.get_party("x"), store.put_party(party(2)), store.check()):
        with pytest.raises(Unavailable) as refused:
            await call
        assert refused.value.reason == "STORE_UNAVAILABLE"


async def test_what_was_acknowledged_outlives_a_crash_and_service_goes_on(
    mortal: PostgresServer, tmp_path: Path
) -> None:
    url = await mortal.database(tmp_path)
    async with opened(url) as store:
        key, stop = fresh_key(), asyncio.Event()
        lot = await store.put_batch(batch(GTIN, quantity=10**6))
        scanned: list[int] = []
        kept: list[int] = []
        ordered: list[str] = []
        failures: list[TracechainError] = []

        async def work(worker: int) -> None:
            number = worker
            while not stop.is_set():
                number += 10
                said = digest((key, number), number)
                try:
                    await store.record_scans([scan(key, number, number, number)])
                    scanned.append(number)
                    await store.append_events([event(said, [touch(key, number, number + 1, said)])])
                    kept.append(number)
                    await store.allocate(order(lot.batch_number, f"r{number}", 1))
                    ordered.append(f"r{number}")
                except TracechainError as error:
                    failures.append(error)
                    await asyncio.sleep(0.02)

        workers = [asyncio.create_task(work(n)) for n in range(6)]

        async def more(beyond: int) -> None:
            async with asyncio.timeout(60):
                while len(ordered) < beyond:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        await more(30)
        for _ in range(2):
            await asyncio.to_thread(mortal.kill)
            async with asyncio.timeout(60):
                seen = len(failures)
                while len(failures) == seen:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(mortal.restart)
            await more(len(ordered) + 30)
        stop.set()
        await asyncio.gather(*workers)
        assert {error.reason for error in failures} <= {"STORE_UNAVAILABLE", "STORE_BUSY"}
        again = await store.record_scans([scan(key, n, "again", 10**9) for n in scanned])
        assert all(answer.history.before for answer in again)
        events = await store.get_events([(event_id((key, n)), b"") for n in kept])
        assert None not in events
        touches = await store.touches([thing(key, n) for n in kept], 10)
        assert [len(found) for found in touches] == [1] * len(kept)
        runs = await store.list_allocations(lot.batch_number)
        assert set(ordered) <= {run.request_id for run in runs}
        assert [run.first_index for run in runs] == list(range(len(runs)))


async def test_where_nobody_answers_it_is_said_and_no_password_is_shown(
    mortal: PostgresServer,
) -> None:
    for url in (
        f"postgresql://me:hunter2@127.0.0.1:{free_port()}/none",
        f"postgresql://me:hunter2@127.0.0.1:{mortal.port}/none",
        "nonsense",
    ):
        with pytest.raises(Unavailable) as refused:
            await open_store(url, RULES)
        assert refused.value.reason == "STORE_UNAVAILABLE"
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("53100", Unavailable, "STORE_FULL"),
        ("53300", Unavailable, "STORE_BUSY"),
        ("40P01", Unavailable, "STORE_BUSY"),
        ("55P03", Unavailable, "STORE_BUSY"),
        ("57P01", Unavailable, "STORE_UNAVAILABLE"),
        ("08006", Unavailable, "STORE_UNAVAILABLE"),
        ("25006", Unavailable, "STORE_UNAVAILABLE"),
        ("XX001", DataCorrupted, "STORE_CORRUPTED"),
        ("XX002", DataCorrupted, "STORE_CORRUPTED"),
    ],
)
def test_every_state_has_a_word(code: str, kind: type[TracechainError], reason: str) -> None:
    error = _failure(code)
    assert isinstance(error, kind)
    assert error.reason == reason


async def test_a_store_that_may_only_be_read_says_so(empty: str) -> None:
    async with opened(empty):
        pass
    name = empty.rpartition("/")[2]
    await rows(empty, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with opened(empty) as store:
        assert await store.get_party("x") is None
        with pytest.raises(Unavailable) as refused:
            await store.check()
        assert refused.value.reason == "STORE_UNAVAILABLE"


async def test_text_that_postgresql_cannot_hold_is_no_failure_of_the_store(empty: str) -> None:
    async with opened(empty) as store:
        for call in (store.get_party("a\x00b"), store.put_party(party(2, region="a\x00b"))):
            with pytest.raises(ValueError, match=r"."):
                await call
        await store.check()


async def test_look_ups_go_by_their_keys_before_there_are_statistics(empty: str) -> None:
    async with opened(empty):
        pass
    connection = await asyncpg.connect(empty)
    try:
        await connection.execute(
            "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"
        )
        for name, parameters in (
            ("LEVELS_OF", ([1], [1, 1], [0, 1])),
            ("COVERING", ([1], [1, 1], [5, 6], [5, 6], [0, 1], [1, 16])),
            ("GET_SUMMARIES", ([1], [1, 1], [5, 6])),
            ("OVERLAPPING", ([1], [1], [5], [6], [0], 1 << 60, 10)),
            ("GET_EVENTS", ([1], [1], [b"a"], [b""])),
        ):
            plan = "\n".join(
                row[0] for row in await connection.fetch("EXPLAIN " + EVERY[name].sql, *parameters)
            )
            # Nothing is joined by comparing each with each.
            assert "Join Filter" not in plan, plan
            assert "Seq Scan" not in plan, plan
            assert re.search(r"Index Cond: .*batch_key = q\.batch_key", plan), plan
    finally:
        await connection.close()


async def test_who_waits_too_long_for_a_connection_is_told(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracechain.adapters.postgres.session._PATIENCE", 0.5)
    async with opened(empty, connections=2) as store:
        lot = await store.put_batch(batch(GTIN))
        other = await asyncpg.connect(empty, server_settings=SERVICE_SETTINGS)
        held = other.transaction()
        await held.start()
        await other.execute(f"SELECT 1 FROM batch WHERE batch_key = {lot.batch_number} FOR UPDATE")
        began = time.monotonic()
        answers = await asyncio.gather(
            *(store.allocate(order(lot.batch_number, f"r{n}", 1)) for n in range(4)),
            return_exceptions=True,
        )
        assert [getattr(a, "reason", a) for a in answers] == ["STORE_BUSY"] * 4
        # And not as long as a lock lasts that nobody gives back.
        assert time.monotonic() - began < 60
        await held.rollback()
        await other.close()
        answer = await store.allocate(order(lot.batch_number, "r", 1))
        assert answer.allocation is not None
        assert answer.allocation.first_index == 0
