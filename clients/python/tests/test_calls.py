"""Calls with one answer, and the lists: what is sent, what is tried again, what is raised."""

from __future__ import annotations

import asyncio
import datetime
import pickle
import time
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

import tracechain_client.errors as errors
from tracechain_client import (
    AsyncClient,
    Client,
    InvalidArgument,
    ProtocolError,
    RetryPolicy,
    TracechainError,
    Unavailable,
    Violation,
)
from tracechain_client.v1.capture_pb2 import CapturedEvent
from tracechain_client.v1.issuance_pb2 import Batch, GetBatchRequest, Product
from tracechain_client.v1.party_pb2 import Party
from tracechain_client.v1.supervision_pb2 import Recall
from tracechain_client.v1.verification_pb2 import VerifyCodeRequest

Code = grpc.StatusCode
RETRYABLE = [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED]
ALL = [code for code in Code if code is not Code.OK]
BATCH = "products/06901234000016/batches/L1"

# Each method with one answer: arguments, the RPC, and what of the answer shows what was asked.
UNARY: dict[str, tuple[tuple[Any, ...], str, Any]] = {
    "verify": (("a code", "device", "210102"), "VerifyCode", ("serial", "a code")),
    "claim": (("a code", "12345678", "device"), "ClaimUnit", ("tries_left", 8)),
    "create_party": ((Party(gln="6901234000016"),), "CreateParty", ("gln", "6901234000016")),
    "create_product": ((Product(gtin="1"),), "CreateProduct", ("gtin", "1")),
    "create_batch": (("products/1", Batch(lot="L1")), "CreateBatch", ("lot", "L1")),
    "raise_batch_quantity": ((BATCH, 9, "more"), "RaiseBatchQuantity", ("authorized_quantity", 9)),
    "get_event": (("ni:///x",), "GetEvent", ("event_id", "ni:///x")),
    "trace_unit": (("urn:1",), "TraceUnit", ("epc", "urn:1")),
    "trace_batch": ((BATCH,), "TraceBatch", ("batch", BATCH)),
    "trace_container": (("urn:2",), "TraceContainer", ("epc", "urn:2")),
    "assess_recall": ((BATCH,), "AssessRecall", ("batch", BATCH)),
    "create_recall": ((BATCH, Recall(units=["u"])), "CreateRecall", ("units", ["u"])),
    "lift_recall": ((f"{BATCH}/recalls/1", "over"), "LiftRecall", ("name", f"{BATCH}/recalls/1")),
}


@pytest.mark.parametrize("method", UNARY)
async def test_a_call_asks_the_service_and_is_tried_again(
    ask: Any, service: Any, fail: Any, method: str
) -> None:
    args, rpc, (shown, value) = UNARY[method]
    service.script += [fail(), fail(Code.ABORTED)]
    answer = await ask(method, *args, settings={"api_key": "k3y"})
    assert getattr(answer, shown) == value
    tries = service.requests(rpc)
    assert len(tries) == 3
    assert tries[0] == tries[1] == tries[2], "a repetition is the same request, id included"
    if "request_id" in tries[0].DESCRIPTOR.fields_by_name:
        assert len(tries[0].request_id) == 36
    assert {seen.metadata["authorization"] for seen in service.seen} == {"Bearer k3y"}


async def test_a_request_id_of_ones_own_is_sent(ask: Any, service: Any) -> None:
    await ask("verify", "c", request_id="mine")
    await ask("create_product", Product(), request_id="mine too")
    await ask("verify", "c", settings={"new_request_id": lambda: "made"})
    assert [seen.request.request_id for seen in service.seen] == ["mine", "mine too", "made"]


async def test_a_scan_without_context_names_none(ask: Any, service: Any) -> None:
    await ask("verify", "c")
    await ask("verify", "c", region="2101")
    first, second = service.requests("VerifyCode")
    assert not first.HasField("context")
    assert second.context.region == "2101"


