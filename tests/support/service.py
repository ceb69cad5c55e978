"""The whole service behind a real socket, with parties that are ready to act.

`running_world` builds an app with `tracechain.bootstrap` in a folder of its own, serves it on a
free port of loopback, registers two issuers, a distributor, a shop and three regulators' callers,
and ends everything in order. Tests make products and batches of their own, so that one world can
serve many of them.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib
import itertools
import os
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

import tracechain.v1
from tracechain.bootstrap import App, Ports, build, serve
from tracechain.domain.batch_key import derived
from tracechain.domain.identifiers import gs1_check_digit
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.report import Report, ReportKind, province_place
from tracechain.domain.text import LocalizedText
from tracechain.settings import Settings
from tracechain.v1 import admin_pb2 as admin
from tracechain.v1 import (
    admin_pb2_grpc,
    annotations_pb2,
    audit_pb2_grpc,
    capture_pb2,
    capture_pb2_grpc,
    event_pb2,
    issuance_pb2,
    issuance_pb2_grpc,
    log_pb2_grpc,
    party_pb2,
    provenance_pb2_grpc,
    supervision_pb2,
    supervision_pb2_grpc,
    verification_pb2,
    verification_pb2_grpc,
)

RESOLVER = "id.tracechain.example"
# Guards against hanging, and against nothing else: a busy machine is several times slower.
TIMEOUT = 60.0
# Tests come from one address, and fast. Limits have tests of their own.
NO_LIMITS = {
    "client_codes_per_second": 0,
    "client_looks_per_minute": 0,
    "party_calls_per_second": 0,
    "client_logins_per_minute": 0,
    "client_tries_per_hour": 0,
    "code_tries_per_hour": 0,
    "client_calls": 0,
    "client_streams": 0,
    "client_connections": 0,
}
STORE_VARIABLE = "TRACECHAIN_TEST_STORE"
_EPOCH = datetime.datetime(2026, 1, 5, 8, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"

# The services' stubs by the names that tests use.
STUBS = {
    "admin": admin_pb2_grpc.AdminServiceStub,
    "audit": audit_pb2_grpc.AuditServiceStub,
    "issuance": issuance_pb2_grpc.IssuanceServiceStub,
    "events": capture_pb2_grpc.EventServiceStub,
    "verification": verification_pb2_grpc.VerificationServiceStub,
    "provenance": provenance_pb2_grpc.ProvenanceServiceStub,
    "supervision": supervision_pb2_grpc.SupervisionServiceStub,
    "log": log_pb2_grpc.LogServiceStub,
}


def at(minutes: float) -> str:
    """A time in the past, `minutes` after a fixed one, as events give it."""
    return (_EPOCH + datetime.timedelta(minutes=minutes)).isoformat(timespec="milliseconds")


def micros(minutes: float) -> int:
    """The same time in microseconds since 1970."""
    return int((_EPOCH + datetime.timedelta(minutes=minutes)).timestamp() * 1_000_000)


def gln_of(number: int) -> str:
    """A GLN that is right, one for each number below 10^5."""
    digits = f"6901234{number:05}"
    return digits + gs1_check_digit(digits)


def gtin_of(number: int) -> str:
    """A GTIN-14 that is right, one for each number below 10^5."""
    digits = f"06901234{number:05}"
    return digits + gs1_check_digit(digits)


def sscc_of(number: int) -> str:
    """An SSCC that is right, one for each number below 10^9."""
    digits = f"06901234{number:09}"
    return digits + gs1_check_digit(digits)


def uscc_of(number: int) -> str:
    """A unified social credit code that is right (GB 32100)."""
    digits = f"91210100{number:09}"
    total = sum(_USCC_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(digits))
    return digits + _USCC_ALPHABET[-total % 31]


def sscc_uri(sscc: str) -> str:
    """The canonical URI of a container."""
    return f"https://id.gs1.org/00/{sscc}"


def place(gln: str) -> str:
    """The canonical URI of a party's place."""
    return f"https://id.gs1.org/414/{gln}"


