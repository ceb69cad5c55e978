"""The store's process: errors come back as they were, and its death harms nobody for long."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support import stores
from tracechain.adapters.sqlite import open_store
from tracechain.adapters.store_process import StoreProcess, open_in_process
from tracechain.domain.errors import DataCorrupted, InvalidArgument, TracechainError, Unavailable


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreProcess]:
    opened = await open_in_process(partial(open_store, tmp_path / "store.sqlite3", stores.RULES))
    assert isinstance(opened, StoreProcess)
    yield opened
    await opened.close()


def _pid(store: StoreProcess) -> int:
    assert store._process is not None
    return store._process.pid


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_the_work_is_done_in_a_process_of_its_own(store: StoreProcess) -> None:
    assert _pid(store) != os.getpid()
    assert _is_running(_pid(store))


async def test_after_its_death_calls_fail_until_the_next_starts_another(
    store: StoreProcess,
) -> None:
    kept = stores.party(1)
    await store.put_party(kept)
    first = _pid(store)
    os.kill(first, signal.SIGSTOP)
    waiting = [asyncio.ensure_future(store.get_party(kept.gln)) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(first, signal.SIGKILL)
    for failed in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20):
        assert isinstance(failed, Unavailable)
        assert failed.reason == "STORE_UNAVAILABLE"
    assert await store.get_party(kept.gln) == kept
    assert _pid(store) != first


async def test_scans_that_were_answered_outlive_the_process(store: StoreProcess) -> None:
    made = [stores.scan(stores.fresh_key(), 0, n) for n in range(50)]
    await store.record_scans(made)
    os.kill(_pid(store), signal.SIGKILL)
    assert store._process is not None
    await asyncio.wait_for(asyncio.shield(store._process.gone), 20)
    found = await store.record_scans([scan._replace(scan_id=b"anotherx") for scan in made])
    assert [answer.history.before is not None for answer in found] == [True] * 50


async def test_it_ends_with_its_service_however_that_ends(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from functools import partial
from pathlib import Path
from tests.support import stores
from tracechain.adapters.sqlite import open_store
from tracechain.adapters.store_process import open_in_process

async def main():
    store = await open_in_process(partial(open_store, Path(sys.argv[1]), stores.RULES))
    print(store._process.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(tmp_path / "store.sqlite3")),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert service.stdout is not None
    child = int(await asyncio.wait_for(service.stdout.readline(), 30))
    assert _is_running(child)
    # What a terminal or a service manager sends to all is left to the service.
    os.kill(child, signal.SIGINT)
    os.kill(child, signal.SIGTERM)
    await asyncio.sleep(0.2)
    assert _is_running(child)
    service.kill()
    await service.wait()
    for _ in range(600):
        if not _is_running(child):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the store's process outlived its service")


async def test_what_was_asked_is_finished_before_it_ends(tmp_path: Path) -> None:
    opened = await open_in_process(partial(open_store, tmp_path / "store.sqlite3", stores.RULES))
    asked = [asyncio.ensure_future(opened.put_party(stores.party(n))) for n in range(1, 30)]
    await asyncio.sleep(0)
    await opened.close()
    assert len(await asyncio.gather(*asked)) == 29


async def test_a_store_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    damaged = tmp_path / "store.sqlite3"
    damaged.write_bytes(b"no database" * 1000)
    with pytest.raises(DataCorrupted) as refused:
        await open_in_process(partial(open_store, damaged, stores.RULES))
    assert refused.value.reason == "STORE_CORRUPTED"


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("STORE_FULL", "the disk is full", retry_after=5.0),
        InvalidArgument.of("field", "MISSING_FIELD", "is required"),
        DataCorrupted("STORE_CORRUPTED", "damaged", metadata={"a": "b"}),
    ],
)
def test_errors_travel_whole(error: TracechainError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
