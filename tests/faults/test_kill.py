"""A service that is killed at any moment: what it acknowledged is there, and nothing by half.

One data folder lives through every kill. A ledger keeps what callers were told; after each
restart the service has to agree with it, and the store's file has to agree with itself. Calls
whose answer never came are told again with the same request id, and count once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.node import Node, Nursery, kill
from tests.support.service import TIMEOUT, Lot, event, gtin_of, reasons
from tracechain.v1 import (
    admin_pb2,
    capture_pb2,
    event_pb2,
    issuance_pb2,
    party_pb2,
    verification_pb2,
)

ROUNDS = 15
SCANNERS = 12
CAPTURERS = 4
PER_EVENT = 3


@dataclass
class Ledger:
    """What callers were told, and what they asked and were not told."""

    numbers: Any = field(default_factory=lambda: itertools.count(1))
    acknowledged: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    # Code to how many of its scans count; the scans that may have been kept.
    scans: dict[str, int] = field(default_factory=dict)
    open_scans: set[tuple[str, str]] = field(default_factory=set)
    # Identity to event; events that may have been kept.
    events: dict[str, event_pb2.Event] = field(default_factory=dict)
    open_events: list[list[event_pb2.Event]] = field(default_factory=list)
    # Request id to quantity, and to the codes that were seen of it.
    orders: dict[str, int] = field(default_factory=dict)
    codes: dict[str, dict[int, str]] = field(default_factory=dict)
    # Recalled codes, and those that may be.
    recalled: dict[str, str] = field(default_factory=dict)
    open_recalls: dict[str, str] = field(default_factory=dict)

    def next(self) -> int:
        """A number that was never given."""
        number: int = next(self.numbers)
        return number

    def acknowledge(self) -> None:
        """Counts an answer that a caller got."""
        self.acknowledged += 1
        self.moved.set()


@dataclass
class Load:
    """Callers of one node, each of whom does one thing after the other until the node is gone."""

    node: Node
    ledger: Ledger
    lot: Lot
    dice: random.Random
    spare: list[str]

    async def until_killed(self, answers: int, pause: float) -> None:
        """Lets everybody call, and kills the node some time after it gave so many answers."""
        mine = sorted(self.ledger.scans)
        callers: list[Callable[[], Awaitable[None]]] = [
            *(lambda own=mine[n::SCANNERS]: self.scan(own) for n in range(SCANNERS)),
            *([self.capture] * CAPTURERS),
            self.issue,
            self.issue,
            self.recall,
        ]
        tasks = [asyncio.create_task(self.forever(caller)) for caller in callers]
        wanted = self.ledger.acknowledged + answers
        while self.ledger.acknowledged < wanted:
            self.ledger.moved.clear()
            await asyncio.wait_for(self.ledger.moved.wait(), TIMEOUT)
        await asyncio.sleep(pause)
        await self.node.kill()
        await asyncio.gather(*tasks)

    async def forever(self, caller: Callable[[], Awaitable[None]]) -> None:
        """One caller, until its call fails because the node is gone."""
        while True:
            try:
                await caller()
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    raise
                return
            except (asyncio.CancelledError, grpc.aio.UsageError):
                # The channel was closed meanwhile.
                return

    async def scan(self, own: list[str]) -> None:
        """Scans a code that nobody else scans, so that its count is known."""
        code, request_id = self.dice.choice(own), f"scan {self.ledger.next()}"
        self.ledger.open_scans.add((code, request_id))
        verdict = await scanned(self.node, code, request_id)
        self.ledger.open_scans.remove((code, request_id))
        assert verdict.previous_scans == self.ledger.scans[code]
        self.ledger.scans[code] += 1
        self.ledger.acknowledge()

    async def capture(self) -> None:
        """Captures events that nobody captured, each about things of its own."""
        made = [self.new_event() for _ in range(self.dice.randint(1, 4))]
        self.ledger.open_events.append(made)
        results = await captured(self.node, made)
        self.ledger.open_events.remove(made)
        for one, result in zip(made, results, strict=True):
            assert result.status == capture_pb2.CAPTURE_STATUS_ACCEPTED
            self.ledger.events[result.event_id] = one
        self.ledger.acknowledge()

    def new_event(self) -> event_pb2.Event:
        number = self.ledger.next()
        units = [f"https://id.gs1.org/01/04012345678901/21/N{number}U{n}" for n in range(2)]
        return event(number, "inspecting", units, code_ranges=[self.lot.range(number, 5)])

    async def issue(self) -> None:
        """Orders codes; every code that arrives is acknowledged."""
        request_id, quantity = f"order {self.ledger.next()}", self.dice.randint(1, 900)
        self.ledger.orders[request_id] = quantity
        await self.ordered(request_id)
        self.ledger.acknowledge()

    async def ordered(self, request_id: str) -> None:
        """Reads an order; what was seen of it before must come again."""
        seen = self.ledger.codes.setdefault(request_id, {})
        request = issuance_pb2.IssueCodesRequest(
            parent=self.lot.name,
            request_id=request_id,
            quantity=self.ledger.orders[request_id],
            profile=issuance_pb2.CODE_PROFILE_COMPACT,
        )
        async for part in self.node.issuer.issuance.IssueCodes(request):
            for code in part.codes:
                assert seen.setdefault(code.index, code.uri) == code.uri

    async def recall(self) -> None:
        """Recalls one unit."""
        code, request_id = self.spare.pop(), f"recall {self.ledger.next()}"
        self.ledger.open_recalls[code] = request_id
        await self.recalled(code, request_id)
        self.ledger.acknowledge()

    async def recalled(self, code: str, request_id: str) -> None:
        lot = Lot(self.node.issuer, self.lot.gtin, "SCANNED", 0)
        unit = code.partition("?")[0]
        await lot.recall(units=[unit], request_id=request_id)
        self.ledger.recalled[code] = self.ledger.open_recalls.pop(code)


async def scanned(node: Node, code: str, request_id: str) -> verification_pb2.Verdict:
    """The verdict on a scan."""
    verdict: verification_pb2.Verdict = await node.nobody.verification.VerifyCode(
        verification_pb2.VerifyCodeRequest(code=code, request_id=request_id)
    )
    return verdict


async def captured(node: Node, made: list[event_pb2.Event]) -> list[capture_pb2.CaptureResult]:
    """What became of events."""
    answer = await node.issuer.events.CaptureEvents(capture_pb2.CaptureEventsRequest(events=made))
    return list(answer.results)


async def tell_again(load: Load) -> None:
    """Repeats what was asked and not answered, with the same request ids."""
    node, ledger = load.node, load.ledger
    for code, request_id in ledger.open_scans:
        await scanned(node, code, request_id)
        ledger.scans[code] += 1
    ledger.open_scans.clear()
    for made in ledger.open_events:
        results = await captured(node, made)
        statuses = {result.status for result in results}
        # Events of one call are kept together or not at all.
        assert statuses in (
            {capture_pb2.CAPTURE_STATUS_ACCEPTED},
            {capture_pb2.CAPTURE_STATUS_DUPLICATE},
        )
        ledger.events |= {r.event_id: one for r, one in zip(results, made, strict=True)}
    ledger.open_events.clear()
    for request_id, quantity in ledger.orders.items():
        if len(ledger.codes[request_id]) < quantity:
            await load.ordered(request_id)
    for code, request_id in list(ledger.open_recalls.items()):
        await load.recalled(code, request_id)


async def check_answers(
    load: Load, events: Iterable[str], orders: Iterable[str], recalled: Iterable[str]
) -> None:
    """The service agrees with the ledger."""
    node, ledger = load.node, load.ledger

    async def one_more_scan(code: str) -> None:
        verdict = await scanned(node, code, f"scan {ledger.next()}")
        assert verdict.previous_scans == ledger.scans[code], "a scan was lost or counted twice"
        ledger.scans[code] += 1

    async def is_kept(identity: str) -> None:
        found = await node.issuer.events.GetEvent(capture_pb2.GetEventRequest(event_id=identity))
        assert found.event.event_time == ledger.events[identity].event_time
        assert list(found.event.epc_list) == list(ledger.events[identity].epc_list)

    async def is_recalled(code: str) -> None:
        verdict = await scanned(node, code, f"scan {ledger.next()}")
        assert reasons(verdict)[0] == "RECALLED_UNIT"

    await asyncio.gather(
        *map(one_more_scan, ledger.scans), *map(is_kept, events), *map(is_recalled, recalled)
    )
    for request_id in orders:
        await load.ordered(request_id)
        assert len(ledger.codes[request_id]) == ledger.orders[request_id]


def check_orders(ledger: Ledger) -> None:
    """Orders are runs of indices, and no index belongs to two of them."""
    reached = 0
    for seen in sorted(sorted(seen) for seen in ledger.codes.values() if seen):
        assert seen[0] >= reached, "an index was issued twice"
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        reached = seen[-1] + 1


def check_file(folder: Path, ledger: Ledger) -> None:
    """The store agrees with itself, and holds what was acknowledged and nothing by half."""
    with closing(sqlite3.connect(folder / "store.sqlite3")) as store:
        ask = store.execute
        assert ask("PRAGMA integrity_check").fetchall() == [("ok",)]
        # An event and all its touches, or neither.
        assert ask(
            "SELECT hex(e.event_id) FROM event e LEFT JOIN touch t ON t.event_id = e.event_id "
            "GROUP BY e.event_id HAVING count(t.event_id) <> ?",
            (PER_EVENT,),
        ).fetchall() == []  # fmt: skip
        assert ask(
            "SELECT count(*) FROM touch WHERE event_id NOT IN (SELECT event_id FROM event)"
        ).fetchone() == (0,)
        kept = {row[0] for row in ask("SELECT hex(event_id) FROM event")}
        assert kept >= {identity[14:78].upper() for identity in ledger.events}
        # The summary of a unit counts its scans.
        assert ask(
            "SELECT s.unit FROM unit_scan s WHERE s.count <> (SELECT count(*) FROM scan x "
            "WHERE x.batch_key = s.batch_key AND x.unit = s.unit)"
        ).fetchall() == []  # fmt: skip
        # Runs lie side by side, and the batch knows where they end.
        for number, issued in ask("SELECT batch_key, issued_quantity FROM batch").fetchall():
            reached = 0
            for first, count in ask(
                "SELECT first_index, count FROM allocation WHERE batch_key = ? "
                "ORDER BY first_index",
                (number,),
            ):
                assert first == reached
                reached += count
            assert reached == issued


async def prepared(node: Node) -> tuple[Lot, list[str]]:
    """A key, a product, a lot for orders and events, and the codes of another one to scan."""
    await node.issuer.admin.CreateIssuerKey(
        admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{node.issuer.gln}", request_id="key")
    )
    gtin = gtin_of(1)
    name = party_pb2.LocalizedText(zh="白酒", en="Baijiu")
    await node.issuer.issuance.CreateProduct(
        issuance_pb2.CreateProductRequest(
            product=issuance_pb2.Product(gtin=gtin, display_name=name)
        )
    )
    for lot in ("ORDERED", "SCANNED"):
        await node.issuer.issuance.CreateBatch(
            issuance_pb2.CreateBatchRequest(
                parent=f"products/{gtin}",
                batch=issuance_pb2.Batch(
                    lot=lot, production_date="2026-01-05", authorized_quantity=10_000_000
                ),
            )
        )
    compact = issuance_pb2.CODE_PROFILE_COMPACT
    codes = await Lot(node.issuer, gtin, "SCANNED", 0).issue(900, profile=compact)
    return Lot(node.issuer, gtin, "ORDERED", 0), [code.uri for code in codes]


async def test_what_was_acknowledged_outlives_every_kill(nodes: Nursery, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, ledger, folder = random.Random(seed), Ledger(), tmp_path / "data"
    node = await nodes.node(folder)
    lot, codes = await prepared(node)
    ledger.scans = dict.fromkeys(codes[:60], 0)
    spare = codes[60:]
    load = Load(node, ledger, lot, dice, spare)
    for _ in range(ROUNDS):
        before = (set(ledger.events), set(ledger.orders), set(ledger.recalled))
        await load.until_killed(dice.randint(1, 120), dice.random() * 0.02)
        check_file(folder, ledger)
        if dice.random() < 0.3:
            # Killed again before it serves.
            pid = await nodes.spawn(folder)
            await asyncio.sleep(dice.random() * 0.06)
            await kill(pid)
        node = await nodes.node(folder)
        load = Load(node, ledger, Lot(node.issuer, lot.gtin, lot.lot, 0), dice, spare)
        await tell_again(load)
        now = (set(ledger.events), set(ledger.orders), set(ledger.recalled))
        await check_answers(load, *(new - old for new, old in zip(now, before, strict=True)))
        check_orders(ledger)
    # At the end everything of every round once more.
    await check_answers(load, ledger.events, ledger.orders, ledger.recalled)
    check_orders(ledger)
    check_file(folder, ledger)
    await node.kill()
    assert len(ledger.events) > ROUNDS
    assert len(ledger.orders) > ROUNDS
    assert len(ledger.recalled) > 0
    assert sum(ledger.scans.values()) > 60 * ROUNDS


@pytest.mark.parametrize("seed", range(4))
async def test_a_first_start_that_is_killed_at_any_moment_can_be_made_again(
    nodes: Nursery, tmp_path: Path, seed: int
) -> None:
    # While it makes its folder, its key-encryption key, its schema, its first credentials.
    folder, dice = tmp_path / "data", random.Random(seed)
    for _ in range(6):
        pid = await nodes.spawn(folder)
        await asyncio.sleep(dice.random() * 0.05)
        await kill(pid)
    async with nodes.serving(folder) as node:
        lot, codes = await prepared(node)
        verdict = await scanned(node, codes[0], "first")
        assert reasons(verdict) == ["FIRST_SCAN"]
        assert lot.owner is node.issuer
