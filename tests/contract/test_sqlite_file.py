"""The SQLite file itself: opened twice, by many at once, of another release, damaged, closed.

These are promises of this backend alone. What must never happen: a file that is not ours or not
of our time gets written to.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.support.stores import RULES, batch, fresh_key, order, party, scan
from tracechain.adapters.sqlite import SqliteStore, open_store, session
from tracechain.domain.errors import DataCorrupted, TracechainError, Unavailable

OPEN_AND_WRITE = """
import asyncio, sys
from pathlib import Path
from tracechain.adapters.sqlite import open_store
from tracechain.domain.scan import ScanRules

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    store = await open_store(Path(sys.argv[1]), ScanRules())
    print(await store.reserve_key_id(), flush=True)
    await store.close()

asyncio.run(main())
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the store is; the folder above it is not there yet."""
    return tmp_path / "data" / "store.sqlite3"


@asynccontextmanager
async def opened(file: Path, busy_seconds: float = 5.0) -> AsyncIterator[SqliteStore]:
    """A store that is closed again."""
    store = await open_store(file, RULES, busy_seconds=busy_seconds)
    try:
        yield store
    finally:
        await store.close()


def written(file: Path, content: bytes) -> None:
    """Makes a file with this content, and the folders above it."""
    file.parent.mkdir(parents=True)
    file.write_bytes(content)


def read(file: Path) -> bytes:
    """What is in a file."""
    return file.read_bytes()


def version(file: Path) -> int:
    """The schema that a file says it has."""
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def tables(file: Path) -> list[tuple[str, ...]]:
    """The schema that a file has."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


async def test_opening_again_changes_nothing(file: Path) -> None:
    async with opened(file) as store:
        kept = await store.put_party(party(2))
    schema, number = tables(file), version(file)
    async with opened(file) as one, opened(file) as two:
        assert await one.get_party(kept.gln) == kept
        assert await two.get_party(kept.gln) == kept
    assert (tables(file), version(file)) == (schema, number)


async def test_every_statement_of_every_migration_was_run(file: Path) -> None:
    async with opened(file):
        pass
    steps = session.migrations()
    wanted = sum(text.count("CREATE TABLE ") + text.count("CREATE INDEX ") for _, text in steps)
    assert len([name for name, sql in tables(file) if sql]) == wanted
    assert version(file) == steps[-1][0]
    numbers = [number for number, _ in steps]
    # A number may be missing: what was written beside it got the next one.
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


def test_processes_that_open_a_new_file_at_once_all_get_in(file: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AND_WRITE, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=30) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * 4, said
    assert sorted(out for out, _ in said) == ["1\n", "2\n", "3\n", "4\n"]


async def test_many_that_open_a_new_file_at_once_all_get_in(file: Path) -> None:
    for number in range(5):
        path = file.with_name(f"{number}.sqlite3")
        stores = await asyncio.gather(*(open_store(path, RULES) for _ in range(6)))
        ids = await asyncio.gather(*(store.reserve_key_id() for store in stores))
        assert sorted(ids) == [1, 2, 3, 4, 5, 6]
        for store in stores:
            await store.close()


async def test_who_opens_a_file_that_another_is_making_waits_for_it(file: Path) -> None:
    written(file, b"")
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        # Not in WAL mode yet: here SQLite itself refuses at once instead of waiting.
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(open_store(file, RULES))
        done, _ = await asyncio.wait([opening], timeout=0.2)
        assert not done
        other.execute("ROLLBACK")
        await (await opening).close()

        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as refused:
            await open_store(file, RULES, busy_seconds=0.1)
        assert refused.value.reason == "STORE_BUSY"


async def test_a_store_of_a_newer_release_is_refused_and_left_alone(file: Path) -> None:
    async with opened(file) as store:
        await store.put_party(party(2))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 999")
    schema = tables(file)
    with pytest.raises(Unavailable) as refused:
        await open_store(file, RULES)
    assert refused.value.reason == "SCHEMA_TOO_NEW"
    assert "999" in refused.value.message
    assert (tables(file), version(file)) == (schema, 999)


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(file) as store:
        kept = await store.put_party(party(2))
    schema, number = tables(file), version(file)
    steps = session.migrations()
    broken = "CREATE TABLE more (a INTEGER);\nINSERT INTO nowhere VALUES (1);\n"
    with monkeypatch.context() as patch:
        patch.setattr(session, "migrations", lambda: [*steps, (number + 1, broken)])
        with pytest.raises(Unavailable):
            await open_store(file, RULES)
    assert (tables(file), version(file)) == (schema, number)
    # The release that failed leaves the one before it working.
    async with opened(file) as store:
        assert await store.get_party(kept.gln) == kept


@pytest.mark.parametrize(
    "content",
    [b"This is a shopping list, not a database. " * 200, b"SQLite format 3\x00" + b"\xff" * 8176],
    ids=["text", "torn header"],
)
async def test_a_file_that_is_no_database_is_refused_and_left_alone(
    file: Path, content: bytes
) -> None:
    written(file, content)
    with pytest.raises(DataCorrupted) as refused:
        await open_store(file, RULES)
    assert refused.value.reason == "STORE_CORRUPTED"
    assert read(file) == content


