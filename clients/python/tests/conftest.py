"""A small scripted service behind a loopback socket, and one way to ask both clients.

The service answers what a test put into `script` first (a failure, or a stream that breaks), then
the truth. `ask` is run twice, once for each client, and gives lists where the method streams.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.support import grpc_thread
from tracechain.domain.code import Algorithm, CodeKey
from tracechain.domain.log import merkle
from tracechain_client import AsyncClient, Client, RetryPolicy
from tracechain_client.v1 import (
    admin_pb2_grpc,
    capture_pb2,
    capture_pb2_grpc,
    issuance_pb2,
    issuance_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    provenance_pb2,
    provenance_pb2_grpc,
    supervision_pb2,
    supervision_pb2_grpc,
    verification_pb2,
    verification_pb2_grpc,
)
from tracechain_client.v1.event_pb2 import Event
from tracechain_client.v1.party_pb2 import ALGORITHM_ED25519, ALGORITHM_ES256, IssuerKey

QUICK = RetryPolicy(base=0.001, cap=0.002)
PART = 10  # codes in one message of the fake's stream

ISSUER = "6901234000016"


@dataclass(frozen=True)
class Fail:
    """One failure, with the details that google.rpc defines for it."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    message: str = "scripted"
    reason: str = ""
    domain: str = "tracechain"
    metadata: dict[str, str] = field(default_factory=dict)
    violations: tuple[tuple[str, str, str], ...] = ()
    retry_after: float | None = None
    after: int = 0
    """In a stream: only after so many messages."""

    def status(self) -> Any:
        details: list[Any] = []
        if self.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(round(self.retry_after * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        if self.violations:
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=f, reason=r, description=d)
                for f, r, d in self.violations
            ]
            details.append(error_details_pb2.BadRequest(field_violations=violations))
        if self.reason:
            details.append(
                error_details_pb2.ErrorInfo(
                    reason=self.reason, domain=self.domain, metadata=self.metadata
                )
            )
        packed = []
        for detail in details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        return rpc_status.to_status(
            status_pb2.Status(
                code=getattr(code_pb2, self.code.name), message=self.message, details=packed
            )
        )


@dataclass
class Seen:
    """One request as it reached the service."""

    method: str
    request: Any
    metadata: dict[str, Any]
    time_remaining: float | None