@dataclass(frozen=True)
class Refusal:
    """A failed call: its code, its words and its details."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    violations: tuple[tuple[str, str], ...]
    retry_after: float | None
    details: tuple[str, ...]

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> Refusal:
        """Reads google.rpc.Status from the trailers of a failed call."""
        status = status_pb2.Status()
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                status.ParseFromString(value if isinstance(value, bytes) else value.encode())
        info = error_details_pb2.ErrorInfo()
        bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        has_retry = False
        for detail in status.details:
            detail.Unpack(info)
            detail.Unpack(bad)
            has_retry = detail.Unpack(retry) or has_retry
        return cls(
            error.code(),
            error.details() or "",
            info.reason,
            info.domain,
            dict(info.metadata),
            tuple((v.field, v.reason) for v in bad.field_violations),
            retry.retry_delay.ToNanoseconds() / 1e9 if has_retry else None,
            tuple(detail.type_url for detail in status.details),
        )


def every_method() -> list[MethodDescriptor]:
    """Every method of every service in the protos, whether anybody thought of it or not."""
    found = []
    for info in pkgutil.iter_modules(tracechain.v1.__path__):
        if info.name.endswith("_pb2"):
            module = importlib.import_module(f"tracechain.v1.{info.name}")
            for service in module.DESCRIPTOR.services_by_name.values():
                found += list(service.methods)
    return sorted(found, key=lambda method: str(method.full_name))


def access_of(method: MethodDescriptor) -> annotations_pb2.Access:
    """Who may call a method, as the protos say."""
    return method.GetOptions().Extensions[annotations_pb2.access]


async def answers(
    channel: grpc.aio.Channel,
    method: MethodDescriptor,
    request: Message | bytes,
    metadata: Sequence[tuple[str, str]] = (),
    most: int = 0,
) -> list[Any]:
    """All that a method answers to one request, or at most so much of a stream and then it is
    cancelled; raw bytes are sent as they are."""
    for left in reversed(range(5)):
        try:
            return await _answers(channel, method, request, metadata, most)
        except grpc.aio.AioRpcError as error:
            # Of itself: who is refused before his request was read may still be writing it, which
            # gRPC's client says in the refusal's stead. All that the service says has details.
            ours = error.code() is not grpc.StatusCode.INTERNAL or Refusal.of(error).details
            if ours or not method.client_streaming or not left:
                raise
    raise AssertionError


async def _answers(
    channel: grpc.aio.Channel,
    method: MethodDescriptor,
    request: Message | bytes,
    metadata: Sequence[tuple[str, str]],
    most: int,
) -> list[Any]:
    kind = "_".join(
        "stream" if streams else "unary"
        for streams in (method.client_streaming, method.server_streaming)
    )
    assert method.containing_service is not None
    open_call = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda given: (
            given if isinstance(given, bytes) else given.SerializeToString()
        ),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    sent: Any = request
    if method.client_streaming:

        async def once() -> AsyncIterator[Message | bytes]:
            yield request

        sent = once()
    call = open_call(sent, metadata=tuple(metadata), timeout=TIMEOUT)
    if method.server_streaming:
        found: list[Any] = []
        async for answer in call:
            found.append(answer)
            if len(found) == most:
                call.cancel()
                break
        return found
    return [await call]


async def reported(world: World, region: str, text: str = "", photo: bytes | None = None) -> str:
    """The name of a report from a division, as the page for reports keeps one."""
    number = next(world.numbers)
    report = Report(
        f"{number:032x}", region, ReportKind.OTHER, text, "https://x", "", "", micros(number)
    )
    await world.app.store.put_report(derived(province_place(region)), report, photo)
    return f"divisions/{region[:2]}0000/reports/{report.report_id}"


async def refused(call: Any) -> Refusal:
    """What a call that has to fail says. A stream is read until it fails."""
    try:
        if hasattr(call, "__aiter__") and not hasattr(call, "__await__"):
            async for _ in call:
                pass
            answer: object = "a stream that ended well"
        else:
            answer = await call
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error)
    raise AssertionError(f"was answered: {answer}")


class _Bound:
    """A stub whose calls carry one credential and a deadline."""

    def __init__(self, stub: Any, metadata: Sequence[tuple[str, str]]) -> None:
        self._stub = stub
        self._metadata = tuple(metadata)

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(self._stub, name), metadata=self._metadata, timeout=TIMEOUT)


class Caller:
    """A party with a credential, and the services as it calls them."""

    admin: Any
    audit: Any
    issuance: Any
    events: Any
    verification: Any
    provenance: Any
    supervision: Any
    log: Any

    def __init__(
        self, channel: grpc.aio.Channel, gln: str, role: Role | None, api_key: str, region: str = ""
    ) -> None:
        self.gln, self.role, self.api_key, self.region = gln, role, api_key, region
        self.channel = channel
        self.metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        for name, stub in STUBS.items():
            setattr(self, name, _Bound(stub(channel), self.metadata))

    @property
    def place(self) -> str:
        """Where it is."""
        return place(self.gln)

    @property
    def party(self) -> str:
        """Itself, as events name it."""
        return f"https://id.gs1.org/417/{self.gln}"

    async def capture(self, *events: event_pb2.Event) -> list[capture_pb2.CaptureResult]:
        """Captures events; an answer for each."""
        answer = await self.events.CaptureEvents(capture_pb2.CaptureEventsRequest(events=events))
        return list(answer.results)

    async def accepted(self, *events: event_pb2.Event) -> list[str]:
        """Captures events that have to be accepted, without a conflict; their identities."""
        results = await self.capture(*events)
        for result in results:
            assert result.status == capture_pb2.CAPTURE_STATUS_ACCEPTED, result
            assert not result.conflicts, conflicts(result)
        return [result.event_id for result in results]


def event(
    minutes: float,
    step: str = "",
    epcs: Iterable[str] = (),
    *,
    type: int = event_pb2.EVENT_TYPE_OBJECT,
    action: int = event_pb2.ACTION_OBSERVE,
    read_point: str = "",
    biz_location: str = "",
    source: str = "",
    destination: str = "",
    **fields: Any,
) -> event_pb2.Event:
    """An event at `minutes`; parties are given as URIs, further fields by their names."""
    made = event_pb2.Event(
        type=type,  # type: ignore[arg-type]
        event_time=at(minutes),
        event_time_zone_offset="+08:00",
        biz_step=step,
        **fields,
    )
    if type != event_pb2.EVENT_TYPE_TRANSFORMATION:
        made.action = action  # type: ignore[assignment]
    children = type in (event_pb2.EVENT_TYPE_AGGREGATION, event_pb2.EVENT_TYPE_ASSOCIATION)
    (made.child_epcs if children else made.epc_list).extend(epcs)
    if read_point:
        made.read_point.id = read_point
    if biz_location:
        made.biz_location.id = biz_location
    if source:
        made.source_list.add(type="possessing_party", source=source)
    if destination:
        made.destination_list.add(type="possessing_party", destination=destination)
    return made


def packed(
    minutes: float, container: str, epcs: Iterable[str] = (), **fields: Any
) -> event_pb2.Event:
    """Things put into a container."""
    return event(
        minutes, fields.pop("step", "packing"), epcs, type=event_pb2.EVENT_TYPE_AGGREGATION,
        action=event_pb2.ACTION_ADD, parent_id=container, **fields,
    )  # fmt: skip


def unpacked(
    minutes: float, container: str, epcs: Iterable[str] = (), **fields: Any
) -> event_pb2.Event:
    """Things taken out of a container; all of them where none is named."""
    return event(
        minutes, "unpacking", epcs, type=event_pb2.EVENT_TYPE_AGGREGATION,
        action=event_pb2.ACTION_DELETE, parent_id=container, **fields,
    )  # fmt: skip


def shipped(minutes: float, by: Caller, to: Caller, epcs: Iterable[str] = (), **fields: Any) -> Any:
    """Things sent by one party to another."""
    return event(
        minutes, "shipping", epcs, disposition="in_transit", read_point=by.place,
        source=by.party, destination=to.party, **fields,
    )  # fmt: skip


def received(minutes: float, by: Caller, epcs: Iterable[str] = (), **fields: Any) -> Any:
    """Things received by a party."""
    return event(minutes, "receiving", epcs, biz_location=by.place, **fields)


def made(minutes: float, epcs: Iterable[str] = (), **fields: Any) -> event_pb2.Event:
    """Things commissioned."""
    return event(minutes, "commissioning", epcs, action=event_pb2.ACTION_ADD, **fields)


def declared_wrong(wrong: event_pb2.Event, minutes: float) -> event_pb2.Event:
    """The declaration that an event was wrong: the event again, and when it was declared."""
    again = event_pb2.Event()
    again.CopyFrom(wrong)
    again.error_declaration.declaration_time = at(minutes)
    again.error_declaration.reason = "did_not_occur"
    return again


def conflicts(message: Any) -> list[str]:
    """Names of conflicts, sorted."""
    name = capture_pb2.ConflictReason.Name
    return sorted(name(c).removeprefix("CONFLICT_REASON_") for c in message.conflicts)


def reasons(verdict: verification_pb2.Verdict) -> list[str]:
    """Names of a verdict's reasons, in their order."""
    name = verification_pb2.VerdictReason.Name
    return [name(r).removeprefix("VERDICT_REASON_") for r in verdict.reasons]