def test_a_refused_file_leaves_no_thread_behind(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `tracechain serve` ends right after the refusal: what it printed is its last word.
    written(file, b"no database " * 500)
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    threads = set(threading.enumerate())
    for _ in range(50):
        with pytest.raises(DataCorrupted):
            asyncio.run(open_store(file, RULES))
        assert set(threading.enumerate()) <= threads
    assert died == []


async def test_a_damaged_page_is_told_as_damage_and_never_as_an_answer(file: Path) -> None:
    async with opened(file) as store:
        made = [await store.put_batch(batch("06901234000018", f"L{n}")) for n in range(300)]
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = int(connection.execute("PRAGMA page_size").fetchone()[0])
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'batch'"
        ).fetchone()
    with file.open("r+b") as raw:
        raw.seek((root - 1) * size)
        raw.write(b"\xff" * size)
    async with opened(file) as store:
        with pytest.raises(DataCorrupted) as refused:
            await store.get_batch(made[0].batch_number)
        assert refused.value.reason == "STORE_CORRUPTED"
        # What lies on other pages can still be read.
        assert await store.list_keys(0) == []


async def test_a_path_that_cannot_be_a_file_is_refused(file: Path) -> None:
    written(file / "a folder", b"")
    with pytest.raises(Unavailable) as refused:
        await open_store(file, RULES)
    assert refused.value.reason == "STORE_UNAVAILABLE"


async def test_a_closed_store_says_so_and_closing_twice_is_harmless(file: Path) -> None:
    store = await open_store(file, RULES)
    await store.close()
    await store.close()
    for call in (store.get_party("x"), store.put_party(party(2)), store.check()):
        with pytest.raises(Unavailable) as refused:
            await call
        assert refused.value.reason == "STORE_UNAVAILABLE"


async def test_a_close_finishes_what_was_queued(file: Path) -> None:
    store, key = await open_store(file, RULES), fresh_key()
    writes = [asyncio.ensure_future(store.record_scans([scan(key, 1, n)])) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    answers = [answer for (answer,) in await asyncio.gather(*writes)]
    assert [answer.history.before is None for answer in answers] == [True] + [False] * 49


async def test_what_returned_is_on_the_disk(file: Path) -> None:
    async with opened(file) as store:
        for part in (store._writer, store._reader):
            found = await part.read(
                lambda c: [
                    c.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("journal_mode", "synchronous")
                ]
            )
            # 2 is FULL: the log is flushed at every commit.
            assert found == ["wal", 2]


async def test_a_caller_that_leaves_loses_no_write_and_stalls_nobody(file: Path) -> None:
    async with opened(file) as store:
        lot = await store.put_batch(batch("06901234000018"))
        calls = [
            asyncio.ensure_future(store.allocate(order(lot.batch_number, f"r{n}", 1)))
            for n in range(60)
        ]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        stayed = await asyncio.wait_for(asyncio.gather(*calls[1::2]), 20)
        # Whoever stayed has a run of its own; whoever left took one or none, never a part.
        runs = await store.list_allocations(lot.batch_number)
        assert {answer.allocation for answer in stayed} <= set(runs)
        assert [run.first_index for run in runs] == list(range(len(runs)))
        kept = await store.get_batch(lot.batch_number)
        assert kept is not None
        assert kept.issued_quantity == len(runs)


async def test_a_lock_that_another_holds_is_waited_for_and_then_told(file: Path) -> None:
    async with opened(file, busy_seconds=0.2) as store:
        kept = await store.put_party(party(2))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable) as refused:
                await store.put_party(party(3))
            assert refused.value.reason == "STORE_BUSY"
            assert refused.value.retry_after > 0
            # Readers wait for nobody.
            assert await store.get_party(kept.gln) == kept
            with pytest.raises(TracechainError):
                await store.check()
            other.execute("ROLLBACK")
        assert await store.put_party(party(3)) == party(3)
        await store.check()


async def shared(file: Path) -> tuple[session.Session, Callable[[str], session.Work[None]]]:
    """A session on an empty table, and works that add a row each."""
    opened_session = await session.connect(file, busy_seconds=5, cache_kib=100)
    await opened_session.step(lambda c: c.execute("CREATE TABLE t (name TEXT)"))

    def adding(name: str) -> session.Work[None]:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO t VALUES (?)", (name,))
            if name.startswith("bad"):
                raise KeyError(name)
            if name == "fails":
                connection.execute("INSERT INTO nowhere VALUES (1)")

        return work

    return opened_session, adding


async def test_works_that_wait_together_share_a_commit_and_each_stands_alone(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    writer, adding = await shared(file)
    begun: list[str] = []
    await writer.step(lambda c: c.set_trace_callback(begun.append))
    names = ["a", "bad 1", "b", "bad 2", "c"]
    told = await asyncio.gather(*(writer.write(adding(n)) for n in names), return_exceptions=True)
    assert [type(one) for one in told] == [type(None), KeyError, type(None), KeyError, type(None)]
    assert [sql for sql in begun if sql.startswith(("BEGIN", "COMMIT"))] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    found = await writer.read(lambda c: c.execute("SELECT name FROM t").fetchall())
    assert [name for (name,) in found] == ["a", "b", "c"]
    await writer.close()


async def test_where_the_database_refuses_one_the_others_are_done_without_it(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    writer, adding = await shared(file)
    told = await asyncio.gather(
        *(writer.write(adding(n)) for n in ("a", "fails", "b")), return_exceptions=True
    )
    assert [type(one) for one in told] == [type(None), Unavailable, type(None)]
    found = await writer.read(lambda c: c.execute("SELECT name FROM t").fetchall())
    assert [name for (name,) in found] == ["a", "b"]
    await writer.close()


async def test_who_leaves_does_not_take_his_work_along_and_a_close_waits_for_it(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    writer, adding = await shared(file)
    left = asyncio.create_task(writer.write(adding("left")))
    await asyncio.sleep(0)
    left.cancel()
    await writer.close()
    assert left.cancelled()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM t").fetchall() == [("left",)]
