"""A disk that is full and a file that another holds: said at once, survived, and mended alone.

The limits are real ones: the kernel refuses to let the service's files grow, SQLite runs out of
pages, another connection holds the write lock. Whoever is concerned is told to come again; what
is arithmetic alone is served; and when there is room again, nobody has to start anything anew.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.support.node import Node, Nursery
from tests.support.processes import children
from tests.support.service import (
    Lot,
    Refusal,
    World,
    event,
    gathered,
    gtin_of,
    outcome,
    reasons,
    refused,
    running_world,
)
from tests.support.stores import RULES, batch, digest, party, product, scan, thing, touch
from tests.support.stores import event as new_event
from tracechain.adapters.sqlite import SqliteStore, open_store
from tracechain.bootstrap import stores
from tracechain.domain.batch_key import WHOLE_BATCH
from tracechain.domain.errors import Unavailable
from tracechain.v1 import (
    admin_pb2,
    capture_pb2,
    issuance_pb2,
    party_pb2,
    verification_pb2,
)

# Many times what a call takes, also on a busy machine: who waited for a lock is told apart by it.
BUSY = 2.0
FULL = {"STORE_FULL", "STORE_UNAVAILABLE"}


@contextmanager
def no_file_grows(node: Node) -> Iterator[None]:
    """As on a full disk: the node can write to no file, its log among them."""
    pids = [node.pid, *children(node.pid)]
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_, hard) in limits.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)


async def prepared(node: Node) -> tuple[Lot, list[issuance_pb2.Code]]:
    """A lot, and codes of it."""
    await node.issuer.admin.CreateIssuerKey(
        admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{node.issuer.gln}", request_id="key")
    )
    gtin = gtin_of(1)
    await node.issuer.issuance.CreateProduct(
        issuance_pb2.CreateProductRequest(
            product=issuance_pb2.Product(
                gtin=gtin, display_name=party_pb2.LocalizedText(zh="白酒", en="Baijiu")
            )
        )
    )
    made = await node.issuer.issuance.CreateBatch(
        issuance_pb2.CreateBatchRequest(
            parent=f"products/{gtin}",
            batch=issuance_pb2.Batch(
                lot="L1", production_date="2026-01-05", authorized_quantity=1000
            ),
        )
    )
    lot = Lot(node.issuer, gtin, "L1", made.batch_number)
    return lot, await lot.issue(20, include_pins=True)


async def verified(caller: Any, code: str, request_id: str = "") -> verification_pb2.Verdict:
    """The verdict on a scan."""
    verdict: verification_pb2.Verdict = await caller.verification.VerifyCode(
        verification_pb2.VerifyCodeRequest(code=code, request_id=request_id)
    )
    return verdict


def writes(caller: Any, nobody: Any, lot: Lot, codes: list[issuance_pb2.Code]) -> dict[str, Any]:
    """One call of each kind that writes."""
    return {
        "scan": verified(nobody, codes[0].uri, "scan"),
        "claim": nobody.verification.ClaimUnit(
            verification_pb2.ClaimUnitRequest(
                code=codes[1].uri,
                pin=codes[1].pin,
                context=verification_pb2.ScanContext(device_id="device"),
            )
        ),
        "capture": caller.events.CaptureEvents(
            capture_pb2.CaptureEventsRequest(
                events=[event(1, "inspecting", [lot.epc(code) for code in codes])]
            )
        ),
        "issue": lot.issue(5, "during"),
        "recall": lot.recall(units=[lot.epc(codes[2])], request_id="during"),
        "product": caller.issuance.CreateProduct(
            issuance_pb2.CreateProductRequest(
                product=issuance_pb2.Product(
                    gtin=gtin_of(77), display_name=party_pb2.LocalizedText(zh="新", en="New")
                )
            )
        ),
    }


async def check_served(nobody: Any, codes: list[issuance_pb2.Code]) -> None:
    """Arithmetic, and what the public reads, needs no room."""
    false = codes[0].uri[:-2] + ("AA" if codes[0].uri[-2:] != "AA" else "BB")
    for _ in range(3):
        assert outcome(await verified(nobody, "no code at all")) == "UNKNOWN"
        assert outcome(await verified(nobody, false)) in ("COUNTERFEIT", "UNKNOWN")
        keys = await nobody.verification.ListVerificationKeys(
            verification_pb2.ListVerificationKeysRequest()
        )
        assert keys.keys


async def check_told(caller: Any, lot: Lot, codes: list[issuance_pb2.Code]) -> None:
    """A read needs no room, but the record that it leaves does: what cannot be recorded is not
    answered."""
    reads = (
        caller.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=lot.name)),
        caller.events.ListEvents(capture_pb2.ListEventsRequest(epc=lot.epc(codes[3]))),
    )
    for lost in await asyncio.gather(*(refused(read) for read in reads)):
        assert (lost.code, bool(lost.retry_after)) == (grpc.StatusCode.UNAVAILABLE, True)
        assert lost.reason in FULL | {"STORE_BUSY"}


async def test_on_a_full_disk_writers_are_told_and_arithmetic_served_and_room_is_enough(
    nodes: Nursery, tmp_path: Path
) -> None:
    async with nodes.serving(tmp_path / "data") as node:
        lot, codes = await prepared(node)
        await node.issuer.accepted(
            event(0, "commissioning", [lot.epc(code) for code in codes], action=1)
        )
        await verified(node.nobody, codes[0].uri, "before")
        with no_file_grows(node):
            for _ in range(2):
                for name, call in writes(node.issuer, node.nobody, lot, codes).items():
                    lost = await refused(call)
                    assert lost.code is grpc.StatusCode.UNAVAILABLE, (name, lost)
                    assert lost.reason in FULL, (name, lost)
                    assert lost.retry_after, name
                await check_served(node.nobody, codes)
                await check_told(node.issuer, lot, codes)
            many = await gathered(
                verified(node.nobody, code.uri, f"many {n}") for n, code in enumerate(codes * 20)
            )
            assert {type(each) for each in many} == {grpc.aio.AioRpcError}
            assert {Refusal.of(each).reason for each in many} <= FULL
            await check_served(node.nobody, codes)
        # There is room: the same process does the same calls, and counts none of the failed.
        for name, call in writes(node.issuer, node.nobody, lot, codes).items():
            assert await call, name
        assert (await verified(node.nobody, codes[0].uri, "after")).previous_scans == 2
        assert (await verified(node.nobody, codes[5].uri, "after")).previous_scans == 0
        assert reasons(await verified(node.nobody, codes[2].uri))[0] == "RECALLED_UNIT"
        with closing(sqlite3.connect(tmp_path / "data" / "store.sqlite3")) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert file.execute("SELECT count(*) FROM allocation").fetchone() == (2,)
            assert file.execute("SELECT count(*) FROM event").fetchone() == (2,)


@contextmanager
def no_file_grows_here() -> Iterator[None]:
    """As on a full disk, for this process; nothing else is written meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_at_the_start_is_said_and_later_forgotten(tmp_path: Path) -> None:
    with no_file_grows_here(), pytest.raises(Unavailable) as refusal:
        await open_store(tmp_path / "store.sqlite3", RULES)
    assert refusal.value.reason in FULL
    store = await open_store(tmp_path / "store.sqlite3", RULES)
    assert await store.put_party(party(2)) == party(2)
    await store.close()


