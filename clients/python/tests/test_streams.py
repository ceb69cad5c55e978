"""Streams that break in the middle go on by themselves: nothing twice, nothing left out."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

import grpc
import pytest

from tracechain_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    FailedPrecondition,
    ProtocolError,
    RetryPolicy,
    Unavailable,
)
from tracechain_client.v1.issuance_pb2 import (
    CODE_PROFILE_COMPACT,
    CODE_PROFILE_SIGNED,
    LABEL_FORMAT_PDF,
)

Code = grpc.StatusCode
BATCH = "products/06901234000016/batches/L1"
TWO_TRIES = RetryPolicy(attempts=2, base=0.001)
QUICK = RetryPolicy(base=0.001)


def indexes(codes: Any) -> list[int]:
    return [code.index for code in codes]


async def test_codes_come_in_order(ask: Any, service: Any) -> None:
    codes = await ask(
        "issue_codes", BATCH, 25, profile=CODE_PROFILE_COMPACT, include_pins=True, request_id="o"
    )
    assert indexes(codes) == list(range(25))
    (order,) = service.requests("IssueCodes")
    assert (order.parent, order.quantity, order.offset) == (BATCH, 25, 0)
    assert (order.profile, order.include_pins) == (CODE_PROFILE_COMPACT, True)
    assert order.request_id == "o"


async def test_a_broken_stream_goes_on_where_it_stopped(ask: Any, service: Any, fail: Any) -> None:
    service.script += [fail(), fail(after=2), fail(Code.ABORTED), fail(after=1)]
    codes = await ask("issue_codes", BATCH, 55)
    assert indexes(codes) == list(range(55))
    orders = service.requests("IssueCodes")
    assert [order.offset for order in orders] == [0, 0, 20, 20, 30]
    assert {order.quantity for order in orders} == {55}
    assert {order.profile for order in orders} == {CODE_PROFILE_SIGNED}
    (request_id,) = {order.request_id for order in orders}
    assert len(request_id) == 36
    assert {code.serial for code in codes} == {request_id}


async def test_another_process_goes_on_from_an_offset(ask: Any, service: Any, fail: Any) -> None:
    service.script.append(fail(after=1))
    codes = await ask("issue_codes", BATCH, 30, request_id="o", offset=7)
    assert indexes(codes) == list(range(7, 30))
    assert [order.offset for order in service.requests("IssueCodes")] == [7, 17]


async def test_progress_gives_the_tries_back(ask: Any, service: Any, fail: Any) -> None:
    service.script += [fail(after=1)] * 5
    codes = await ask("issue_codes", BATCH, 60, settings={"retry": TWO_TRIES})
    assert indexes(codes) == list(range(60))
    service.script += [fail(after=1), fail()]
    with pytest.raises(Unavailable):
        await ask("issue_codes", BATCH, 60, settings={"retry": TWO_TRIES})


async def test_all_codes_and_a_lost_farewell_are_all_codes(
    ask: Any, service: Any, fail: Any
) -> None:
    service.script.append(fail(after=3))
    assert indexes(await ask("issue_codes", BATCH, 30)) == list(range(30))
    assert len(service.seen) == 1


async def test_a_refusal_in_the_middle_is_raised(service: Any, fail: Any) -> None:
    service.script.append(fail(Code.FAILED_PRECONDITION, reason="QUANTITY_EXCEEDED", after=1))
    taken = []

    async def take() -> None:
        async with AsyncClient(service.target) as client:
            async for code in client.issue_codes(BATCH, 30):
                taken.append(code.index)

    with pytest.raises(FailedPrecondition) as raised:
        await take()
    assert taken == list(range(10))
    assert raised.value.reason == "QUANTITY_EXCEEDED"
    assert len(service.seen) == 1


async def test_what_came_before_is_not_given_twice(ask: Any, service: Any, fail: Any) -> None:
    service.script += [fail(after=1), "overlap"]
    assert indexes(await ask("issue_codes", BATCH, 30)) == list(range(30))


@pytest.mark.parametrize("lie", ["gap", "too many", "short"])
async def test_codes_that_are_not_those_ordered_are_refused(
    ask: Any, service: Any, lie: str
) -> None:
    service.script.append(lie)
    with pytest.raises(ProtocolError):
        await ask("issue_codes", BATCH, 35)
    assert len(service.seen) == 1


async def test_a_refusal_of_an_order_with_nothing_left_is_not_hidden(
    ask: Any, service: Any, fail: Any
) -> None:
    service.script += [fail()] * 2
    with pytest.raises(Unavailable):
        await ask("issue_codes", BATCH, 30, offset=30, settings={"retry": TWO_TRIES})


async def test_leaving_early_cancels_the_call(service: Any, kind: str) -> None:
    def first() -> int:
        with Client(service.target) as client:
            for code in client.issue_codes(BATCH, 1_000_000):
                return int(code.index)
        return -1

    if kind == "sync":
        assert await asyncio.to_thread(first) == 0
    else:
        async with AsyncClient(service.target) as client:
            async with contextlib.aclosing(client.issue_codes(BATCH, 1_000_000)) as codes:
                assert (await anext(codes)).index == 0
            await asyncio.wait_for(service.ended.wait(), 30)
    await asyncio.wait_for(service.ended.wait(), 30)


async def test_a_cancelled_task_cancels_the_call(service: Any) -> None:
    async with AsyncClient(service.target) as client:
        under_way = asyncio.Event()

        async def take() -> None:
            async for _ in client.issue_codes(BATCH, 1_000_000):
                under_way.set()

        task = asyncio.create_task(take())
        await asyncio.wait_for(under_way.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(service.ended.wait(), 30)


async def test_a_stream_has_a_timeout_of_its_own(ask: Any, service: Any) -> None:
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await ask("issue_codes", BATCH, 10**9, settings={"stream_timeout": 0.3})
    assert time.monotonic() - start < 30
    assert indexes(await ask("issue_codes", BATCH, 5, settings={"timeout": 0.000001})) == [
        *range(5)
    ]


class CutWire:
    """A wire to the service that breaks each time so many bytes came over it; `cuts` times."""

    def __init__(self, target: str, after: int, cuts: int) -> None:
        self._port = int(target.rpartition(":")[2])
        self._after = after
        self.cuts = cuts

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _connected(self, reader: Any, writer: Any) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        sending = asyncio.create_task(self._carry(reader, forth))
        budget = self._after if self.cuts else None
        self.cuts -= bool(self.cuts)
        await self._carry(back, writer, budget)
        sending.cancel()
        writer.transport.abort()
        forth.transport.abort()

    @staticmethod
    async def _carry(reader: Any, writer: Any, budget: int | None = None) -> None:
        with contextlib.suppress(OSError):
            while (budget is None or budget > 0) and (data := await reader.read(1000)):
                writer.write(data)
                await writer.drain()
                budget = None if budget is None else budget - len(data)


async def test_labels_come_once_though_the_stream_breaks(ask: Any, service: Any, fail: Any) -> None:
    service.script += [fail(), fail(after=1), fail(after=1), fail(after=4)]
    answers = await ask("render_labels", BATCH, "first", layout="a4-3x8", include_pins=True)
    assert [answer.HasField("plan") for answer in answers] == [True, *[False] * 5]
    assert [part.data for answer in answers for part in answer.parts] == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]
    requests = service.requests("RenderLabels")
    assert len(requests) == 5
    for request in requests:
        assert (request.parent, request.order, request.layout) == (BATCH, "first", "a4-3x8")
        assert (request.format, request.include_pins) == (LABEL_FORMAT_PDF, True)


@pytest.mark.parametrize("lie", ["other", "short"])
async def test_other_labels_than_before_are_not_mixed_with_them(
    ask: Any, service: Any, fail: Any, lie: str
) -> None:
    service.script += [fail(after=4), lie]
    with pytest.raises(ProtocolError):
        await ask("render_labels", BATCH, "first")
    assert len(service.requests("RenderLabels")) == 2


@pytest.mark.parametrize("method", ["issue_codes", "capture_stream"])
async def test_a_cut_wire_is_found_again(ask: Any, service: Any, method: str) -> None:
    wire = CutWire(service.target, after=5_000, cuts=3)
    async with wire as service.target:
        if method == "issue_codes":
            assert indexes(await ask(method, BATCH, 3000)) == list(range(3000))
        else:
            events = [service.event(n) for n in range(600)]
            results = await ask(method, events, chunk_size=10)
            assert [result.event_id for result in results] == service.ids_of(events)
    assert wire.cuts == 0


# ---- capture_stream


async def test_a_stream_of_events_has_a_result_for_each(ask: Any, service: Any) -> None:
    events = [service.event(n) for n in range(57)]
    results = await ask("capture_stream", iter(events), chunk_size=10)
    assert [result.event_id for result in results] == service.ids_of(events)
    assert await ask("capture_stream", []) == []


@pytest.mark.parametrize("window", [1, 3, 50])
async def test_a_broken_stream_of_events_goes_on(
    ask: Any, service: Any, fail: Any, window: int
) -> None:
    events = [service.event(n) for n in range(95)]
    service.script += [fail(), fail(after=1), fail(after=3), fail()]
    results = await ask("capture_stream", events, chunk_size=10, window=window)
    assert [result.event_id for result in results] == service.ids_of(events)


async def test_answers_give_the_tries_back(ask: Any, service: Any, fail: Any) -> None:
    events = [service.event(n) for n in range(60)]
    service.script += [fail(after=1)] * 5
    quick = {"retry": TWO_TRIES}
    assert len(await ask("capture_stream", events, chunk_size=10, settings=quick)) == 60
    service.script += [fail(after=1), fail()]
    with pytest.raises(Unavailable):
        await ask("capture_stream", events, chunk_size=10, settings=quick)


async def test_a_refused_stream_of_events_is_raised(ask: Any, service: Any, fail: Any) -> None:
    service.script.append(fail(Code.FAILED_PRECONDITION, after=1))
    with pytest.raises(FailedPrecondition):
        await ask("capture_stream", [service.event(n) for n in range(30)], chunk_size=10)


async def test_answers_that_are_missing_are_no_success(ask: Any, service: Any) -> None:
    service.script.append("short")
    with pytest.raises(ProtocolError):
        await ask("capture_stream", [service.event(n) for n in range(30)], chunk_size=10)


async def test_failures_of_the_callers_iterator_are_the_callers(ask: Any, service: Any) -> None:
    def events() -> Any:
        yield service.event(1)
        raise grpc.RpcError("the caller's own, and not to be tried again")

    for method in ("capture", "capture_stream"):
        with pytest.raises(grpc.RpcError, match="own"):
            await ask(method, events())


async def test_events_may_be_asynchronous(service: Any, fail: Any) -> None:
    events = [service.event(n) for n in range(35)]

    async def source() -> Any:
        for event in events:
            await asyncio.sleep(0)
            yield event

    service.script.append(fail(after=1))
    async with AsyncClient(service.target) as client:
        streamed = [r.event_id async for r in client.capture_stream(source(), chunk_size=10)]
        captured = [result.event_id for result in await client.capture(source())]
    assert streamed == captured == service.ids_of(events)
    with Client(service.target) as blocking, pytest.raises(TypeError):
        blocking.capture(source())


async def test_no_thread_is_left_behind(service: Any, fail: Any) -> None:
    def capture() -> None:
        with Client(service.target, retry=QUICK) as client:
            events = [service.event(n) for n in range(30)]
            for _ in range(5):
                service.script += [fail(after=1), fail()]
                assert len(list(client.capture_stream(events, chunk_size=10))) == 30
                next(client.capture_stream(events, chunk_size=10))  # and dropped

    before = set(threading.enumerate())
    await asyncio.to_thread(capture)
    for _ in range(600):
        new = set(threading.enumerate()) - before
        if all(thread.name.startswith("asyncio") for thread in new):  # to_thread keeps its own
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"still there: {new}")


async def test_no_task_is_left_behind(service: Any, fail: Any) -> None:
    before = asyncio.all_tasks()
    service.script += [fail(after=1), fail()]
    async with AsyncClient(service.target) as client:
        events = [service.event(n) for n in range(30)]
        assert len([r async for r in client.capture_stream(events, chunk_size=10)]) == 30
        async with contextlib.aclosing(client.capture_stream(events, chunk_size=10)) as results:
            await anext(results)
    for _ in range(600):
        if not any("consume" in str(task) for task in asyncio.all_tasks() - before):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"still there: {asyncio.all_tasks() - before}")


@pytest.mark.parametrize("wrong", [{"chunk_size": 0}, {"chunk_size": 1001}, {"window": 0}])
async def test_sizes_that_are_none_are_refused(
    ask: Any, service: Any, wrong: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match="chunk_size"):
        await ask("capture_stream", [], **wrong)
    assert service.seen == []