def outcome(verdict: verification_pb2.Verdict) -> str:
    """The verdict in one word."""
    return verification_pb2.Outcome.Name(verdict.outcome).removeprefix("OUTCOME_")


@dataclass
class Lot:
    """A registered batch in a test's hands."""

    owner: Caller
    gtin: str
    lot: str
    number: int

    @property
    def name(self) -> str:
        return f"products/{self.gtin}/batches/{self.lot}"

    @property
    def uri(self) -> str:
        return f"https://id.gs1.org/01/{self.gtin}/10/{self.lot}"

    def epc(self, code: issuance_pb2.Code) -> str:
        """A unit as events name it."""
        return f"https://id.gs1.org/01/{self.gtin}/21/{code.serial}"

    def range(self, first: int, count: int) -> event_pb2.CodeRange:
        """Units as events name them by range."""
        return event_pb2.CodeRange(epc_class=self.uri, first_index=first, count=count)

    async def issue(
        self, quantity: int, request_id: str = "order", **fields: Any
    ) -> list[issuance_pb2.Code]:
        """Codes of an order."""
        request = issuance_pb2.IssueCodesRequest(
            parent=self.name, request_id=request_id, quantity=quantity, **fields
        )
        return [
            code async for part in self.owner.issuance.IssueCodes(request) for code in part.codes
        ]

    async def recall(
        self,
        by: Caller | None = None,
        *,
        ranges: Iterable[tuple[int, int]] = (),
        units: Iterable[str] = (),
        kind: int = supervision_pb2.RECALL_KIND_RECALL,
        request_id: str = "recall",
        notice: str = "请停止食用",
    ) -> supervision_pb2.Recall:
        """A recall of the lot, of ranges of it or of units."""
        request = supervision_pb2.CreateRecallRequest(
            parent=self.name,
            recall=supervision_pb2.Recall(
                kind=kind,  # type: ignore[arg-type]
                ranges=[
                    supervision_pb2.IndexRange(first_index=first, count=count)
                    for first, count in ranges
                ],
                units=units,
                notice=party_pb2.LocalizedText(zh=notice, en="Do not use"),
            ),
            request_id=request_id,
        )
        answer: supervision_pb2.Recall = await (by or self.owner).supervision.CreateRecall(request)
        return answer