async def test_a_check_sees_that_the_disk_is_full_and_that_it_is_not(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "store.sqlite3", RULES)
    try:
        await store.check()
        with no_file_grows_here(), pytest.raises(Unavailable) as refusal:
            await store.check()
        assert refusal.value.reason in FULL
        await store.check()
        assert await store.reserve_key_id() == 1
    finally:
        await store.close()


async def limited(store: SqliteStore, pages: int) -> None:
    """Lets the store's file have so many pages more, and no more."""

    def limit(connection: sqlite3.Connection) -> None:
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {now + pages}")

    await store._writer.write(limit)


async def test_a_store_without_pages_says_that_it_is_full_and_keeps_nothing_by_half(
    tmp_path: Path,
) -> None:
    store = await open_store(tmp_path / "store.sqlite3", RULES)
    try:
        lot = await store.put_batch(batch("06901234000018"))
        await limited(store, 2)
        kept, number = 0, lot.batch_number
        full: Unavailable | None = None
        for n in range(10_000):
            said = digest(n, n)
            made = new_event(said, [touch(number, n, n + 1, said)], "x" * 3000)
            try:
                await store.append_events([made])
            except Unavailable as error:
                full = error
                break
            kept = n + 1
        assert full is not None
        assert full.reason == "STORE_FULL"
        assert full.retry_after > 1
        assert 0 < kept < 10_000
        for call in (
            store.append_events([made]),
            store.put_product(product(1, "6901234000023", standards=("s" * 5000,))),
        ):
            with pytest.raises(Unavailable) as refusal:
                await call
            assert refusal.value.reason == "STORE_FULL"
        (found,) = await store.touches([thing(number, 0, WHOLE_BATCH)], 20_000)
        assert len(found) == kept
        assert await store.get_events([(made.event.event_id, b"")]) == [None]
        await limited(store, 10_000)
        assert await store.append_events([made]) == [True]
        (answer,) = await store.record_scans([scan(number, kept, "after")])
        assert [one.digest for one in answer.touches] == [made.touches[0].digest]
    finally:
        await store.close()


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A service that waits for a lock no longer than BUSY."""
    monkeypatch.setattr(stores, "open_store", partial(open_store, busy_seconds=BUSY))
    async with running_world(tmp_path) as running:
        yield running


@contextmanager
def lock(world: World) -> Iterator[sqlite3.Connection]:
    """The write lock of the store's file, held by somebody else."""
    with closing(sqlite3.connect(world.app.settings.store_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")


async def test_while_another_holds_the_file_writers_are_told_and_arithmetic_served(
    world: World,
) -> None:
    lot = await world.lot()
    codes = await lot.issue(20, include_pins=True)
    await world.issuer.accepted(
        event(0, "commissioning", [lot.epc(code) for code in codes], action=1)
    )
    with lock(world):
        started = time.monotonic()
        calls = writes(world.issuer, world.nobody, lot, codes)
        refusing = [asyncio.create_task(refused(call)) for call in calls.values()]
        await check_served(world.nobody, codes)
        assert time.monotonic() - started < BUSY, "arithmetic waited for a writer"
        await check_told(world.issuer, lot, codes)
        for lost in await asyncio.gather(*refusing):
            assert (lost.code, lost.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_BUSY")
            assert lost.retry_after
    for name, call in writes(world.issuer, world.nobody, lot, codes).items():
        assert await call, name
    assert (await verified(world.nobody, codes[0].uri, "after")).previous_scans == 1


async def test_whoever_waits_for_a_lock_waits_once_and_not_for_all_before_him(
    world: World,
) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)

    def claim(number: int) -> Any:
        return world.nobody.verification.ClaimUnit(
            verification_pb2.ClaimUnitRequest(
                code=code.uri,
                pin=code.pin,
                context=verification_pb2.ScanContext(device_id=f"device {number}"),
            )
        )

    with lock(world):
        started = time.monotonic()
        lost = await asyncio.gather(*(refused(claim(n)) for n in range(20)))
        # Twenty of them, one after the other, would take twenty times as long.
        assert time.monotonic() - started < 10 * BUSY
        assert {one.reason for one in lost} == {"STORE_BUSY"}
    assert (await claim(0)).status == verification_pb2.CLAIM_STATUS_CLAIMED


async def test_a_lock_that_is_given_back_in_time_is_noticed_by_nobody(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(20, include_pins=True)
    with lock(world) as other:
        calls = writes(world.issuer, world.nobody, lot, codes)
        answering = [asyncio.ensure_future(call) for call in calls.values()]
        await asyncio.wait(answering, timeout=BUSY / 4)
        assert not answering[0].done()
        other.execute("ROLLBACK")
        for answer in await asyncio.gather(*answering):
            assert answer
    assert (await verified(world.nobody, codes[0].uri, "after")).previous_scans == 1
