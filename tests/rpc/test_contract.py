"""What the protos promise, held against the source and against whatever a client can send."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
import random
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import tracechain
from tests.support.service import (
    TIMEOUT,
    Caller,
    Refusal,
    World,
    access_of,
    answers,
    event,
    every_method,
    refused,
    running_world,
)
from tracechain.app import capturing
from tracechain.domain import (
    approval,
    claim,
    code,
    conflict,
    custody,
    errors,
    keys,
    label,
    party,
    qr,
    recall,
    report,
    verdict,
)
from tracechain.domain.epcis import model
from tracechain.v1 import (
    admin_pb2,
    annotations_pb2,
    capture_pb2,
    errors_pb2,
    event_pb2,
    issuance_pb2,
    verification_pb2,
)

METHODS = {method.full_name.removeprefix("tracechain.v1."): method for method in every_method()}
SOURCE = Path(tracechain.__file__).parent
REASONS = {
    name.removeprefix("ERROR_REASON_")
    for name in errors_pb2.ErrorReason.keys()  # noqa: SIM118
    if name != "ERROR_REASON_UNSPECIFIED"
}
CALLERS = {
    annotations_pb2.ROLE_ISSUER: "issuer",
    annotations_pb2.ROLE_HANDLER: "shop",
    annotations_pb2.ROLE_INSPECTOR: "liaoning",
    annotations_pb2.ROLE_AUDITOR: "auditor",
    annotations_pb2.ROLE_OPERATOR: "operator",
}


def caller_of(world: World, method: MethodDescriptor) -> Caller:
    """Somebody who may call a method."""
    roles = access_of(method).roles
    found: Caller = getattr(world, CALLERS[roles[0]]) if roles else world.nobody
    return found


# --- reasons

_ERRORS = {
    name
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.TracechainError)
}


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        # The command line is a client: it hands on what a service said.
        if not {"v1", "cli"} & set(path.relative_to(SOURCE).parts):
            yield str(path.relative_to(SOURCE)), ast.parse(path.read_text())


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _place(call: ast.Call, forwarders: dict[str, int]) -> int | None:
    """At which argument a call gives the reason of an error; None where it gives none."""
    name = _name(call.func)
    if isinstance(call.func, ast.Attribute) and name == "of":
        return 1 if _name(call.func.value) in _ERRORS else None
    if name == "InvalidArgument":
        return None  # made of violations, which name their reasons
    if name in _ERRORS:
        return 0
    return 1 if name == "Violation" else forwarders.get(name)


def _forwarders() -> dict[str, int]:
    """Functions that hand on a reason that they are given, and at which argument."""
    found: dict[str, int] = {}
    for _, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            given = [argument.arg for argument in node.args.args if argument.arg != "self"]
            for call in ast.walk(node):
                if not isinstance(call, ast.Call):
                    continue
                reason = next((k.value for k in call.keywords if k.arg == "reason"), None)
                if (place := _place(call, {})) is not None and len(call.args) > place:
                    reason = call.args[place]
                elif _name(call.func) != "ErrorInfo":
                    continue
                if isinstance(reason, ast.Name) and reason.id in given:
                    found[node.name] = given.index(reason.id)
    return found


def raised_reasons() -> dict[str, str]:
    """Each reason that the source gives to an error, and a place where it does."""
    forwarders = _forwarders()
    found: dict[str, str] = {}
    for path, tree in _trees():
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            reason = next((k.value for k in call.keywords if k.arg == "reason"), None)
            if _name(call.func) != "ErrorInfo":
                place = _place(call, forwarders)
                if place is None or len(call.args) <= place:
                    continue
                reason = call.args[place]
            if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
                found.setdefault(reason.value, f"{path}:{call.lineno}")
            else:
                # Handed on from a parameter or from another error; anything else would be a
                # reason that this test cannot see.
                handed_on = isinstance(reason, ast.Name) and reason.id == "reason"
                handed_on |= isinstance(reason, ast.Attribute) and reason.attr == "reason"
                assert handed_on, f"{path}:{call.lineno} makes up a reason"
    return found


def test_every_reason_that_is_raised_is_in_the_protos() -> None:
    raised = raised_reasons()
    assert len(raised) > 80
    assert {reason: place for reason, place in raised.items() if reason not in REASONS} == {}


def test_every_reason_in_the_protos_is_raised_somewhere() -> None:
    raised = raised_reasons()
    # A code in another spelling is a verdict; naming one is how a caller names a unit.
    assert REASONS - set(raised) == set()


# --- enums


def _members(enum: Any) -> set[str]:
    first = enum.DESCRIPTOR.values[0].name
    assert first.endswith("_UNSPECIFIED")
    prefix = first.removesuffix("UNSPECIFIED")
    return {value.name.removeprefix(prefix) for value in enum.DESCRIPTOR.values[1:]}


# Each enum of the protos by its name, with the domain's. None: made in `rpc` from other values.
ENUMS: dict[str, type[StrEnum] | None] = {
    "Act": approval.Act,
    "ApprovalState": approval.ApprovalState,
    "Action": model.Action,
    "Algorithm": code.Algorithm,
    "CaptureStatus": capturing.CaptureStatus,
    "ClaimStatus": claim.ClaimStatus,
    "CodeProfile": code.Profile,
    "ConflictReason": conflict.Conflict,
    "CredentialKind": party.CredentialKind,
    "ErrorCorrection": qr.ErrorCorrection,
    "ErrorReason": None,
    "EventType": model.EventType,
    "History": verdict.History,
    "Issuance": verdict.Issuance,
    "LabelFormat": label.LabelFormat,
    "LabelWarning": label.LabelWarning,
    "JudgeEarlier": keys.JudgeEarlier,
    "KeyState": keys.KeyState,
    "Link": None,
    "Outcome": verdict.Outcome,
    "PartyKind": party.PartyKind,
    "RecallKind": recall.RecallKind,
    "ReportKind": report.ReportKind,
    "Role": party.Role,
    "UnitState": custody.UnitState,
    "VerdictReason": verdict.VerdictReason,
}


def _proto_enums() -> dict[str, Any]:
    found = {}
    for info in pkgutil.iter_modules(tracechain.v1.__path__):
        if info.name.endswith("_pb2"):
            module = importlib.import_module(f"tracechain.v1.{info.name}")
            for name in module.DESCRIPTOR.enum_types_by_name:
                found[name] = getattr(module, name)
    return found


def test_no_enum_of_the_protos_is_forgotten_here() -> None:
    assert set(_proto_enums()) == set(ENUMS)


@pytest.mark.parametrize("name", sorted(name for name, kind in ENUMS.items() if kind))
def test_an_enum_of_the_domain_is_that_of_the_protos(name: str) -> None:
    kind = ENUMS[name]
    assert kind is not None
    own = {member.value.upper() for member in kind}
    if name == "EventType":
        own = {member.value.removesuffix("Event").upper() for member in kind}
    if name == "History":
        own -= {"NONE"}  # not specified, in the protos
    assert own == _members(_proto_enums()[name])


# --- required fields


def _required(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[annotations_pb2.required])


def _paths(kind: Descriptor, prefix: str = "", seen: tuple[str, ...] = ()) -> list[str]:
    """Paths of all required fields, also those in messages within messages."""
    found = []
    for field in kind.fields:
        if _required(field):
            found.append(f"{prefix}{field.name}")
        inner = field.message_type
        if inner is not None and inner.full_name not in seen:
            place = f"{prefix}{field.name}{'[0]' if field.is_repeated else ''}."
            found += _paths(inner, place, (*seen, inner.full_name))
    return found


def _filled(kind: Descriptor, without: str) -> Message:
    """A request that carries all required fields but one."""
    message: Message = GetMessageClass(kind)()
    for field in kind.fields:
        place = field.name + ("[0]" if field.is_repeated else "")
        if place == without:
            continue
        if field.message_type is not None:
            inside = without.removeprefix(f"{place}.") if without.startswith(f"{place}.") else ""
            if not _required(field) and not inside:
                continue
            inner = _filled(field.message_type, inside)
            if field.is_repeated:
                getattr(message, field.name).append(inner)
            else:
                getattr(message, field.name).CopyFrom(inner)
                getattr(message, field.name).SetInParent()
        elif _required(field):
            values = {FieldDescriptor.TYPE_STRING: "x", FieldDescriptor.TYPE_BYTES: b"x"}
            setattr(message, field.name, values.get(field.type, 1))
    return message


# What takes no request_id, though the protos do not say that it has no side effects, and why a
# repetition is harmless all the same.
NO_REQUEST_ID = {
    "AuditService.ExportAuditRecords": "reads; that somebody did is a record each time",
    "IssuanceService.RenderLabels": "reads; the labels of an order are the same each time",
    "EventService.StreamCaptureEvents": "an event has one identity",
    "VerificationService.ClaimUnit": "a device claims a unit once",
}


def _takes_request_id(message: Descriptor) -> bool:
    """In itself, or in each of the requests that it holds."""
    own = message.fields_by_name.get("request_id")
    if own is not None:
        return own.type == FieldDescriptor.TYPE_STRING and not own.is_repeated
    held = [message.fields_by_name.get(name) for name in ("request", "requests")]
    return any(
        field is not None
        and field.message_type is not None
        and _takes_request_id(field.message_type)
        for field in held
    )


def test_what_changes_something_takes_a_request_id() -> None:
    """Else a caller who lost an answer cannot repeat the call, nor find it on record."""
    without = {
        name
        for name, method in METHODS.items()
        if method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS
        and not _takes_request_id(method.input_type)
    }
    assert without == NO_REQUEST_ID.keys()


REQUIRED = [
    (name, path) for name, method in sorted(METHODS.items()) for path in _paths(method.input_type)
]


def test_there_are_required_fields_at_all() -> None:
    assert len(REQUIRED) > 50
    assert ("AdminService.CreateParty", "party.gln") in REQUIRED
    assert ("VerificationService.BatchVerifyCodes", "requests[0].code") in REQUIRED


@pytest.mark.parametrize(("name", "path"), REQUIRED, ids="-".join)
async def test_a_required_field_that_is_not_there_is_named(
    world: World, name: str, path: str
) -> None:
    method = METHODS[name]
    caller = caller_of(world, method)
    request = _filled(method.input_type, path)
    error = await refused(answers(caller.channel, method, request, caller.metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MISSING_FIELD")
    assert error.violations == ((path, "MISSING_FIELD"),)


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_an_empty_request_names_all_that_is_missing(world: World, name: str) -> None:
    method = METHODS[name]
    caller = caller_of(world, method)
    missing = {f.name for f in method.input_type.fields if _required(f)}
    request = GetMessageClass(method.input_type)()
    if not missing:
        failed = await _failure(caller, method, request)
        assert failed is None or failed.reason in (
            "LIST_TOO_LONG",
            "CHECKPOINT_NOT_FOUND",
            "MISSING_FIELD",  # of a choice, which no single field can require
        )
        return
    error = await refused(answers(caller.channel, method, request, caller.metadata))
    assert {field for field, _ in error.violations} == missing


# --- whatever a client can send


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scrap(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, list[str]]]:
    """A service to be abused, and texts that mean something to it."""
    async with running_world(tmp_path_factory.mktemp("scrap")) as world:
        lot = await world.lot()
        (item,) = await lot.issue(1)
        (event_id,) = await world.issuer.accepted(event(1, "storing", [lot.epc(item)]))
        made = await lot.recall()
        yield (
            world,
            [
                lot.name, lot.uri, lot.epc(item), item.uri, lot.gtin, f"products/{lot.gtin}",
                f"parties/{world.issuer.gln}", world.issuer.gln, event_id, made.name,
                world.container(), "210102", "2026-01-05", "2026-01-05T08:00:00Z", "+08:00",
                f"parties/{world.shop.gln}/keys/1", "documents/x", '{"a":[1,{"b":null}]}', "[]",
            ],
        )  # fmt: skip


_GARBAGE = [
    "", " ", "x", "0", "-1", "\x00", "\n", "\u202e", "é", "😀", "٣" * 13, "²" * 14, "%", "%zz",
    "%00", "/", "//", "a/b/c/d", "parties/", "products//batches/", "urn:epc:id:sgtin:",
    "urn:epc:id:sgtin:4012345.012345.*", "https://", "https://[::1", "https://id.gs1.org/01/",
    "https://id.gs1.org/01/06901234000016/21/%", "ni:///sha-256;" + "0" * 64 + "?ver=CBV2.0",
    "ni:///sha-256;" + "０" * 64 + "?ver=CBV2.0", "{", "[" * 100, '{"a":' * 50, "1e999", "NaN",
    '"\\ud800"', "9" * 5000, "x" * 70, "长" * 600, "A" * 5000, "' OR 1=1 --", "../../etc/passwd",
    "2026-02-30", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "2026-01-05T08:00:00+99:99",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00", "ZXZlbnRzAA", "====",
    "a2V5cwA5OTk5OTk5OTk5OTk5OTk5OTk5", "ZXZlbnRzADk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5L3g",
]  # fmt: skip
_NUMBERS = [0, 1, 2, 7, 99, 1000, 2**31 - 1, 2**32 - 1, 2**53, 2**63 - 1, -1, -(2**31), -(2**63)]
_REALS = [0.0, -0.0, 1.5, -1.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")]


def _number(field: FieldDescriptor, chance: random.Random) -> int:
    low, high = {
        FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    }.get(field.cpp_type, (-(2**63), 2**63 - 1))
    return max(low, min(high, chance.choice(_NUMBERS)))


def _value(field: FieldDescriptor, known: list[str], chance: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(chance.randrange(40))
        case FieldDescriptor.CPPTYPE_STRING:
            return chance.choice(known if chance.random() < 0.6 else _GARBAGE)
        case FieldDescriptor.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return chance.choice(_REALS)
        case FieldDescriptor.CPPTYPE_ENUM if chance.random() < 0.8 and field.enum_type:
            return chance.choice(field.enum_type.values).number
        case _:
            return _number(field, chance)


def _fuzzed(kind: Descriptor, known: list[str], chance: random.Random, depth: int = 0) -> Message:
    """A message of a kind with anything in it; what is required is mostly there."""
    message: Message = GetMessageClass(kind)()
    for field in kind.fields:
        if chance.random() > (0.9 if _required(field) or depth == 0 else 0.35):
            continue
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            for _ in range(chance.randrange(3)):
                key = chance.choice(["ex:a", "", "a.b", "@context", "type", "epcList"])
                text = _value(inner.fields_by_name["value"], known, chance)
                getattr(message, field.name)[key] = text
        elif field.is_repeated:
            for _ in range(chance.choice([0, 1, 1, 2, 5])):
                items = getattr(message, field.name)
                if inner is not None:
                    items.append(_fuzzed(inner, known, chance, depth + 1))
                else:
                    items.append(_value(field, known, chance))
        elif inner is not None:
            part = getattr(message, field.name)
            part.CopyFrom(_fuzzed(inner, known, chance, depth + 1))
            part.SetInParent()
        else:
            setattr(message, field.name, _value(field, known, chance))
    return message


async def _failure(
    caller: Caller, method: MethodDescriptor, request: Message | bytes
) -> Refusal | None:
    """How a method refuses a request; None where it answers it. A stream is left after a part."""
    try:
        await asyncio.wait_for(
            answers(caller.channel, method, request, caller.metadata, most=2), TIMEOUT
        )
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error)
    return None


_EXPECTED = {
    grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED,
}  # fmt: skip


def assert_clear(error: Refusal) -> None:
    """An error that a caller can do something with, and that tells nothing of our inside."""
    # A leaf that has its place waits for its checkpoint; nothing else may be unavailable.
    assert error.code in _EXPECTED or error.reason == "LEAF_NOT_PUBLISHED", error
    assert error.reason in REASONS, error
    assert error.domain == "tracechain"
    assert error.message
    for word in ("Traceback", 'File "', ".py", "sqlite", "<class", "object at 0x"):
        assert word not in error.message, error


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_whatever_is_sent_is_answered_or_refused_with_a_reason(
    scrap: tuple[World, list[str]], name: str
) -> None:
    world, known = scrap
    method = METHODS[name]
    caller = caller_of(world, method)
    chance = random.Random(f"20260105 {name}")
    requests = [_fuzzed(method.input_type, known, chance) for _ in range(80)]
    for start in range(0, len(requests), 10):
        part = requests[start : start + 10]
        found = await asyncio.gather(*(_failure(caller, method, request) for request in part))
        for error in found:
            if error is not None:
                assert_clear(error)


async def test_whatever_an_event_holds_it_is_kept_or_refused_with_a_field(
    scrap: tuple[World, list[str]],
) -> None:
    """Events have the most fields of all, so they are also made from good ones."""
    world, known = scrap
    chance = random.Random(20260105)
    for _ in range(15):
        events = []
        for _ in range(50):
            given = event(1, "storing", [world.foreign()])
            given.MergeFrom(_fuzzed(event_pb2.Event.DESCRIPTOR, known, chance, 1))  # type: ignore[arg-type]
            given.event_time = "2026-01-05T08:00:00Z"
            given.event_time_zone_offset = "+08:00"
            given.type = chance.choice([1, 1, 2, 3, 4, 5])  # type: ignore[assignment]
            events.append(given)
        for result, given in zip(await world.issuer.capture(*events), events, strict=True):
            if result.status == capture_pb2.CAPTURE_STATUS_REFUSED:
                assert result.reason in REASONS, result
                assert result.description, given
            else:
                back = await world.issuer.events.GetEvent(
                    capture_pb2.GetEventRequest(event_id=result.event_id)
                )
                assert back.event.type == given.type
    assert await world.issuer.capture(event(1, "storing", [world.foreign()]))


@pytest.mark.parametrize(
    "data",
    [b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 200],
    ids=["cut off", "no UTF-8", "no message", "endless", "groups in groups"],
)
@pytest.mark.parametrize("name", sorted(METHODS))
async def test_bytes_that_are_no_message_are_said_to_be_none(
    world: World, name: str, data: bytes
) -> None:
    method = METHODS[name]
    error = await _failure(caller_of(world, method), method, data)
    # Where a field of this number is of another kind, the bytes are an unknown field.
    if error is not None:
        assert_clear(error)
        assert error.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


@pytest.mark.parametrize(
    "name",
    [
        "VerificationService.VerifyCode", "EventService.CaptureEvents",
        "EventService.StreamCaptureEvents", "IssuanceService.IssueCodes",
    ],
)  # fmt: skip
async def test_a_request_that_is_cut_off_is_no_message(world: World, name: str) -> None:
    method = METHODS[name]
    caller = caller_of(world, method)
    error = await refused(answers(caller.channel, method, b"\x0a\x05ab", caller.metadata))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations == (("request", "INVALID_FIELD_TYPE"),)


async def test_who_sends_no_message_is_first_asked_who_it_is(world: World) -> None:
    method = METHODS["EventService.CaptureEvents"]
    error = await refused(answers(world.channel, method, b"\xff" * 20))
    assert error.code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "name", ["VerificationService.VerifyCode", "EventService.StreamCaptureEvents"]
)
async def test_a_message_that_is_too_large_says_how_large_one_may_be(
    world: World, name: str
) -> None:
    size = world.app.settings.max_message_bytes + 1
    method = METHODS[name]
    caller = caller_of(world, method)
    error = await refused(answers(caller.channel, method, b"\x0a" + b"x" * size, caller.metadata))
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(world.app.settings.max_message_bytes) in error.message
    assert (await world.verify("x")).outcome == verification_pb2.OUTCOME_UNKNOWN


def _nested(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_nested(32, "[", "]"), ""),
        (_nested(33, "[", "]"), "JSON_TOO_DEEP"),
        (_nested(100_000, "[", "]"), "JSON_TOO_DEEP"),
        (_nested(33, '{"a":', "}"), "JSON_TOO_DEEP"),
        ('"' + "[" * 1000 + '"', ""),
        ("[" * 20, "INVALID_JSON"),
        ("1e999", "INVALID_NUMBER"),
        ("123456789012345678901234567890", "INVALID_NUMBER"),
        ("NaN", "INVALID_NUMBER"),
        ("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "INVALID_JSON"),
        ('"\\ud800"', ""),
        ("", "INVALID_JSON"),
        ('{"a":1,"a":2}', ""),
    ],
    ids=range(13),
)
@pytest.mark.parametrize("place", ["extensions", "ilmd"])
async def test_what_users_add_is_json_of_a_depth_that_can_be_read(
    world: World, text: str, reason: str, place: str
) -> None:
    given = event(1, "storing", [world.foreign()])
    getattr(given, place)["ex:a"] = text
    (result,) = await world.issuer.capture(given)
    assert result.reason == reason
    assert result.field == (f"{place}[ex:a]" if reason else "")


def strange(kind: str) -> event_pb2.Event:
    """An event that would be another one, or none at all, once it is written as JSON."""
    given = event(1, "storing", ["https://id.gs1.org/01/04012345678901/21/STRANGE"])
    report = given.sensor_element_list.add().sensor_report.add(type="Temperature", value=1.0)
    match kind:
        case "another type":
            given.extensions["type"] = '"AggregationEvent"'
        case "no type":
            given.extensions["type"] = "[]"
        case "other things":
            given.extensions["epcList"] = '["urn:x:y"]'
        case "our own note":
            given.extensions["@@context"] = "1"
        case "another place":
            given.read_point.id = "geo:1,2"
            given.read_point.extensions["id"] = "[]"
        case "another reason":
            given.error_declaration.declaration_time = "2026-01-05T08:00:00Z"
            given.error_declaration.extensions["reason"] = "1"
        case "another value":
            report.extensions["value"] = '"x"'
        case "another report":
            given.sensor_element_list[0].extensions["sensorReport"] = "[1]"
        case "no number":
            report.value = float("nan")
        case "endless":
            report.max_value = float("inf")
        case "an empty place":
            given.empty_fields.append("readPoint")
        case "an empty nothing":
            given.empty_fields.append("x")
        case "an empty squared":
            given.empty_fields.append("sensorElementList.².x")
    return given


STRANGE = {
    "another type": ("extensions[type]", "FIELD_NOT_ALLOWED"),
    "no type": ("extensions[type]", "FIELD_NOT_ALLOWED"),
    "other things": ("extensions[epcList]", "FIELD_NOT_ALLOWED"),
    "our own note": ("extensions[@@context]", "FIELD_NOT_ALLOWED"),
    "another place": ("read_point.extensions[id]", "FIELD_NOT_ALLOWED"),
    "another reason": ("error_declaration.extensions[reason]", "FIELD_NOT_ALLOWED"),
    "another value": (
        "sensor_element_list[0].sensor_report[0].extensions[value]",
        "FIELD_NOT_ALLOWED",
    ),
    "another report": ("sensor_element_list[0].extensions[sensorReport]", "FIELD_NOT_ALLOWED"),
    "no number": ("sensor_element_list[0].sensor_report[0].value", "INVALID_NUMBER"),
    "endless": ("sensor_element_list[0].sensor_report[0].max_value", "INVALID_NUMBER"),
    "an empty place": ("empty_fields", "UNKNOWN_FIELD"),
    "an empty nothing": ("empty_fields", "UNKNOWN_FIELD"),
    "an empty squared": ("empty_fields", "UNKNOWN_FIELD"),
}


@pytest.mark.parametrize("kind", sorted(STRANGE))
async def test_no_event_is_kept_that_could_not_be_read_back_as_it_was(
    world: World, kind: str
) -> None:
    """One such event would hide all others of its unit from everybody who asks for them."""
    (result,) = await world.issuer.capture(strange(kind))
    assert (result.field, result.reason) == STRANGE[kind]


@pytest.mark.parametrize("kind", ["no type", "no number", "another value", "an empty place"])
async def test_a_document_that_could_not_come_out_again_is_refused_whole(
    world: World, kind: str
) -> None:
    good = event(1, "storing", [world.foreign()])
    header = event_pb2.DocumentHeader(json='{"type":"EPCISDocument","epcisBody":{"eventList":[]}}')
    request = capture_pb2.CaptureEventsRequest(events=[good, strange(kind)], document=header)
    error = await refused(world.issuer.events.CaptureEvents(request))
    assert_clear(error)
    listed = await world.issuer.events.ListEvents(
        capture_pb2.ListEventsRequest(epc=good.epc_list[0])
    )
    assert not listed.events


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        ("[]", "INVALID_FIELD_TYPE"),
        ("{}", "INVALID_DOCUMENT"),
        ('{"type":"EPCISDocument"}', "INVALID_DOCUMENT"),
        ('{"type":"EPCISDocument","epcisBody":{"eventList":{}}}', "INVALID_FIELD_TYPE"),
        ('{"type":"EPCISDocument","epcisBody":{"eventList":[{}]}}', "INVALID_EVENT_TYPE"),
        ('{"@bare":true}', ""),
        ('{"type":"EPCISDocument","epcisBody":{"eventList":[]}}', ""),
        ("[" * 100, "JSON_TOO_DEEP"),
        ("x" * 1_000_001, "TEXT_TOO_LONG"),
    ],
    ids=range(11),
)
async def test_a_header_that_is_none_is_refused(world: World, header: str, reason: str) -> None:
    request = capture_pb2.CaptureEventsRequest(
        events=[event(1, "storing", [world.foreign()])],
        document=event_pb2.DocumentHeader(json=header),
    )
    error = await _failure(world.issuer, METHODS["EventService.CaptureEvents"], request)
    assert (error.reason if error else "") == reason


async def test_a_moment_that_is_none_is_refused(world: World) -> None:
    method = METHODS["AdminService.RevokeIssuerKey"]
    request = admin_pb2.RevokeIssuerKeyRequest(name=f"parties/{world.issuer.gln}/keys/1")
    request.revoke_time.nanos = 2**31 - 1
    error = await _failure(world.issuer, method, request)
    assert error is not None
    assert error.violations == (("revoke_time", "INVALID_TIME"),)


async def test_two_certificates_are_two_however_they_were_written(world: World) -> None:
    given = event(1, "storing", [world.foreign()], certification_info=["urn:a:1", "urn:a:2"])
    (event_id,) = await world.issuer.accepted(given)
    got = await world.issuer.events.GetEvent(capture_pb2.GetEventRequest(event_id=event_id))
    assert list(got.event.certification_info) == ["urn:a:1", "urn:a:2"]


async def test_an_event_that_is_too_large_is_refused_alone(world: World) -> None:
    large = event(1, "storing", [world.foreign()])
    large.extensions["ex:a"] = '"' + "x" * capturing.MAX_BODY + '"'
    small = event(2, "storing", [world.foreign()])
    results = await world.issuer.capture(large, small)
    assert results[0].reason == "EVENT_TOO_LARGE"
    assert results[1].status == capture_pb2.CAPTURE_STATUS_ACCEPTED


async def test_a_method_that_is_none_is_unimplemented(world: World) -> None:
    call = world.channel.unary_unary(
        "/tracechain.v1.IssuanceService/IssueGold",
        request_serializer=issuance_pb2.GetBatchRequest.SerializeToString,
        response_deserializer=issuance_pb2.Batch.FromString,
    )
    error = await refused(call(issuance_pb2.GetBatchRequest(), timeout=TIMEOUT))
    assert error.code is grpc.StatusCode.UNIMPLEMENTED