async def test_without_a_key_no_authorization_is_sent(ask: Any, service: Any) -> None:
    await ask("verify", "c")
    (seen,) = service.seen
    assert "authorization" not in seen.metadata
    assert seen.metadata["user-agent"].startswith("tracechain-python/")


@pytest.mark.parametrize("code", ALL)
async def test_each_status_has_its_error_and_only_three_are_tried_again(
    ask: Any, service: Any, fail: Any, code: grpc.StatusCode
) -> None:
    service.script += [fail(code, "no")] * 10
    with pytest.raises(errors.BY_STATUS[code]) as raised:
        await ask("get_event", "e", settings={"retry": RetryPolicy(attempts=3, base=0.001)})
    assert (raised.value.code, raised.value.message) == (code, "no")
    assert isinstance(raised.value.__cause__, grpc.RpcError)
    assert len(service.seen) == (3 if code in RETRYABLE else 1)


def test_every_status_but_ok_has_a_class_of_its_own() -> None:
    assert set(errors.BY_STATUS) == set(ALL)
    assert len(set(errors.BY_STATUS.values())) == len(ALL)


async def test_details_of_an_error_are_read(ask: Any, service: Any, fail: Any) -> None:
    service.script.append(
        fail(
            Code.INVALID_ARGUMENT,
            "两个字段不对",
            "INVALID_GTIN",
            metadata={"gtin": "123", "批": "次"},
            violations=(("product.gtin", "INVALID_GTIN", "14 digits"), ("x", "Y", "")),
            retry_after=1.25,
        )
    )
    with pytest.raises(InvalidArgument) as raised:
        await ask("create_product", Product(gtin="123"))
    error = raised.value
    assert (error.reason, error.message) == ("INVALID_GTIN", "两个字段不对")
    assert error.metadata == {"gtin": "123", "批": "次"}
    assert error.violations == (
        Violation("product.gtin", "INVALID_GTIN", "14 digits"),
        Violation("x", "Y", ""),
    )
    assert error.retry_after == 1.25
    assert str(error) == "INVALID_ARGUMENT INVALID_GTIN: 两个字段不对"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again)) == (InvalidArgument, vars(error))


async def test_a_reason_of_another_domain_is_not_ours(ask: Any, service: Any, fail: Any) -> None:
    service.script.append(
        fail(Code.PERMISSION_DENIED, "m", "QUOTA", domain="proxy.example", metadata={"a": "b"})
    )
    with pytest.raises(errors.PermissionDenied) as raised:
        await ask("get_event", "e")
    assert (raised.value.reason, raised.value.metadata) == ("", {})


async def test_an_error_that_gRPC_itself_makes_is_of_the_tree(ask: Any, service: Any) -> None:
    nowhere = {"retry": RetryPolicy(attempts=1), "options": [("grpc.max_send_message_length", 9)]}
    with pytest.raises(errors.ResourceExhausted) as raised:
        await ask("verify", "a code", settings=nowhere)
    assert (raised.value.reason, raised.value.retry_after) == ("", None)
    assert service.seen == []


async def test_a_service_that_is_away_is_unavailable() -> None:
    with (
        Client("unix:nobody-listens-here.sock", retry=RetryPolicy(attempts=2)) as client,
        pytest.raises(Unavailable),
    ):
        client.verify("c")


NOT_FOUND_IN_5_SECONDS = status_pb2.Status(code=5)
NOT_FOUND_IN_5_SECONDS.details.add().Pack(
    error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=5))
)