class FakeService(
    admin_pb2_grpc.AdminServiceServicer,
    capture_pb2_grpc.EventServiceServicer,
    issuance_pb2_grpc.IssuanceServiceServicer,
    log_pb2_grpc.LogServiceServicer,
    provenance_pb2_grpc.ProvenanceServiceServicer,
    supervision_pb2_grpc.SupervisionServiceServicer,
    verification_pb2_grpc.VerificationServiceServicer,
):
    """Answers as scripted, then with something that shows what was asked."""

    def __init__(self) -> None:
        self.script: deque[Any] = deque()
        self.seen: list[Seen] = []
        self.events: list[capture_pb2.CapturedEvent] = []
        self.keys: list[Any] = []
        self.tree: list[bytes] = []
        """The leaf hashes of its log."""
        self.ended = asyncio.Event()
        self.target = ""

    async def _begin(self, method: str, request: Any, context: Any) -> Any:
        copy = type(request)()
        copy.CopyFrom(request)
        metadata = dict(context.invocation_metadata())
        self.seen.append(Seen(method, copy, metadata, context.time_remaining()))
        turn = self.script.popleft() if self.script else None
        if isinstance(turn, Fail) and not turn.after:
            await context.abort_with_status(turn.status())
        return turn

    def requests(self, method: str) -> list[Any]:
        return [seen.request for seen in self.seen if seen.method == method]

    # verification

    async def VerifyCode(self, request: Any, context: Any) -> Any:
        turn = await self._begin("VerifyCode", request, context)
        if turn == "hang":
            await asyncio.sleep(30)
        if isinstance(turn, verification_pb2.Verdict):
            return turn
        return verification_pb2.Verdict(serial=request.code)

    async def BatchVerifyCodes(self, request: Any, context: Any) -> Any:
        turn = await self._begin("BatchVerifyCodes", request, context)
        asked = request.requests[1:] if turn == "one short" else request.requests
        return verification_pb2.BatchVerifyCodesResponse(
            verdicts=[verification_pb2.Verdict(serial=scan.code) for scan in asked]
        )

    async def ClaimUnit(self, request: Any, context: Any) -> Any:
        await self._begin("ClaimUnit", request, context)
        return verification_pb2.ClaimUnitResponse(tries_left=len(request.pin))

    async def ListVerificationKeys(self, request: Any, context: Any) -> Any:
        await self._begin("ListVerificationKeys", request, context)
        return self._page(request, verification_pb2.ListVerificationKeysResponse(), self.keys)

    def _page(self, request: Any, page: Any, things: list[Any]) -> Any:
        start = int(request.page_token or 0)
        size = request.page_size or 2
        next(value for key, value in self._repeated(page)).extend(things[start : start + size])
        page.next_page_token = str(start + size) if start + size < len(things) else ""
        return page

    @staticmethod
    def _repeated(page: Any) -> Iterator[tuple[str, Any]]:
        for entry in page.DESCRIPTOR.fields:
            if entry.name != "next_page_token":
                yield entry.name, getattr(page, entry.name)

    # the log

    async def GetConsistencyProof(self, request: Any, context: Any) -> Any:
        await self._begin("GetConsistencyProof", request, context)
        if request.second_size > len(self.tree):
            await context.abort_with_status(
                Fail(grpc.StatusCode.NOT_FOUND, reason="LEAF_NOT_FOUND").status()
            )

        def read(node: merkle.Node) -> bytes:
            first = node.place << node.level
            return merkle.row_root(self.tree[first : first + (1 << node.level)])

        path = merkle.consistency(request.first_size, request.second_size)
        return log_pb2.ConsistencyProof(hashes=merkle.hashes(path, read))

    # issuance and parties

    async def CreateParty(self, request: Any, context: Any) -> Any:
        await self._begin("CreateParty", request, context)
        return request.party

    async def CreateProduct(self, request: Any, context: Any) -> Any:
        await self._begin("CreateProduct", request, context)
        request.product.name = f"products/{request.product.gtin}"
        return request.product

    async def CreateBatch(self, request: Any, context: Any) -> Any:
        await self._begin("CreateBatch", request, context)
        request.batch.name = f"{request.parent}/batches/{request.batch.lot}"
        return request.batch

    async def RaiseBatchQuantity(self, request: Any, context: Any) -> Any:
        await self._begin("RaiseBatchQuantity", request, context)
        return issuance_pb2.Batch(
            name=request.name, authorized_quantity=request.authorized_quantity
        )

    async def IssueCodes(self, request: Any, context: Any) -> AsyncIterator[Any]:
        turn = await self._begin("IssueCodes", request, context)
        context.add_done_callback(lambda _: self.ended.set())
        start, end = request.offset, request.quantity
        if turn == "overlap":
            start -= 3
        if turn == "gap":
            start += 1
        if turn == "too many":
            end += 1
        for sent, offset in enumerate(range(start, end, PART)):
            if isinstance(turn, Fail) and sent == turn.after:
                await context.abort_with_status(turn.status())
            if turn == "short" and sent == 1:
                return
            yield issuance_pb2.IssueCodesResponse(
                offset=offset,
                codes=[
                    issuance_pb2.Code(index=index, serial=request.request_id)
                    for index in range(offset, min(offset + PART, end))
                ],
            )
            await asyncio.sleep(0)
        if isinstance(turn, Fail):
            await context.abort_with_status(turn.status())

    async def RenderLabels(self, request: Any, context: Any) -> AsyncIterator[Any]:
        turn = await self._begin("RenderLabels", request, context)
        yield issuance_pb2.RenderLabelsResponse(plan=issuance_pb2.LabelPlan(label_count=50))
        for sent in range(3 if turn == "short" else 5):
            if isinstance(turn, Fail) and sent == turn.after:
                await context.abort_with_status(turn.status())
            data = b"other" if turn == "other" else b"%d" % sent
            part = issuance_pb2.LabelFilePart(name="labels.pdf", data=data)
            yield issuance_pb2.RenderLabelsResponse(parts=[part], label_count=10)

    # events

    @staticmethod
    def event(number: int, size: int = 0) -> Event:
        """An event like no other, of at least `size` bytes, whatever fields events have."""
        content = str(number).encode().ljust(size)
        length, head = len(content), bytearray(b"\xfa\xff\x01")  # an unknown field
        while length > 0x7F:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        return Event.FromString(bytes((*head, length)) + content)

    @staticmethod
    def ids_of(events: Any) -> list[str]:
        """The identities that this service gives to events."""
        return [hashlib.sha256(event.SerializeToString()).hexdigest() for event in events]

    def _results(self, events: Any) -> list[Any]:
        accepted = capture_pb2.CAPTURE_STATUS_ACCEPTED
        return [
            capture_pb2.CaptureResult(status=accepted, event_id=event_id)
            for event_id in self.ids_of(events)
        ]

    async def CaptureEvents(self, request: Any, context: Any) -> Any:
        await self._begin("CaptureEvents", request, context)
        return capture_pb2.CaptureEventsResponse(results=self._results(request.events))

    async def StreamCaptureEvents(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        turn, answered = None, 0
        async for request in requests:
            if answered == 0 and turn is None:
                turn = await self._begin("StreamCaptureEvents", request, context)
            else:
                self.seen.append(Seen("StreamCaptureEvents", request, {}, None))
            yield capture_pb2.StreamCaptureEventsResponse(results=self._results(request.events))
            answered += 1
            if isinstance(turn, Fail) and answered == turn.after:
                await context.abort_with_status(turn.status())
            if turn == "short":
                return

    async def GetEvent(self, request: Any, context: Any) -> Any:
        await self._begin("GetEvent", request, context)
        return capture_pb2.CapturedEvent(event_id=request.event_id)

    async def ListEvents(self, request: Any, context: Any) -> Any:
        turn = await self._begin("ListEvents", request, context)
        if turn == "circle":
            return capture_pb2.ListEventsResponse(next_page_token="again")
        return self._page(request, capture_pb2.ListEventsResponse(), self.events)

    # provenance and supervision

    async def TraceUnit(self, request: Any, context: Any) -> Any:
        await self._begin("TraceUnit", request, context)
        return provenance_pb2.Trace(epc=request.epc)

    async def TraceBatch(self, request: Any, context: Any) -> Any:
        await self._begin("TraceBatch", request, context)
        return provenance_pb2.Trace(batch=request.batch)

    async def TraceContainer(self, request: Any, context: Any) -> Any:
        await self._begin("TraceContainer", request, context)
        return provenance_pb2.Trace(epc=request.container)

    async def AssessRecall(self, request: Any, context: Any) -> Any:
        await self._begin("AssessRecall", request, context)
        return provenance_pb2.AssessRecallResponse(batch=request.batch)

    async def CreateRecall(self, request: Any, context: Any) -> Any:
        await self._begin("CreateRecall", request, context)
        return request.recall

    async def LiftRecall(self, request: Any, context: Any) -> Any:
        await self._begin("LiftRecall", request, context)
        return supervision_pb2.Recall(name=request.name)

    async def ListRecalls(self, request: Any, context: Any) -> Any:
        await self._begin("ListRecalls", request, context)
        recalls = [supervision_pb2.Recall(name=f"{request.parent}/recalls/{n}") for n in (1, 2)]
        return supervision_pb2.ListRecallsResponse(recalls=recalls)


def _add_services(service: FakeService, server: Any) -> None:
    admin_pb2_grpc.add_AdminServiceServicer_to_server(service, server)
    capture_pb2_grpc.add_EventServiceServicer_to_server(service, server)
    issuance_pb2_grpc.add_IssuanceServiceServicer_to_server(service, server)
    log_pb2_grpc.add_LogServiceServicer_to_server(service, server)
    provenance_pb2_grpc.add_ProvenanceServiceServicer_to_server(service, server)
    supervision_pb2_grpc.add_SupervisionServiceServicer_to_server(service, server)
    verification_pb2_grpc.add_VerificationServiceServicer_to_server(service, server)


@pytest.fixture
def add_services() -> Callable[[FakeService, Any], None]:
    """Registers the fake's services with another server."""
    return _add_services


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """The fake behind a real grpc.aio server; `target` says where."""
    fake = FakeService()  # type: ignore[abstract]  # it has what is called
    server = grpc.aio.server()
    _add_services(fake, server)
    fake.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield fake
    await server.stop(None)


class Ask(Protocol):
    """Calls a method of a client made for it: what it returns, or all that it streams."""

    def __call__(
        self, method: str, *args: Any, settings: dict[str, Any] | None = None, **options: Any
    ) -> Awaitable[Any]: ...


@pytest.fixture(scope="session", autouse=True)
def grpc_stays() -> None:
    """See tests.support.grpc_thread."""
    grpc_thread.keep_open()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the two clients."""
    kind: str = request.param
    return kind


@pytest.fixture
def ask(service: FakeService, kind: str) -> Ask:
    """Asks the service through the synchronous client in a thread, or the asynchronous one."""

    def asked(client: Any, method: str, args: Any, options: Any) -> Any:
        with client:
            answer = getattr(client, method)(*args, **options)
            return list(answer) if inspect.isgenerator(answer) else answer

    async def ask(
        method: str, *args: Any, settings: dict[str, Any] | None = None, **options: Any
    ) -> Any:
        chosen = {"retry": QUICK, **(settings or {})}
        if kind == "sync":
            client = Client(service.target, **chosen)
            return await asyncio.to_thread(asked, client, method, args, options)
        async with AsyncClient(service.target, **chosen) as aio:
            answer: Any = getattr(aio, method)(*args, **options)
            if inspect.isasyncgen(answer):
                return [item async for item in answer]
            return await answer

    return ask


def pkcs8(key: Any) -> bytes:
    der: bytes = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return der


P256 = ec.derive_private_key(0x1234567, ec.SECP256R1())
ANOTHER = ec.derive_private_key(0x7654321, ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="session")
def code_keys() -> dict[int, CodeKey]:
    """Keys of the service's own kind, which issue the codes of the tests; 9 is revoked."""
    return {
        7: CodeKey(7, Algorithm.ES256, pkcs8(P256), b"r" * 32),
        8: CodeKey(8, Algorithm.ED25519, pkcs8(ED), b"s" * 32),
        9: CodeKey(9, Algorithm.ES256, pkcs8(ANOTHER), b"t" * 32),
    }


@pytest.fixture(scope="session")
def issuer_keys(code_keys: dict[int, CodeKey]) -> list[IssuerKey]:
    """The same keys as the service lists them."""
    numbers = {Algorithm.ES256: ALGORITHM_ES256, Algorithm.ED25519: ALGORITHM_ED25519}
    keys = [
        IssuerKey(
            key_id=key_id,
            issuer_gln=ISSUER,
            algorithm=numbers[key.algorithm],
            public_key=key.verifying_key.public_key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
        )
        for key_id, key in code_keys.items()
    ]
    keys[-1].revoke_time.FromJsonString("2026-09-01T08:00:00.5Z")
    return keys


Failing = Callable[..., Fail]


@pytest.fixture
def fail() -> Failing:
    """Makes a failure for the script."""
    return Fail
