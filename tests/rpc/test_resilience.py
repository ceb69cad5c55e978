"""Clients that leave, a service that stops, queues that are full, and a Redis that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.redis_server import RedisServer
from tests.support.service import (
    TIMEOUT,
    Lot,
    Refusal,
    World,
    channel_to,
    event,
    gathered,
    outcome,
    reasons,
    refused,
    running_world,
    second_node,
)
from tracechain.v1 import (
    admin_pb2,
    capture_pb2,
    issuance_pb2,
    issuance_pb2_grpc,
    supervision_pb2,
    verification_pb2,
    verification_pb2_grpc,
)

MakeWorld = Callable[..., AbstractAsyncContextManager[World]]
# Facts that nobody told a node of would be believed ten times as long. How soon it is in seconds,
# tests/faults/test_recall_latency.py measures.
VISIBLE_WITHIN = TIMEOUT


async def until(condition: Callable[[], Any], within: float = TIMEOUT) -> None:
    """Waits until something holds that nobody announces, asking again and again."""
    deadline = time.monotonic() + within
    while not (found := condition()) or (asyncio.iscoroutine(found) and not await found):
        assert time.monotonic() < deadline, "it never came to hold"
        await asyncio.sleep(0.005)


async def cancelled(calls: list[Any]) -> None:
    """Cancels calls that are under way, as clients that hang up."""
    for call in calls:
        call.cancel()
    await gathered([call.code() for call in calls])


# --- clients that leave


async def test_scans_whose_askers_leave_hold_up_nobody(world: World) -> None:
    lot = await world.lot(quantity=200)
    codes = await lot.issue(200)
    request = verification_pb2.VerifyCodeRequest
    calls = [world.nobody.verification.VerifyCode(request(code=code.uri)) for code in codes]
    leaving, staying = calls[::2], calls[1::2]
    await asyncio.sleep(0)
    await cancelled(leaving)
    for verdict, code in zip(await asyncio.gather(*staying), codes[1::2], strict=True):
        assert outcome(verdict) == "GENUINE"
        assert verdict.serial == code.serial
    # Whoever stayed is on record, whoever left is or is not, and every code scans again.
    for i, code in enumerate(codes):
        verdict = await world.verify(code.uri)
        assert verdict.previous_scans in ((1,) if i % 2 else (0, 1))


async def test_events_whose_senders_leave_are_kept_whole_or_not_at_all(world: World) -> None:
    units = [world.foreign() for _ in range(60)]
    requests = [
        capture_pb2.CaptureEventsRequest(events=[event(i, "storing", [unit]) for i in range(5)])
        for unit in units
    ]
    calls = [world.shop.events.CaptureEvents(request) for request in requests]
    leaving, staying = calls[::2], calls[1::2]
    await asyncio.sleep(0.002)
    await cancelled(leaving)
    for answer in await asyncio.gather(*staying):
        assert {result.status for result in answer.results} == {1}
    for i, unit in enumerate(units):
        listed = await world.shop.events.ListEvents(capture_pb2.ListEventsRequest(epc=unit))
        assert len(listed.events) in ((5,) if i % 2 else (0, 5))
    again = await asyncio.gather(*(world.shop.events.CaptureEvents(r) for r in requests))
    for i, answer in enumerate(again):
        kinds = {result.status for result in answer.results}
        assert len(kinds) == 1
        assert kinds == {2} or not i % 2


async def test_orders_whose_askers_leave_are_taken_up_where_they_stopped(world: World) -> None:
    lots = [await world.lot(quantity=20_000) for _ in range(3)]
    calls = []
    for lot in lots:
        call = world.issuer.issuance.IssueCodes(
            issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="a", quantity=20_000)
        )
        calls.append((lot, call, await call.read()))
    for _, call, _ in calls:
        call.cancel()
    for lot, _, first in calls:
        offset = len(first.codes)
        request = issuance_pb2.IssueCodesRequest(
            parent=lot.name, request_id="a", quantity=20_000, offset=offset
        )
        call = world.issuer.issuance.IssueCodes(request)
        following = await call.read()
        call.cancel()
        assert following.offset == offset
        assert following.codes[0].index == first.codes[-1].index + 1
    assert outcome(await world.verify(calls[0][2].codes[0].uri)) == "GENUINE"


async def test_streams_that_are_torn_off_keep_what_they_answered(world: World) -> None:
    unit = world.foreign()
    captured = world.shop.events.StreamCaptureEvents()
    await captured.write(
        capture_pb2.StreamCaptureEventsRequest(events=[event(1, "storing", [unit])])
    )
    assert (await captured.read()).results[0].status == 1
    await captured.write(
        capture_pb2.StreamCaptureEventsRequest(events=[event(2, "storing", [unit])])
    )
    captured.cancel()
    listed = await world.shop.events.ListEvents(capture_pb2.ListEventsRequest(epc=unit))
    assert len(listed.events) in (1, 2)

    lot = await world.lot()
    (code,) = await lot.issue(1)
    scans = world.nobody.verification.StreamVerifyCodes()
    for number in range(20):
        await scans.write(
            verification_pb2.StreamVerifyCodesRequest(
                sequence=number, request=verification_pb2.VerifyCodeRequest(code=code.uri)
            )
        )
    answered = await scans.read()
    scans.cancel()
    assert answered.verdict.serial == code.serial
    assert (await world.verify(code.uri)).previous_scans in range(1, 21)


async def test_connections_that_are_cut_are_nobody_elses_trouble(world: World) -> None:
    lot = await world.lot(quantity=50)
    codes = await lot.issue(50)
    rude = channel_to(world.target)
    stub = verification_pb2_grpc.VerificationServiceStub(rude)
    calls = [stub.VerifyCode(verification_pb2.VerifyCodeRequest(code=code.uri)) for code in codes]
    polite = asyncio.gather(*(world.verify(code.uri) for code in codes))
    await asyncio.sleep(0)
    await rude.close()
    await gathered(calls)
    assert {outcome(verdict) for verdict in await polite} <= {"GENUINE"}


# --- deadlines


async def test_a_deadline_that_has_passed_ends_the_call_and_not_the_service(world: World) -> None:
    lot = await world.lot(quantity=20_000)
    stub = issuance_pb2_grpc.IssuanceServiceStub(world.channel)
    request = issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="d", quantity=20_000)
    error = await refused(stub.IssueCodes(request, metadata=world.issuer.metadata, timeout=0.05))
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    codes = await lot.issue(20_000, "d", offset=19_999)
    assert [code.index for code in codes] == [19_999]


# --- stopping


async def test_a_service_that_stops_finishes_what_is_under_way_and_takes_nothing_new(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        lot = await world.lot(quantity=5000)
        codes = await lot.issue(10)
        order = world.issuer.issuance.IssueCodes(
            issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="x", quantity=4000)
        )
        capture = world.issuer.events.StreamCaptureEvents()
        unit = world.foreign()
        await capture.write(
            capture_pb2.StreamCaptureEventsRequest(events=[event(1, "storing", [unit])])
        )
        first = await order.read()
        assert (await capture.read()).results[0].status == 1
        stopping = asyncio.create_task(world.server.stop(2 * TIMEOUT))
        fresh = channel_to(world.target)
        stub = verification_pb2_grpc.VerificationServiceStub(fresh)
        request = verification_pb2.VerifyCodeRequest(code=codes[0].uri)

        async def is_refused() -> bool:
            try:
                await stub.VerifyCode(request, timeout=2)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNAVAILABLE
            return False

        await until(is_refused)
        # What was under way goes on: the rest of the codes, and one more part of the stream.
        received = len(first.codes)
        while (part := await order.read()) is not grpc.aio.EOF:
            received += len(part.codes)
        assert received == 4000
        await capture.write(
            capture_pb2.StreamCaptureEventsRequest(events=[event(2, "storing", [unit])])
        )
        assert (await capture.read()).results[0].status == 1
        assert not stopping.done()
        await capture.done_writing()
        assert await capture.read() is grpc.aio.EOF
        await asyncio.wait_for(stopping, TIMEOUT)
        await fresh.close()


async def test_health_says_that_a_service_serves_and_then_that_it_stops(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        stub: Any = health_pb2_grpc.HealthStub(world.channel)
        for name in ("", "tracechain.v1.VerificationService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.create_task(world.server.stop(TIMEOUT))
        told = await asyncio.wait_for(watch.read(), TIMEOUT)
        assert told.status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        await stopping


async def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running_world(tmp_path) as world:
        lot = await world.lot()
        codes = await lot.issue(3)
        unit = world.foreign()
        (event_id,) = await world.shop.accepted(event(1, "storing", [unit]))
        await world.verify(codes[0].uri)
        await lot.recall(units=[lot.epc(codes[2])])
        async with second_node(world) as again:
            await world.stop(0)
            assert (await again.verify(codes[0].uri)).previous_scans == 1
            assert reasons(await again.verify(codes[2].uri))[0] == "RECALLED_UNIT"
            got = await again.shop.events.GetEvent(capture_pb2.GetEventRequest(event_id=event_id))
            assert list(got.event.epc_list) == [unit]
            assert await Lot(again.issuer, lot.gtin, lot.lot, lot.number).issue(3) == codes


# --- queues


async def _overloaded(calls: list[Any]) -> tuple[list[Any], list[Refusal]]:
    found = await gathered(calls)
    errors = [Refusal.of(e) for e in found if isinstance(e, grpc.aio.AioRpcError)]
    answered = [answer for answer in found if not isinstance(answer, BaseException)]
    assert len(errors) + len(answered) == len(calls)
    return answered, errors


def assert_full(errors: list[Refusal]) -> None:
    """Each was told to come again, and when."""
    for error in errors:
        assert (error.code, error.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "QUEUE_FULL",
        )
        assert error.retry_after is not None
        assert 0 < error.retry_after < 10


async def test_more_scans_than_the_queue_holds_are_told_to_come_again(
    make_world: MakeWorld,
) -> None:
    async with make_world(scan_queue=5, scan_group=1) as world:
        lot = await world.lot(quantity=100)
        codes = await lot.issue(100)
        request = verification_pb2.VerifyCodeRequest
        answered, errors = await _overloaded(
            [world.nobody.verification.VerifyCode(request(code=code.uri)) for code in codes]
        )
        assert errors
        assert len(answered) >= 5
        assert_full(errors)
        assert {outcome(verdict) for verdict in answered} == {"GENUINE"}
        # A refused scan left nothing behind, and a garbage code needs no place in the queue.
        seen = {verdict.serial for verdict in answered}
        for code in codes:
            assert (await world.verify(code.uri)).previous_scans == (code.serial in seen)


async def test_a_full_queue_in_a_batch_or_a_stream_is_told_as_well(make_world: MakeWorld) -> None:
    async with make_world(scan_queue=5, scan_group=1) as world:
        # More than one group is proved at once: else a batch is taken whole where nothing waits.
        lot = await world.lot(quantity=200)
        codes = await lot.issue(200)
        scans = [verification_pb2.VerifyCodeRequest(code=code.uri) for code in codes]
        error = await refused(
            world.nobody.verification.BatchVerifyCodes(
                verification_pb2.BatchVerifyCodesRequest(requests=scans)
            )
        )
        assert_full([error])

        async def asked() -> AsyncIterator[verification_pb2.StreamVerifyCodesRequest]:
            for number, scan in enumerate(scans):
                yield verification_pb2.StreamVerifyCodesRequest(sequence=number, request=scan)

        answers = [a async for a in world.nobody.verification.StreamVerifyCodes(asked())]
        assert sorted(answer.sequence for answer in answers) == list(range(200))
        assert {answer.error_reason for answer in answers} <= {"", "QUEUE_FULL"}
        assert any(not answer.error_reason for answer in answers)


async def test_more_events_than_the_queue_holds_are_told_to_come_again(
    make_world: MakeWorld,
) -> None:
    async with make_world(event_queue=1) as world:
        units = [world.foreign() for _ in range(60)]
        requests = [
            capture_pb2.CaptureEventsRequest(events=[event(1, "storing", [unit])]) for unit in units
        ]
        answered, errors = await _overloaded(
            [world.shop.events.CaptureEvents(request) for request in requests]
        )
        assert answered
        assert errors
        assert_full(errors)
        listed = [
            len(
                (await world.shop.events.ListEvents(capture_pb2.ListEventsRequest(epc=unit))).events
            )
            for unit in units
        ]
        assert sum(listed) == len(answered)


async def test_more_streams_than_a_process_takes_are_refused_and_shut_nobody_else_out(
    make_world: MakeWorld,
) -> None:
    async with make_world(max_streams=4) as world:
        held = [world.nobody.verification.StreamVerifyCodes() for _ in range(4)]
        item = verification_pb2.StreamVerifyCodesRequest(
            request=verification_pb2.VerifyCodeRequest(code="x")
        )
        for call in held:
            await call.write(item)
            await call.read()
        assert_full([await refused(world.nobody.verification.StreamVerifyCodes(iter([item])))])
        assert await world.verify("x")
        await cancelled(held[:1])

        async def is_taken() -> bool:
            with contextlib.suppress(grpc.aio.AioRpcError):
                call = world.nobody.verification.StreamVerifyCodes(iter([item]))
                return [answer async for answer in call] != []
            return False

        await until(is_taken)
        await cancelled(held[1:])


# --- two nodes and a Redis


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    """A Redis for this file alone, which is stopped and started again."""
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(own_redis: RedisServer, tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Two nodes on one store with one Redis. Facts live so long that only being told helps."""
    own_redis.start()
    fields = {
        "redis_url": own_redis.url, "memory_lifetime_ms": 600_000, "redis_lifetime_ms": 600_000,
    }  # fmt: skip
    async with running_world(tmp_path, **fields) as one, second_node(one, **fields) as two:
        yield one, two