@pytest.mark.parametrize(
    "status", [b"\xff\xff", b"", b"\x08\x0e", NOT_FOUND_IN_5_SECONDS.SerializeToString()]
)
def test_details_that_cannot_be_read_do_not_hide_the_status(status: bytes) -> None:
    class Raised(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return Code.UNAVAILABLE

        def details(self) -> str:
            return "m"

        def trailing_metadata(self) -> Any:
            return (("grpc-status-details-bin", status),)

    error = errors.from_rpc_error(Raised())
    assert isinstance(error, Unavailable)
    assert (error.reason, error.message, error.retry_after) == ("", "m", None)


async def test_retry_info_is_waited_for(ask: Any, service: Any, fail: Any) -> None:
    service.script.append(fail(Code.RESOURCE_EXHAUSTED, retry_after=0.3))
    start = time.monotonic()
    await ask("verify", "c")
    assert time.monotonic() - start >= 0.3
    assert len(service.seen) == 2


@pytest.mark.parametrize(("total", "longest"), [(5.0, 60.0), (None, 8.0)])
async def test_a_hint_that_is_too_long_is_the_callers(
    ask: Any, service: Any, fail: Any, total: float | None, longest: float
) -> None:
    service.script.append(fail(Code.RESOURCE_EXHAUSTED, retry_after=9))
    settings = {"timeout": total, "retry": RetryPolicy(longest_hint=longest)}
    start = time.monotonic()
    with pytest.raises(errors.ResourceExhausted) as raised:
        await ask("verify", "c", settings=settings)
    assert raised.value.retry_after == 9
    assert time.monotonic() - start < raised.value.retry_after
    assert len(service.seen) == 1


async def test_the_timeout_is_for_all_tries_together(ask: Any, service: Any, fail: Any) -> None:
    service.script += [fail()] * 100
    passed = 0.0

    def a_while(_: float) -> float:
        nonlocal passed
        passed += 100.0
        return 0.0

    retry = RetryPolicy(attempts=100, jitter=a_while)
    with pytest.raises(Unavailable):
        await ask("verify", "c", settings={"timeout": 400, "retry": retry, "clock": lambda: passed})
    # gRPC rounds a timeout to three digits.
    left = [seen.time_remaining for seen in service.seen]
    assert left == pytest.approx([400, 300, 200, 100], rel=0.05)


async def test_no_answer_in_time_is_an_error(ask: Any, service: Any) -> None:
    service.script.append("hang")
    with pytest.raises(errors.DeadlineExceeded):
        await ask("verify", "c", settings={"timeout": 0.2})
    # Asked once, which a busy machine may not even have got through in that time.
    assert len(service.seen) <= 1


async def test_another_policy_on_the_same_channel(service: Any, fail: Any) -> None:
    async with AsyncClient(service.target, timeout=30) as client:
        # Connected, so that what is short is spent on the call.
        assert (await client.verify("c")).serial == "c"
        hasty = client.with_policy(timeout=1, retry=RetryPolicy(attempts=1))
        service.script += ["hang", fail()]
        with pytest.raises(errors.DeadlineExceeded):
            await hasty.verify("c")
        with pytest.raises(Unavailable):
            await hasty.verify("c")
        assert (await client.verify("c")).serial == "c"
        patient = client.with_policy(timeout=None, stream_timeout=60)
        assert (await patient.verify("c")).serial == "c"
    assert service.seen[-1].time_remaining is None or service.seen[-1].time_remaining > 1e6


async def test_many_codes_go_a_thousand_at_a_time(ask: Any, service: Any, fail: Any) -> None:
    codes = [f"c{n}" for n in range(2500)]
    service.script += [fail(), None, fail()]
    verdicts = await ask("verify_many", iter(codes), "device")
    assert [verdict.serial for verdict in verdicts] == codes
    requests = service.requests("BatchVerifyCodes")
    assert [len(request.requests) for request in requests] == [1000, 1000, 1000, 1000, 500]
    assert requests[0] == requests[1]
    ids = {scan.request_id for request in requests for scan in request.requests}
    assert len(ids) == 2500
    assert requests[0].requests[7].context.device_id == "device"
    assert await ask("verify_many", []) == []


async def test_verdicts_that_are_missing_are_no_answer(ask: Any, service: Any) -> None:
    service.script.append("one short")
    with pytest.raises(ProtocolError):
        await ask("verify_many", ["a", "b"])
    assert len(service.seen) == 1


async def test_events_are_captured_in_chunks_with_a_result_each(
    ask: Any, service: Any, fail: Any
) -> None:
    events = [service.event(n) for n in range(2001)]
    service.script += [None, fail()]
    results = await ask("capture", events, "order-7")
    assert [result.event_id for result in results] == service.ids_of(events)
    requests = service.requests("CaptureEvents")
    assert [len(request.events) for request in requests] == [1000, 1000, 1000, 1]
    sent = [request.request_id for request in requests]
    assert sent[0] == "order-7"
    assert sent[1] == sent[2] != sent[3]
    await ask("capture", events, "order-7")
    assert [r.request_id for r in service.requests("CaptureEvents")][4:] == [sent[0], *sent[2:]]


async def test_events_that_are_large_go_in_smaller_chunks(ask: Any, service: Any) -> None:
    events = [service.event(n, size=500_000) for n in range(10)]
    results = await ask("capture", events)
    assert [result.event_id for result in results] == service.ids_of(events)
    assert [len(request.events) for request in service.requests("CaptureEvents")] == [6, 4]


async def test_an_event_that_is_larger_than_any_chunk_still_goes_alone(
    ask: Any, service: Any
) -> None:
    events = [service.event(1), service.event(2, size=3_500_000), service.event(3)]
    assert len(await ask("capture", events)) == 3
    assert [len(request.events) for request in service.requests("CaptureEvents")] == [1, 1, 1]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6])