@dataclass
class World:
    """A running service and its parties."""

    app: App
    server: Ports
    channel: grpc.aio.Channel
    target: str
    operator: Caller
    issuer: Caller
    other: Caller
    distributor: Caller
    shop: Caller
    liaoning: Caller
    jilin: Caller
    auditor: Caller
    nobody: Caller
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    stopped: bool = False

    @property
    def http(self) -> str:
        """Where the pages are: http://127.0.0.1:port."""
        return f"http://127.0.0.1:{self.server.http_port}"

    async def lot(
        self,
        owner: Caller | None = None,
        quantity: int = 100,
        *,
        gtin: str = "",
        lot: str = "",
        **fields: Any,
    ) -> Lot:
        """A batch of its own product, or of the product that `gtin` names."""
        owner = owner or self.issuer
        if not gtin:
            gtin = gtin_of(next(self.numbers))
            await owner.issuance.CreateProduct(
                issuance_pb2.CreateProductRequest(
                    product=issuance_pb2.Product(
                        gtin=gtin, display_name=party_pb2.LocalizedText(zh="白酒", en="Baijiu")
                    )
                )
            )
        lot = lot or f"L{next(self.numbers)}"
        batch = await owner.issuance.CreateBatch(
            issuance_pb2.CreateBatchRequest(
                parent=f"products/{gtin}",
                batch=issuance_pb2.Batch(
                    lot=lot,
                    authorized_quantity=quantity,
                    **{"production_date": "2026-01-05", **fields},
                ),
            )
        )
        return Lot(owner, gtin, lot, batch.batch_number)

    def container(self) -> str:
        """The URI of a container that nobody named before."""
        return sscc_uri(sscc_of(next(self.numbers)))

    def foreign(self) -> str:
        """The URI of a unit of a product that is not registered here."""
        return f"https://id.gs1.org/01/04012345678901/21/F{next(self.numbers)}"

    async def verify(
        self, code: str, device: str = "", region: str = "", request_id: str = ""
    ) -> verification_pb2.Verdict:
        """The verdict on a scan."""
        request = verification_pb2.VerifyCodeRequest(
            code=code,
            context=verification_pb2.ScanContext(device_id=device, region=region),
            request_id=request_id,
        )
        answer: verification_pb2.Verdict = await self.nobody.verification.VerifyCode(request)
        return answer

    async def stop(self, grace: float = 5.0) -> None:
        """Stops the service in order; harmless when it is stopped."""
        if not self.stopped:
            self.stopped = True
            await self.server.stop(grace)
            await self.app.close()


