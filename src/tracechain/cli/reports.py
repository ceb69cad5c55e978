"""`tracechain reports`: what consumers report, for the inspectors of the division."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.output import done, print_json, short, table, when
from tracechain.v1 import supervision_pb2 as pb

app = typer.Typer(help="Read what consumers report.", no_args_is_help=True)


@app.command("list")
def list_(
    region: Annotated[str, typer.Option(help="A division within yours, six digits.")] = "",
    page_size: Annotated[int, typer.Option(help="At most so many, latest first.")] = 100,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """List the latest reports of your division (inspector)."""
    with Connection(server, api_key) as to:
        found = to.supervision.ListReports(
            pb.ListReportsRequest(region=region, page_size=page_size)
        )
    if as_json:
        return print_json(found)
    return table(
        ("name", "when", "region", "kind", "GTIN", "picture", "text"),
        [
            (
                one.name,
                when(one.create_time),
                one.region,
                short(pb.ReportKind.Name(one.kind), "REPORT_KIND_"),
                one.gtin,
                "yes" if one.has_photo else "",
                one.text,
            )
            for one in found.reports
        ],
    )


@app.command()
def erase(
    name: Annotated[str, typer.Argument(help="Name of the report.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept, the report's content is not.")],
    request_id: Annotated[str, typer.Option(help="Kept with the record of the call.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Erase what a consumer wrote, scanned and photographed, as asked (inspector)."""
    with Connection(server, api_key) as to:
        erased = to.supervision.EraseReport(
            pb.EraseReportRequest(
                name=name, reason=reason, request_id=request_id or uuid.uuid4().hex
            )
        )
    if as_json:
        return print_json(erased)
    return done("erased ", (erased.name, "bold"))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the report.")],
    photo: Annotated[Path | None, typer.Option(help="Write the photograph to this file.")] = None,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Show one report, and keep its photograph (inspector)."""
    with Connection(server, api_key) as to:
        found = to.supervision.GetReport(pb.GetReportRequest(name=name))
    if photo is not None and found.photo:
        photo.write_bytes(found.photo)
    if as_json:
        found.ClearField("photo")
        return print_json(found)
    table(
        ("", ""),
        [
            ("when", when(found.create_time)),
            ("region", found.region),
            ("kind", short(pb.ReportKind.Name(found.kind), "REPORT_KIND_")),
            ("code", found.code),
            ("issuer", found.issuer_gln),
            ("text", found.text),
        ],
    )
    if photo is not None:
        done(f"{len(found.photo)} bytes to ", (str(photo), "bold"))
    return None
