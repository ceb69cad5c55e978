"""`tracechain capture`: EPCIS 2.0 documents from files into the service."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import grpc
import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Failure, explain, report
from tracechain.cli.output import console, note, plain, print_json, progress, short, table
from tracechain.domain.epcis.jsonld import parse_document
from tracechain.domain.epcis.model import Document
from tracechain.domain.errors import InvalidArgument
from tracechain.rpc import convert_event
from tracechain.v1 import capture_pb2, event_pb2

# What the service takes in one call; longer documents go in pieces, without their frame.
_MAX_EVENTS = 1000


def capture(
    files: Annotated[
        list[Path], typer.Argument(help="EPCIS 2.0 JSON or JSON-LD documents; - reads one.")
    ],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Capture the events of EPCIS documents (issuer, handler).

    Capturing twice is harmless. Each event gets its own answer; the status is 1 where a file
    could not be read or an event was refused, and all others are captured all the same. Where the
    service fails, what was captured until then is told.
    """
    answers: list[tuple[Path, capture_pb2.CaptureEventsResponse | None, Failure | None]] = []
    refused = False
    with Connection(server, api_key) as to, progress() as bar:
        task = bar.add_task("capturing", total=len(files))
        for file in files:
            try:
                data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
                sent = _send(to, parse_document(data))
            except (InvalidArgument, OSError, grpc.RpcError) as error:
                failure = explain(error)
                assert failure is not None
                answers.append((file, None, failure))
                refused = True
                if failure.code not in ("", "INVALID_ARGUMENT"):
                    break
            else:
                answers.append((file, sent, None))
                refused |= any(
                    result.status == capture_pb2.CAPTURE_STATUS_REFUSED for result in sent.results
                )
            bar.advance(task)
    if as_json:
        print_json(
            [
                {"file": str(file), **(plain(answer) if answer else {}), **_error(failure)}
                for file, answer, failure in answers
            ]
        )
    else:
        for file, answer, failure in answers:
            _show(file, answer, failure)
    if refused:
        raise typer.Exit(1)


def _send(to: Connection, document: Document) -> capture_pb2.CaptureEventsResponse:
    events = [convert_event.event(event) for event in document.events]
    if not events:
        return capture_pb2.CaptureEventsResponse()
    if len(events) <= _MAX_EVENTS:
        answer: capture_pb2.CaptureEventsResponse = to.events.CaptureEvents(
            capture_pb2.CaptureEventsRequest(
                events=events, document=event_pb2.DocumentHeader(json=document.header)
            )
        )
        return answer
    whole = capture_pb2.CaptureEventsResponse()

    def pieces() -> Iterator[capture_pb2.StreamCaptureEventsRequest]:
        for start in range(0, len(events), _MAX_EVENTS):
            yield capture_pb2.StreamCaptureEventsRequest(events=events[start : start + _MAX_EVENTS])

    for part in to.events.StreamCaptureEvents(pieces(), timeout=None):
        whole.results.extend(part.results)
    return whole


def _error(failure: Failure | None) -> dict[str, object]:
    if failure is None:
        return {}
    return {"error": asdict(failure)}


def _show(
    file: Path, answer: capture_pb2.CaptureEventsResponse | None, failure: Failure | None
) -> None:
    console.print(str(file), style="bold", markup=False)
    if failure is not None:
        report(failure, as_json=False)
        return
    assert answer is not None
    table(
        ("#", "status", "event", "remarks"),
        [
            (
                str(number),
                short(capture_pb2.CaptureStatus.Name(result.status), "CAPTURE_STATUS_"),
                result.event_id,
                _remarks(result),
            )
            for number, result in enumerate(answer.results)
        ],
        right=("#",),
    )
    if answer.document:
        note(f"  kept as {answer.document}; see it again: tracechain events {answer.document}")


def _remarks(result: capture_pb2.CaptureResult) -> str:
    if result.reason:
        return f"{result.reason} at {result.field}: {result.description}"
    return ", ".join(
        short(capture_pb2.ConflictReason.Name(c), "CONFLICT_REASON_") for c in result.conflicts
    )