def settings_for(folder: Path, **fields: Any) -> Settings:
    """Settings of a service in a folder of its own on a free port."""
    # The store in this process: another one for each world would be most of its cost. Tests of
    # whole nodes run as it is delivered.
    known = {
        "listen": "127.0.0.1:0",
        "http_listen": "127.0.0.1:0",
        "data_dir": folder,
        "resolver": RESOLVER,
        "store_process": False,
        # Tests of one world revoke more in a minute than a service in a year.
        "four_eyes": "",
        **NO_LIMITS,
    }
    return Settings(**{**known, **fields})


def channel_to(target: str, **options: Any) -> grpc.aio.Channel:
    """A channel with a connection of its own that takes large messages."""
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", 64 << 20),
            *options.items(),
        ],
    )


async def _callers(app: App, channel: grpc.aio.Channel) -> dict[str, Any]:
    operator = await _first_operator(app, channel)
    plan = {
        "issuer": (2, "210102", PartyKind.ISSUER, Role.ISSUER, ""),
        "other": (3, "220102", PartyKind.ISSUER, Role.ISSUER, ""),
        "distributor": (4, "210204", PartyKind.DISTRIBUTOR, Role.HANDLER, ""),
        "shop": (5, "220203", PartyKind.RETAILER, Role.HANDLER, ""),
        "liaoning": (6, "210000", PartyKind.REGULATOR, Role.INSPECTOR, "210000"),
        "jilin": (7, "220000", PartyKind.REGULATOR, Role.INSPECTOR, "220000"),
        "auditor": (8, "110101", PartyKind.REGULATOR, Role.AUDITOR, ""),
    }
    callers: dict[str, Any] = {"operator": operator, "nobody": Caller(channel, "", None, "")}
    for name, (number, region, kind, role, supervised) in plan.items():
        gln = gln_of(number)
        kind_number = party_pb2.PartyKind.Value(f"PARTY_KIND_{kind.name}")
        await operator.admin.CreateParty(
            admin.CreatePartyRequest(
                party=party_pb2.Party(
                    gln=gln,
                    uscc=uscc_of(number),
                    region=region,
                    kind=kind_number,
                    display_name=party_pb2.LocalizedText(zh=f"{name}公司", en=name),
                )
            )
        )
        key = await make_key(operator, gln, role, supervised)
        callers[name] = Caller(channel, gln, role, key, supervised)
    for name in ("issuer", "other"):
        await operator.admin.CreateIssuerKey(
            admin.CreateIssuerKeyRequest(
                parent=f"parties/{callers[name].gln}", request_id="first key"
            )
        )
    return callers