async def test_lists_fetch_all_their_pages(ask: Any, service: Any, fail: Any, count: int) -> None:
    service.events = [CapturedEvent(event_id=str(n)) for n in range(count)]
    service.script.append(fail())
    found = await ask("list_events", "urn:epc")
    assert [event.event_id for event in found] == [str(n) for n in range(count)]
    assert {request.epc for request in service.requests("ListEvents")} == {"urn:epc"}
    recalls = await ask("list_recalls", BATCH)
    assert [recall.name for recall in recalls] == [f"{BATCH}/recalls/{n}" for n in (1, 2)]


async def test_pages_that_go_round_in_a_circle_end(ask: Any, service: Any) -> None:
    service.script += ["circle"] * 5
    with pytest.raises(ProtocolError):
        await ask("list_events")
    assert len(service.seen) == 2


async def test_stubs_reach_everything_else_with_the_credential(service: Any) -> None:
    request = VerifyCodeRequest(code="c")
    async with AsyncClient(service.target, api_key="k3y") as client:
        await client.stubs.verification.VerifyCode(request, metadata=(("x-more", "1"),))
        with pytest.raises(grpc.RpcError) as raised:
            await client.stubs.issuance.GetBatch(GetBatchRequest(name=BATCH))
        assert isinstance(errors.from_rpc_error(raised.value), errors.Unimplemented)
    seen = service.seen[0].metadata
    assert (seen["authorization"], seen["x-more"]) == ("Bearer k3y", "1")


async def test_stubs_of_the_synchronous_client_block(service: Any) -> None:
    request = VerifyCodeRequest(code="c")

    def three_ways() -> None:
        with Client(service.target, api_key="k3y") as client:
            verify = client.stubs.verification.VerifyCode
            verdict, call = verify.with_call(request, timeout=5)
            assert call.code() is Code.OK
            assert verify(request) == verdict == verify.future(request).result()

    await asyncio.to_thread(three_ways)
    assert [seen.metadata["authorization"] for seen in service.seen] == ["Bearer k3y"] * 3


async def test_verification_keys_come_with_all_their_pages(
    ask: Any, service: Any, issuer_keys: Any
) -> None:
    service.keys = issuer_keys
    now = datetime.datetime(2026, 9, 15, tzinfo=datetime.UTC)
    found = await ask("verification_keys", settings={"now": lambda: now})
    assert [key.key_id for key in found] == [key.key_id for key in issuer_keys]
    assert found.fetch_time == now
    assert len(service.requests("ListVerificationKeys")) == 2


def test_an_error_of_the_client_itself_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(ProtocolError(message="m")))
    assert isinstance(error, TracechainError)
    assert error.message == "m"
