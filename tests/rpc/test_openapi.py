"""The description of the API over HTTP: valid, complete, and what the service really answers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.connect import HttpRefused, JsonApi, path_of
from tests.support.service import World, access_of, at, every_method, gtin_of
from tracechain.v1 import annotations_pb2, errors_pb2

METHODS = {path_of(method): method for method in every_method()}


@pytest.fixture
def http(api: JsonApi) -> httpx.AsyncClient:
    """A client of the shared service."""
    return api.http


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def document(api: JsonApi) -> dict[str, Any]:
    """The description as it is served."""
    found: dict[str, Any] = (await api.http.get("/openapi.json")).json()
    return found


def schema_of(document: dict[str, Any], name: str) -> Draft202012Validator:
    """What checks values against a schema of the description."""
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


async def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_every_method_is_described(document: dict[str, Any]) -> None:
    assert set(document["paths"]) == set(METHODS)
    operations = [o for path in document["paths"].values() for o in path.values()]
    assert len({o["operationId"] for o in operations}) == len(operations)
    for path, method in METHODS.items():
        described = document["paths"][path]
        safe = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        assert set(described) == ({"get", "post"} if safe else {"post"})
        for operation in described.values():
            assert operation["summary"]
            assert operation["security"] == ([] if access_of(method).public else [{"apiKey": []}])
            assert set(operation["responses"]) == {"200", "default"}
        streams = method.client_streaming or method.server_streaming
        form = "application/connect+json" if streams else "application/json"
        content = described["post"]["requestBody"]["content"][form]["schema"]
        content = content.get("x-message", content)
        assert content == {"$ref": f"#/components/schemas/{method.input_type.name}"}


def _reachable(kind: Descriptor, found: dict[str, Descriptor]) -> dict[str, Descriptor]:
    if kind.file.package == "tracechain.v1" and kind.full_name not in found:
        if not kind.GetOptions().map_entry:
            found[kind.full_name] = kind
        for field in kind.fields:
            if field.message_type is not None:
                _reachable(field.message_type, found)
    return found


async def test_every_field_is_described_by_its_name_in_json(document: dict[str, Any]) -> None:
    kinds: dict[str, Descriptor] = {}
    for method in METHODS.values():
        _reachable(method.input_type, kinds)
        _reachable(method.output_type, kinds)
    assert len(kinds) > 50
    schemas = document["components"]["schemas"]
    for kind in kinds.values():
        schema = schemas[kind.full_name.removeprefix("tracechain.v1.")]
        assert set(schema.get("properties", {})) == {field.json_name for field in kind.fields}
        required = {
            field.json_name
            for field in kind.fields
            if field.GetOptions().Extensions[annotations_pb2.required]
        }
        assert set(schema.get("required", [])) == required
        assert all(value["description"] for value in schema.get("properties", {}).values())
    reasons = set(errors_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
    assert {f"ERROR_REASON_{name}" for name in schemas["ErrorReason"]["enum"]} == reasons


async def test_what_is_answered_is_what_is_described(
    world: World, http: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    api, lot = JsonApi(http), await world.lot()
    codes = await lot.issue(3)
    event = {
        "type": "EVENT_TYPE_OBJECT", "eventTime": at(1), "eventTimeZoneOffset": "+08:00",
        "action": "ACTION_ADD", "bizStep": "commissioning", "epcList": [lot.epc(codes[0])],
        "sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 4.5}]}],
    }  # fmt: skip
    calls: list[tuple[str, str, Any, Any]] = [
        ("EventService.CaptureEvents", "CaptureEventsResponse", {"events": [event]}, world.issuer),
        ("VerificationService.VerifyCode", "Verdict", {"code": codes[0].uri}, None),
        ("VerificationService.ListVerificationKeys", "ListVerificationKeysResponse", {}, None),
        ("IssuanceService.GetBatch", "Batch", {"name": lot.name}, world.issuer),
        ("EventService.ListEvents", "ListEventsResponse", {"epc": lot.epc(codes[0])},
         world.issuer),
        ("ProvenanceService.TraceUnit", "Trace", {"epc": lot.epc(codes[0])}, world.issuer),
        ("ProvenanceService.AssessRecall", "AssessRecallResponse", {"batch": lot.name},
         world.issuer),
        ("AdminService.ListParties", "ListPartiesResponse", {}, world.operator),
        ("AdminService.ListCredentials", "ListCredentialsResponse",
         {"parent": f"parties/{world.issuer.gln}"}, world.operator),
    ]  # fmt: skip
    for method, kind, request, caller in calls:
        answer = await api.call(method, request, caller)
        assert answer
        schema_of(document, METHODS[path_of(method)].input_type.name).validate(request)
        schema_of(document, kind).validate(answer)
        # A schema that lets everything pass would find nothing here.
        assert not schema_of(document, kind).is_valid({**answer, next(iter(answer)): {"x": 1j}})
    wrong = await http.post(path_of("VerificationService.VerifyCode"), json={})
    schema_of(document, "Error").validate(wrong.json())
    assert not schema_of(document, "VerifyCodeRequest").is_valid({})


async def test_the_statuses_of_errors_are_those_that_are_told(
    world: World, http: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    api = JsonApi(http)
    words = document["components"]["responses"]["Error"]["description"]
    calls = [
        ("IssuanceService.GetProduct", {"name": "x"}, world.issuer),
        ("IssuanceService.GetProduct", {"name": f"products/{gtin_of(99_999)}"}, world.issuer),
        ("IssuanceService.GetProduct", {"name": "x"}, None),
        ("IssuanceService.GetProduct", {"name": "x"}, world.shop),
    ]
    told = set()
    for method, request, caller in calls:
        with pytest.raises(HttpRefused) as error:
            await api.call(method, request, caller)
        code = error.value.refusal.code.name.lower()
        assert f"{code} {error.value.status}" in words
        told.add(error.value.status)
    assert told == {400, 401, 403, 404}


async def test_who_has_it_is_told_so(http: httpx.AsyncClient) -> None:
    first = await http.get("/openapi.json", headers={"accept-encoding": "identity"})
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert "content-encoding" not in first.headers
    assert first.headers["vary"] == "accept-encoding"
    mark = first.headers["etag"]
    for known in (mark, f'"x", W/{mark}', "*"):
        again = await http.get("/openapi.json", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert "content-type" not in again.headers
    other = await http.get("/openapi.json", headers={"if-none-match": '"x"'})
    assert other.status_code == 200
    head = await http.head("/openapi.json", headers={"accept-encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(first.content)
    async with http.stream("GET", "/openapi.json", headers={"accept-encoding": "gzip"}) as packed:
        assert packed.headers["etag"] != mark
        raw = b"".join([part async for part in packed.aiter_raw()])
    assert json.loads(gzip.decompress(raw)) == first.json()
    assert len(raw) * 4 < len(first.content)


@pytest.mark.parametrize(
    ("verb", "path", "status"), [("POST", "/openapi.json", 405), ("GET", "/openapi.json/x", 404)]
)
async def test_nothing_else_is_there(
    http: httpx.AsyncClient, verb: str, path: str, status: int
) -> None:
    answer = await http.request(verb, path)
    assert answer.status_code == status
    assert answer.json()["code"] == "unimplemented"
