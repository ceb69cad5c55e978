"""GS1's own EPCIS documents, in through the socket and out again as they were.

The examples lie outside of this repository; where they are not, our own stand in for them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.service import World, refused
from tracechain.domain.epcis.jsonld import event_to_json, parse_document, render_document
from tracechain.domain.epcis.model import Document
from tracechain.rpc import convert_event
from tracechain.v1 import capture_pb2 as pb
from tracechain.v1 import event_pb2

_ROOT = Path(__file__).parents[2]
_OFFICIAL = Path(os.environ.get("TRACECHAIN_SHARED_DATA", _ROOT.parent / "shared" / "data"))
_OWN = _ROOT / "tests" / "data" / "epcis-own"
ACCEPTED, DUPLICATE = pb.CAPTURE_STATUS_ACCEPTED, pb.CAPTURE_STATUS_DUPLICATE


def _documents() -> list[Path]:
    found = sorted((_OFFICIAL / "epcis" / "JSON").rglob("*.jsonld"))
    return found or sorted(_OWN.rglob("*.jsonld"))


DOCUMENTS = _documents()
SPELLINGS: dict[str, list[Any]] = {}


def request_of(document: Document) -> pb.CaptureEventsRequest:
    """A document as a client sends it."""
    return pb.CaptureEventsRequest(
        events=[convert_event.event(event) for event in document.events],
        document=event_pb2.DocumentHeader(json=document.header),
    )


async def fetched(world: World, name: str) -> Any:
    """A document as JSON, made again from what the service gives out."""
    answer = await world.shop.events.GetDocument(pb.GetDocumentRequest(name=name))
    events = [convert_event.read_event(message) for message in answer.events]
    return json.loads(render_document(answer.document.json, events))


def content(path: Path) -> bytes:
    """The bytes of a document."""
    return path.read_bytes()


def remember(document: Document, answer: pb.CaptureEventsResponse) -> None:
    """Keeps how events were spelled: several documents tell the same event in several ways."""
    for event, result in zip(document.events, answer.results, strict=True):
        SPELLINGS.setdefault(result.event_id, []).append(json.loads(event_to_json(event)))


def test_there_are_documents() -> None:
    assert len(DOCUMENTS) >= 5, f"none in {_OFFICIAL / 'epcis'} and none in {_OWN}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
async def test_a_document_comes_out_as_it_went_in(world: World, path: Path) -> None:
    data = content(path)
    given, document = json.loads(data.decode("utf-8-sig")), parse_document(data)
    answer = await world.shop.events.CaptureEvents(request_of(document))
    remember(document, answer)
    assert {result.status for result in answer.results} <= {ACCEPTED, DUPLICATE}, answer.results
    assert answer.document.startswith("documents/")
    assert await fetched(world, answer.document) == given
    # Again: the same document, and nothing new.
    again = await world.shop.events.CaptureEvents(request_of(document))
    assert again.document == answer.document
    assert {result.status for result in again.results} == {DUPLICATE}
    assert [r.event_id for r in again.results] == [r.event_id for r in answer.results]
    assert await fetched(world, again.document) == given


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
async def test_each_event_of_a_document_is_got_and_listed_alone(world: World, path: Path) -> None:
    document = parse_document(content(path))
    answer = await world.distributor.events.CaptureEvents(request_of(document))
    remember(document, answer)
    for event, result in zip(document.events, answer.results, strict=True):
        assert result.status in (ACCEPTED, DUPLICATE), result
        got = await world.operator.events.GetEvent(pb.GetEventRequest(event_id=result.event_id))
        back = convert_event.read_event(got.event)
        assert json.loads(event_to_json(back)) in SPELLINGS[result.event_id]
        things = [*event.epc_list, *event.child_epcs, *event.input_epc_list]
        things += [item.epc_class for item in event.quantity_list]
        if event.parent_id:
            things.append(event.parent_id)
        for thing in things[:2]:
            listed = await world.operator.events.ListEvents(
                pb.ListEventsRequest(epc=thing, page_size=1000)
            )
            assert result.event_id in [item.event_id for item in listed.events]


async def test_a_document_keeps_what_was_refused_in_it(world: World) -> None:
    unit = world.foreign()
    body = {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-05T00:00:00Z",
        "epcisBody": {
            "eventList": [
                {
                    "type": "ObjectEvent", "action": "OBSERVE", "epcList": [unit],
                    "eventTime": time, "eventTimeZoneOffset": "+08:00",
                }
                for time in ("2026-01-05T08:00:00Z", "yesterday", "2026-01-05T09:00:00Z")
            ]
        },
    }  # fmt: skip
    document = parse_document(json.dumps(body).encode())
    answer = await world.shop.events.CaptureEvents(request_of(document))
    assert [result.status for result in answer.results] == [
        ACCEPTED,
        pb.CAPTURE_STATUS_REFUSED,
        ACCEPTED,
    ]
    assert answer.results[1].reason == "INVALID_TIME"
    assert await fetched(world, answer.document) == body


async def test_a_document_is_its_senders_own(world: World) -> None:
    unit = world.foreign()
    message = event_pb2.Event(
        type=event_pb2.EVENT_TYPE_OBJECT, action=event_pb2.ACTION_OBSERVE, epc_list=[unit],
        event_time="2026-01-05T08:00:00Z", event_time_zone_offset="+08:00",
    )  # fmt: skip
    request = pb.CaptureEventsRequest(
        events=[message],
        document=event_pb2.DocumentHeader(
            json='{"type":"EPCISDocument","epcisBody":{"eventList":[]}}'
        ),
    )
    names = [
        (await caller.events.CaptureEvents(request)).document
        for caller in (world.shop, world.distributor)
    ]
    assert names[0] != names[1]
    error = await refused(
        world.distributor.events.GetDocument(pb.GetDocumentRequest(name=names[0]))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND")
    assert await world.jilin.events.GetDocument(pb.GetDocumentRequest(name=names[0]))
