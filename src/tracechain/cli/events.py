"""`tracechain events`: captured events again, as EPCIS 2.0 JSON-LD."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.output import note, print_json, short, table, when
from tracechain.domain.epcis.jsonld import render_document
from tracechain.rpc import convert_event
from tracechain.v1 import capture_pb2

# A document around events that were captured in several ones.
_FRAME = json.dumps(
    {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "epcisBody": {"eventList": []},
    }
)


def events(
    what: Annotated[
        str,
        typer.Argument(help="A code or EPC; an event id (ni:///…); or a name (documents/…)."),
    ],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Show captured events: of a thing, one by its id, or a whole document as it was captured."""
    with Connection(server, api_key) as to:
        if what.startswith("documents/"):
            kept = to.events.GetDocument(capture_pb2.GetDocumentRequest(name=what))
            return print_json(_document(kept.document.json, kept.events))
        if what.startswith("ni:"):
            found = [to.events.GetEvent(capture_pb2.GetEventRequest(event_id=what))]
        else:
            found = _all(to, what)
    if as_json:
        return print_json(_document(_FRAME, [captured.event for captured in found]))
    table(
        ("time", "step", "disposition", "recorded by", "event"),
        [
            (
                captured.event.event_time,
                short(captured.event.biz_step.rpartition("/")[2], ""),
                short(captured.event.disposition.rpartition("/")[2], ""),
                f"{captured.recorder_gln} {when(captured.record_time)}",
                captured.event_id,
            )
            for captured in found
        ],
    )
    return note(f"{len(found)} events; with --json as an EPCIS document")


def _all(to: Connection, epc: str) -> list[capture_pb2.CapturedEvent]:
    found: list[capture_pb2.CapturedEvent] = []
    request = capture_pb2.ListEventsRequest(epc=epc, page_size=200)
    while True:
        page = to.events.ListEvents(request)
        found += page.events
        if not page.next_page_token:
            if page.truncated:
                # Beside a document on standard output, not in it.
                print("there are more events than can be listed; ask for units", file=sys.stderr)
            return found
        request.page_token = page.next_page_token


def _document(header: str, events: Any) -> Any:
    return json.loads(render_document(header, [convert_event.read_event(e) for e in events]))