async def shows(node: World, code: str, reason: str) -> None:
    """Waits until a scan at a node shows a reason."""

    async def shown() -> bool:
        return reason in reasons(await node.verify(code))

    await until(shown, VISIBLE_WITHIN)


async def test_what_one_node_decides_the_other_is_told(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    lot = await one.lot(quantity=10)
    codes = await lot.issue(10)
    for node, code in itertools.product(nodes, codes):
        assert "RECALLED_BATCH" not in reasons(await node.verify(code.uri))
    for decider, other in ((one, two), (two, one)):
        recall = await lot.recall(decider.issuer, request_id=decider.target)
        assert "RECALLED_BATCH" in reasons(await decider.verify(codes[0].uri))
        await shows(other, codes[0].uri, "RECALLED_BATCH")
        await decider.issuer.supervision.LiftRecall(
            supervision_pb2.LiftRecallRequest(name=recall.name, reason="over")
        )

        async def is_over(other: World = other) -> bool:
            return "RECALLED_BATCH" not in reasons(await other.verify(codes[0].uri))

        await until(is_over, VISIBLE_WITHIN)


async def test_codes_issued_and_units_sold_at_one_node_are_known_at_the_other(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    lot = await one.lot(quantity=10)
    (first,) = await lot.issue(1, "first")
    assert outcome(await two.verify(first.uri)) == "GENUINE"
    (second,) = await lot.issue(1, "second")

    async def is_genuine() -> bool:
        return outcome(await two.verify(second.uri)) == "GENUINE"

    await until(is_genuine, VISIBLE_WITHIN)
    await one.issuer.accepted(event(1, "destroying", [lot.epc(first)]))
    # A unit's own story is read with its scan: there is nothing to wait for.
    assert reasons(await two.verify(first.uri))[0] == "DESTROYED"


async def test_a_key_that_one_node_revokes_the_other_refuses_to_trust(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    lot = await one.lot(one.other)
    (code,) = await lot.issue(1)
    parent = f"parties/{one.other.gln}"
    keys = await one.other.admin.ListIssuerKeys(admin_pb2.ListIssuerKeysRequest(parent=parent))
    assert outcome(await two.verify(code.uri)) == "GENUINE"
    await one.other.admin.RevokeIssuerKey(admin_pb2.RevokeIssuerKeyRequest(name=keys.keys[-1].name))
    await shows(two, code.uri, "KEY_REVOKED")


async def test_a_stolen_api_key_that_one_node_revokes_opens_no_other(
    nodes: tuple[World, World],
) -> None:
    one, two = nodes
    listed = await one.operator.admin.ListCredentials(
        admin_pb2.ListCredentialsRequest(parent=f"parties/{one.shop.gln}")
    )
    request = admin_pb2.ListPartiesRequest()
    assert await two.shop.admin.ListParties(request)
    await one.operator.admin.RevokeCredential(
        admin_pb2.RevokeCredentialRequest(name=listed.credentials[0].name)
    )

    async def is_refused() -> bool:
        try:
            await two.shop.admin.ListParties(request)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAUTHENTICATED
        return False

    await until(is_refused, VISIBLE_WITHIN)


@dataclass
class Load:
    """Scans at nodes until told to stop; each as (serial, outcome)."""

    nodes: tuple[World, World]
    codes: list[Any]
    over: bool = False
    found: list[tuple[str, str]] = field(default_factory=list)

    async def run(self) -> None:
        """Until it is over."""
        await asyncio.gather(*(self._scan(self.nodes[number % 2]) for number in range(8)))

    async def more(self) -> None:
        """Waits until each of them has been answered a few times."""
        seen = len(self.found)
        await until(lambda: len(self.found) > seen + 20)

    async def _scan(self, node: World) -> None:
        for code in itertools.cycle(self.codes):
            if self.over:
                return
            verdict = await node.verify(code.uri, "device")
            self.found.append((verdict.serial, outcome(verdict)))


async def test_without_redis_every_answer_is_right_and_with_it_again_it_is_used_again(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.start()
    # Facts in the processes are short-lived here: what is lost with Redis is how soon, not what.
    fields = {"redis_url": own_redis.url, "memory_lifetime_ms": 100, "redis_lifetime_ms": 60_000}
    async with running_world(tmp_path, **fields) as one, second_node(one, **fields) as two:
        good, bad = await one.lot(), await one.lot()
        codes, doomed = await good.issue(20), await bad.issue(1)
        load = Load((one, two), codes)
        running = asyncio.create_task(load.run())
        await load.more()
        for node in (one, two):
            await node.verify(doomed[0].uri)
        assert keys_in(own_redis) > 0
        own_redis.kill()
        # Away: the recall is still shown at once where it was made, and soon at the other.
        await bad.recall()
        assert "RECALLED_BATCH" in reasons(await one.verify(doomed[0].uri))
        await shows(two, doomed[0].uri, "RECALLED_BATCH")
        for node in (one, two):
            assert outcome(await node.verify(codes[0].uri, "device")) == "GENUINE"
        await load.more()
        own_redis.start()
        await until(lambda: keys_in(own_redis) > 0)
        await load.more()
        for node in (one, two):
            assert "RECALLED_BATCH" in reasons(await node.verify(doomed[0].uri))
        load.over = True
        await asyncio.wait_for(running, TIMEOUT)
        assert {word for _, word in load.found} == {"GENUINE"}
        assert {serial for serial, _ in load.found} <= {code.serial for code in codes}


async def test_after_redis_came_back_the_nodes_tell_each_other_again(
    nodes: tuple[World, World], own_redis: RedisServer
) -> None:
    one, two = nodes
    lot = await one.lot()
    (code,) = await lot.issue(1)
    await until(lambda: listeners_of(own_redis) == 2)
    own_redis.kill()
    assert outcome(await two.verify(code.uri, "d")) == "GENUINE"
    own_redis.start()
    await until(lambda: listeners_of(own_redis) == 2)
    assert outcome(await two.verify(code.uri, "d")) == "GENUINE"
    await lot.recall(one.issuer)
    await shows(two, code.uri, "RECALLED_BATCH")


def listeners_of(server: RedisServer) -> int:
    """How many nodes listen for what the others decide."""
    from redis import Redis

    with Redis.from_url(server.url) as client:
        ((_, count),) = client.pubsub_numsub("tracechain:invalidate")
        return int(count)


def keys_in(server: RedisServer) -> int:
    """How many keys a Redis holds."""
    from redis import Redis

    with Redis.from_url(server.url) as client:
        return int(client.dbsize())


async def test_junk_in_redis_changes_no_verdict(
    nodes: tuple[World, World], own_redis: RedisServer
) -> None:
    one, two = nodes
    lot, other = await one.lot(), await one.lot()
    codes, others = await lot.issue(3), await other.issue(1)
    await other.recall()
    for node in nodes:
        await node.verify(codes[0].uri)
        await node.verify(others[0].uri)
    _spoil(own_redis)
    async with second_node(one, redis_url=own_redis.url) as fresh:
        for node in (fresh, one, two):
            assert outcome(await node.verify(codes[1].uri, "d")) == "GENUINE"
            assert reasons(await node.verify(others[0].uri))[0] == "RECALLED_BATCH"


def _spoil(server: RedisServer) -> None:
    """Gives every value in Redis to another key, and the last of them junk."""
    from redis import Redis

    with Redis.from_url(server.url) as client:
        names = [name for name in client.scan_iter() if client.type(name) == b"string"]
        values = [client.get(name) for name in names]
        assert len(names) > 1
        for name, value in zip(names, [*values[1:], b"\x80junk"], strict=True):
            client.set(name, value)
