"""What calls leave behind: each private call a record, answered or refused, and no secret."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.support.connect import JsonApi
from tests.support.service import (
    TIMEOUT,
    Caller,
    World,
    access_of,
    answers,
    event,
    every_method,
    gathered,
    gln_of,
    make_key,
    refused,
    uscc_of,
)
from tracechain.domain.errors import Unavailable
from tracechain.domain.party import Role
from tracechain.rpc.recording import values_of
from tracechain.v1 import (
    admin_pb2,
    annotations_pb2,
    audit_pb2,
    capture_pb2,
    issuance_pb2,
    party_pb2,
    supervision_pb2,
)

METHODS = {method.full_name.removeprefix("tracechain.v1."): method for method in every_method()}
PRIVATE = sorted(name for name, method in METHODS.items() if not access_of(method).public)
CALLERS = {
    annotations_pb2.ROLE_ISSUER: "issuer",
    annotations_pb2.ROLE_HANDLER: "shop",
    annotations_pb2.ROLE_INSPECTOR: "liaoning",
    annotations_pb2.ROLE_AUDITOR: "auditor",
    annotations_pb2.ROLE_OPERATOR: "operator",
}


async def records(world: World, since: datetime.datetime, **filters: Any) -> list[Any]:
    """The records of calls since a moment."""
    request = audit_pb2.ListAuditRecordsRequest(page_size=1000, **filters)
    request.start_time.FromDatetime(since)
    found = await world.auditor.audit.ListAuditRecords(request)
    return list(found.records)


def now() -> datetime.datetime:
    """The moment from which a test looks."""
    return datetime.datetime.now(datetime.UTC)


async def the_one(world: World, since: datetime.datetime, method: str, **filters: Any) -> Any:
    """The only record of a method since a moment."""
    (found,) = await records(world, since, method=method, **filters)
    return found


def asked(name: str) -> Message:
    """A request that names nothing."""
    made: Message = GetMessageClass(METHODS[name].input_type)()
    return made


@pytest.mark.parametrize("name", PRIVATE)
async def test_every_private_call_is_on_record_before_it_is_told_anything(
    world: World, name: str
) -> None:
    method = METHODS[name]
    allowed = access_of(method).roles
    caller: Caller = getattr(world, CALLERS[allowed[0]])
    other = world.issuer if caller is world.auditor else world.auditor
    since = now()
    (told,) = await gathered([answers(world.channel, method, asked(name), caller.metadata)])
    was_refused = isinstance(told, grpc.aio.AioRpcError)
    if was_refused:
        assert told.code() is grpc.StatusCode.INVALID_ARGUMENT
    denied = await refused(answers(world.channel, method, asked(name), other.metadata))
    assert denied.reason == "ROLE_NOT_ALLOWED"
    by_caller = await records(world, since, method=name, party=f"parties/{caller.gln}")
    ends = [r for r in by_caller if r.outcome != "STARTED"]
    if name == "AuditService.ListAuditRecords":
        # Looking is on record as well, once it is answered.
        ends = ends[:1]
    assert [r.outcome != "OK" for r in ends] == [was_refused]
    assert {(r.party, r.role) for r in ends} == {(f"parties/{caller.gln}", allowed[0])}
    assert ends[0].credential_id == caller.api_key.split("_")[1]
    # Asked again where gRPC's client failed by itself.
    (by_other, *_) = await records(world, since, method=name, outcome="ROLE_NOT_ALLOWED")
    assert by_other.party == f"parties/{other.gln}"
    assert by_other.credential_id == other.api_key.split("_")[1]


async def test_a_change_is_recorded_with_what_was_and_what_is(world: World) -> None:
    lot = await world.lot()
    since = now()
    await world.issuer.issuance.RaiseBatchQuantity(
        issuance_pb2.RaiseBatchQuantityRequest(
            name=lot.name, authorized_quantity=150, reason="more bottles", request_id="raise 1"
        )
    )
    found = await the_one(world, since, "IssuanceService.RaiseBatchQuantity")
    assert dict(found.objects) == {"name": lot.name, "reason": "more bottles"}
    assert found.request_id == "raise 1"
    assert dict(found.old_values) == {"authorized_quantity": "100"}
    assert dict(found.new_values) == {"authorized_quantity": "150"}
    recalled = await lot.recall()
    since = now()
    await world.issuer.supervision.LiftRecall(
        supervision_pb2.LiftRecallRequest(name=recalled.name, reason="checked", request_id="lift 1")
    )
    found = await the_one(world, since, "SupervisionService.LiftRecall")
    assert found.request_id == "lift 1"
    assert dict(found.old_values) == {"lift_time": ""}
    assert found.new_values["lift_time"].startswith("20")


async def test_a_revocation_shows_the_credential_and_the_key_as_they_were(world: World) -> None:
    await make_key(world.operator, world.shop.gln, Role.HANDLER, label="to be revoked")
    listed = await world.operator.admin.ListCredentials(
        admin_pb2.ListCredentialsRequest(parent=f"parties/{world.shop.gln}")
    )
    (name,) = [c.name for c in listed.credentials if c.label == "to be revoked"]
    since = now()
    for _ in range(2):
        await world.operator.admin.RevokeCredential(admin_pb2.RevokeCredentialRequest(name=name))
    first, again = await records(world, since, method="AdminService.RevokeCredential")
    assert dict(first.old_values) == {"revoke_time": ""}
    assert list(first.new_values) == ["revoke_time"]
    # Repeated, it changes nothing, and that is what the record says.
    assert (dict(again.old_values), dict(again.new_values)) == ({}, {})
    absent = f"{name[:-1]}0"
    error = await refused(
        world.operator.admin.RevokeCredential(admin_pb2.RevokeCredentialRequest(name=absent))
    )
    (found,) = await records(world, since, outcome=error.reason)
    assert (error.reason, found.objects["name"]) == ("CREDENTIAL_NOT_FOUND", absent)


async def test_a_new_thing_is_recorded_whole_and_its_secret_is_not(world: World) -> None:
    since = now()
    made = await world.operator.admin.CreateCredential(
        admin_pb2.CreateCredentialRequest(
            parent=f"parties/{world.shop.gln}",
            credential=party_pb2.Credential(role=annotations_pb2.ROLE_HANDLER, label="三号仓"),
            request_id=f"audit {next(world.numbers)}",
        )
    )
    found = await the_one(world, since, "AdminService.CreateCredential")
    assert found.new_values["credential.label"] == "三号仓"
    assert found.new_values["credential.name"] == made.credential.name
    assert not found.old_values
    secret = made.api_key.rpartition("_")[2]
    async for line in exported(world, since):
        assert secret not in line


async def test_who_asked_for_what_was_refused_is_on_record_with_what_he_asked(
    world: World,
) -> None:
    since = now()
    number = next(world.numbers)
    party = party_pb2.Party(
        gln=gln_of(700 + number), uscc=uscc_of(700 + number), region="999999",
        kind=party_pb2.PARTY_KIND_RETAILER, display_name=party_pb2.LocalizedText(zh="无", en=""),
    )  # fmt: skip
    error = await refused(
        world.operator.admin.CreateParty(admin_pb2.CreatePartyRequest(party=party))
    )
    found = await the_one(world, since, "AdminService.CreateParty")
    assert (error.reason, found.outcome) == ("INVALID_REGION", "INVALID_REGION")
    assert (found.new_values["party.gln"], found.new_values["party.region"]) == (
        party.gln,
        "999999",
    )


async def test_a_stream_is_on_record_before_its_first_answer_and_at_its_end(world: World) -> None:
    lot = await world.lot()
    since = now()
    call = world.issuer.issuance.IssueCodes(
        issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="o", quantity=3)
    )
    first = await call.read()
    assert first.codes
    begun = (await records(world, since, method="IssuanceService.IssueCodes"))[0]
    assert (begun.outcome, begun.objects["parent"], begun.request_id) == ("STARTED", lot.name, "o")
    assert await call.read() is grpc.aio.EOF
    _, ended = await records(world, since, method="IssuanceService.IssueCodes")
    assert (ended.outcome, dict(ended.new_values)) == ("OK", {"answers": "1"})


async def ends_of(world: World, since: datetime.datetime, method: str) -> list[Any]:
    """The record of the end of a stream, once it is there."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            found = await records(world, since, method=method)
            if len(found) == 2:
                assert found[0].outcome == "STARTED"
                return found[1:]
            await asyncio.sleep(0.05)