async def make_key(
    operator: Caller, gln: str, role: Role, region: str = "", label: str = ""
) -> str:
    """A new API key of a party."""
    answer = await operator.admin.CreateCredential(
        admin.CreateCredentialRequest(
            parent=f"parties/{gln}",
            credential=party_pb2.Credential(
                role=annotations_pb2.Role.Value(f"ROLE_{role.name}"), region=region, label=label
            ),
            request_id=f"{role}-{label or 'first'}",
        )
    )
    key: str = answer.api_key
    return key


async def _first_operator(app: App, channel: grpc.aio.Channel) -> Caller:
    # As the command line does it: there is nobody yet who could call.
    gln = gln_of(1)
    await app.parties.register(
        Party(gln, uscc_of(1), "210000", PartyKind.REGULATOR, LocalizedText("平台", "Platform"))
    )
    _, key = await app.credentials.create(gln, Role.OPERATOR, "", "first", "first")
    return Caller(channel, gln, Role.OPERATOR, key)


@asynccontextmanager
async def running_world(folder: Path, **fields: Any) -> AsyncIterator[World]:
    """A service in `folder`; further settings by their names. Where TRACECHAIN_TEST_STORE is
    `postgres`, it has a database for that folder."""
    if os.environ.get(STORE_VARIABLE) == "postgres" and "store_url" not in fields:
        from tests.support.stores import postgres_url

        fields["store_url"] = await postgres_url(folder)
    app = await build(settings_for(folder, **fields))
    server = await serve(app)
    target = f"127.0.0.1:{server.port}"
    channel = channel_to(target)
    world: World | None = None
    try:
        world = World(app, server, channel, target, **await _callers(app, channel))
        yield world
    finally:
        await channel.close()
        if world is not None:
            await world.stop(0.5)
        else:
            await server.stop(0)
            await app.close()


@asynccontextmanager
async def second_node(world: World, **fields: Any) -> AsyncIterator[World]:
    """Another process's service, as it were, on the store of `world`: the same parties."""
    known_settings = world.app.settings
    fields = {"store_url": known_settings.store_url, **fields}
    app = await build(settings_for(known_settings.data_dir, **fields))
    server = await serve(app)
    target = f"127.0.0.1:{server.port}"
    channel = channel_to(target)
    names = (
        "operator", "issuer", "other", "distributor", "shop", "liaoning", "jilin", "auditor",
        "nobody",
    )  # fmt: skip
    callers: dict[str, Any] = {}
    for name in names:
        known: Caller = getattr(world, name)
        callers[name] = Caller(channel, known.gln, known.role, known.api_key, known.region)
    node = World(app, server, channel, target, **callers, numbers=world.numbers)
    try:
        yield node
    finally:
        await channel.close()
        await node.stop(0.5)


async def gathered(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    """Answers and errors of calls that run together."""
    return await asyncio.gather(*calls, return_exceptions=True)
