"""`tracechain audit`: who asked for what, and what came of it."""

from __future__ import annotations

import datetime
import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.output import done, note, plain, print_json, short, table, when
from tracechain.v1 import annotations_pb2
from tracechain.v1 import audit_pb2 as pb

app = typer.Typer(help="Read the audit records (auditor).", no_args_is_help=True)

_AGO = re.compile(r"(\d{1,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Since = Annotated[
    str, typer.Option(help="From then on: 30m, 24h, 7d ago, or a time such as 2026-11-25T08:00.")
]
Until = Annotated[str, typer.Option(help="Before then; by default up to now.")]
Party = Annotated[str, typer.Option(help="Of the party with this GLN alone.")]
Method = Annotated[str, typer.Option(help="Of this method alone: AdminService.CreateParty.")]
Outcome = Annotated[str, typer.Option(help="With this outcome alone: OK, ROLE_NOT_ALLOWED.")]


@app.command("list")
def list_(
    since: Since = "24h",
    until: Until = "",
    party: Party = "",
    method: Method = "",
    outcome: Outcome = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """List records, oldest first."""
    request = pb.ListAuditRecordsRequest(
        party=_party(party), method=method, outcome=outcome, page_size=limit
    )
    _bound(request, since, until)
    with Connection(server, api_key) as to:
        found = to.audit.ListAuditRecords(request)
    if as_json:
        return print_json(found)
    table(
        ("time", "party", "role", "method", "objects", "outcome", "calls"),
        [
            (
                when(r.time),
                r.party.removeprefix("parties/"),
                short(annotations_pb2.Role.Name(r.role), "ROLE_") if r.role else "",
                r.method,
                " ".join(value for _, value in sorted(r.objects.items())),
                r.outcome,
                str(r.calls),
            )
            for r in found.records
        ],
        right=("calls",),
    )
    if found.next_page_token:
        note("There are more: narrow the time, or use `tracechain audit export`.")
    return None


@app.command()
def export(
    to_file: Annotated[
        Path | None, typer.Argument(help="File to write, a new one; by default standard output.")
    ] = None,
    since: Since = "",
    until: Until = "",
    party: Party = "",
    method: Method = "",
    outcome: Outcome = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Write all records as JSON lines, oldest first."""
    request = pb.ExportAuditRecordsRequest(party=_party(party), method=method, outcome=outcome)
    _bound(request, since, until)
    try:
        target = sys.stdout if to_file is None else to_file.open("x", encoding="utf-8")
    except OSError as error:
        raise Stop("FILE_ERROR", f"{to_file}: {error.strerror}", "Name a new file.") from error
    count = 0
    try:
        with Connection(server, api_key) as to:
            for part in to.audit.ExportAuditRecords(request, timeout=None):
                for record in part.records:
                    target.write(json.dumps(plain(record), ensure_ascii=False) + "\n")
                    count += 1
    finally:
        if to_file is not None:
            target.close()
    if to_file is not None:
        done(f"{count} records in ", (str(to_file), "bold"))


def _party(gln: str) -> str:
    return f"parties/{gln}" if gln else ""


def _bound(
    request: pb.ListAuditRecordsRequest | pb.ExportAuditRecordsRequest, since: str, until: str
) -> None:
    if since:
        request.start_time.FromDatetime(_moment(since))
    if until:
        request.end_time.FromDatetime(_moment(until))


def _moment(text: str) -> datetime.datetime:
    now = datetime.datetime.now(datetime.UTC)
    if ago := _AGO.fullmatch(text):
        return now - datetime.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except ValueError:
        raise Stop(
            "INVALID_TIME", f"{text} is no time", "Such as 24h, 7d or 2026-11-25T08:00."
        ) from None