async def test_a_caller_who_leaves_is_on_record(world: World) -> None:
    lot = await world.lot(quantity=200_000)
    since = now()
    call = world.issuer.issuance.IssueCodes(
        issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="o", quantity=200_000)
    )
    await call.read()
    call.cancel()
    (end,) = await ends_of(world, since, "IssuanceService.IssueCodes")
    assert end.outcome == "CANCELLED"
    assert 1 <= int(end.new_values["answers"]) < 1000


async def test_a_caller_who_hangs_up_between_two_requests_does_not_take_his_record_along(
    world: World,
) -> None:
    since = now()
    call = world.issuer.events.StreamCaptureEvents()
    await call.write(
        capture_pb2.StreamCaptureEventsRequest(events=[event(1, "inspecting", [world.foreign()])])
    )
    await call.read()
    call.cancel()
    (end,) = await ends_of(world, since, "EventService.StreamCaptureEvents")
    assert end.new_values["answers"] == "1"


async def test_strangers_are_counted_and_cannot_fill_the_log(world: World) -> None:
    since, began = now(), time.monotonic()
    wrong = Caller(world.channel, "", None, "tck_aaaaaaaaaaaaaaaa_secret")
    for caller in (world.nobody, wrong):
        calls = [
            refused(caller.admin.ListParties(admin_pb2.ListPartiesRequest())) for _ in range(60)
        ]
        await asyncio.gather(*calls)
    async with asyncio.timeout(TIMEOUT):
        while True:
            found = await records(world, since, method="AdminService.ListParties")
            if sum(record.calls for record in found) == 120:
                break
            await asyncio.sleep(0.1)
    # Two kinds of strangers, each told of once a second.
    assert len(found) <= 2 * (2 + time.monotonic() - began)
    assert {record.outcome for record in found} == {"MISSING_CREDENTIAL", "INVALID_CREDENTIAL"}
    assert {record.party for record in found} == {""}
    assert {len(record.origin) for record in found} == {16}


async def test_both_protocols_and_no_public_call_leave_records(world: World) -> None:
    since = now()
    async with httpx.AsyncClient(base_url=world.http) as client:
        await JsonApi(client).call("AdminService.ListParties", {}, world.operator)
    await world.verify("no code at all")
    found = await records(world, since)
    assert [r.method for r in found] == ["AdminService.ListParties"]
    assert found[0].party == f"parties/{world.operator.gln}"


async def test_records_are_listed_by_pages_and_exported_alike(world: World) -> None:
    since = now()
    for _ in range(7):
        await world.operator.admin.ListParties(admin_pb2.ListPartiesRequest(page_size=1))
    request = audit_pb2.ListAuditRecordsRequest(
        party=f"parties/{world.operator.gln}", method="AdminService.ListParties", page_size=3
    )
    request.start_time.FromDatetime(since)
    pages = []
    while True:
        page = await world.auditor.audit.ListAuditRecords(request)
        pages.append(list(page.records))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [len(page) for page in pages] == [3, 3, 1]
    listed = [record.record_id for page in pages for record in page]
    assert len(set(listed)) == 7
    lines = [json.loads(line) async for line in exported(world, since)]
    ids = [line["recordId"] for line in lines if line["method"] == "AdminService.ListParties"]
    assert ids == listed


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"page_size": -1}, "INVALID_PAGE_SIZE"),
        ({"page_token": "x"}, "INVALID_PAGE_TOKEN"),
        ({"page_token": "YXVkaXQAMQ"}, "INVALID_PAGE_TOKEN"),
        ({"party": "parties/1"}, "INVALID_GLN"),
        ({"method": "a\0b"}, "INVALID_TEXT"),
        ({"start_time": {"seconds": 5}, "end_time": {"seconds": 4}}, "INVALID_TIME"),
    ],
)
async def test_a_search_that_cannot_be_is_refused(
    world: World, fields: dict[str, Any], reason: str
) -> None:
    error = await refused(
        world.auditor.audit.ListAuditRecords(audit_pb2.ListAuditRecordsRequest(**fields))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_what_cannot_be_recorded_is_not_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(records: object) -> None:
        raise Unavailable("STORE_FULL", "injected", retry_after=5.0)

    audit = world.app._audit
    monkeypatch.setattr(audit._store, "append_audit", full)
    for call in (
        world.operator.admin.ListParties(admin_pb2.ListPartiesRequest()),
        world.issuer.issuance.ListProducts(issuance_pb2.ListProductsRequest()),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_FULL")
    # What is refused gives nothing away: that is told as it is.
    error = await refused(world.shop.admin.ListCredentials(admin_pb2.ListCredentialsRequest()))
    assert error.reason == "ROLE_NOT_ALLOWED"
    assert (await world.verify("no code at all")).outcome
    monkeypatch.undo()
    assert await world.operator.admin.ListParties(admin_pb2.ListPartiesRequest())


# --- what the protos say of it


def _fields(message: Descriptor, seen: set[str]) -> list[FieldDescriptor]:
    if message.full_name in seen:
        return []
    seen.add(message.full_name)
    found = list(message.fields)
    for field in message.fields:
        if field.message_type is not None:
            found += _fields(field.message_type, seen)
    return found


def test_every_field_that_holds_a_secret_is_marked() -> None:
    seen: set[str] = set()
    fields = {}
    for method in METHODS.values():
        for message in (method.input_type, method.output_type):
            for field in _fields(message, seen):
                fields[field.full_name] = field
    marked = {
        name
        for name, field in fields.items()
        if field.GetOptions().Extensions[annotations_pb2.secret]
    }
    telling = ("api_key", "pin", "secret", "password", "private", "token")
    hidden = {
        name
        for name in fields
        if name.rpartition(".")[2].startswith(telling)
        and not name.endswith(("page_token", "_pins"))
    }
    assert hidden == marked
    assert len(marked) >= 3
    answer = admin_pb2.CreateCredentialResponse(api_key="tck_x")
    answer.credential.label = "l"
    assert values_of(answer) == {"credential.label": "l"}


def test_whoever_may_change_a_thing_may_look_at_it() -> None:
    shown = {}
    for name, method in METHODS.items():
        by = method.GetOptions().Extensions[annotations_pb2.shown_by]
        if by:
            service = name.partition(".")[0]
            shown[name] = by
            assert set(access_of(method).roles) <= set(access_of(METHODS[f"{service}.{by}"]).roles)
    # What changes a thing that is there, and not only adds to what there is.
    changing = ("Revoke", "Raise", "Lift", "Set", "Update", "Retire", "Activate")
    assert set(shown) == {n for n in METHODS if n.partition(".")[2].startswith(changing)}


def test_values_are_short_and_few() -> None:
    party = party_pb2.Party(gln="1" * 500, display_name=party_pb2.LocalizedText(zh="a\0b"))
    assert len(values_of(party)["gln"]) == 200
    assert "\0" not in values_of(party)["display_name.zh"]
    few = admin_pb2.ListPartiesResponse(parties=[party] * 3)
    assert "parties[2].gln" in values_of(few)
    many = admin_pb2.ListPartiesResponse(parties=[party] * 11)
    assert values_of(many) == {"parties.count": "11"}


async def exported(world: World, since: datetime.datetime) -> AsyncIterator[str]:
    """Each record since a moment, as JSON."""
    request = audit_pb2.ExportAuditRecordsRequest()
    request.start_time.FromDatetime(since)
    async for part in world.auditor.audit.ExportAuditRecords(request):
        for record in part.records:
            yield MessageToJson(record, indent=None)
