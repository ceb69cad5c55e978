"""`tracechain assess`: what a recall of a batch would reach."""

from __future__ import annotations

from typing import Annotated

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.goods import BATCH_HELP, batch_name
from tracechain.cli.output import console, print_json, table, when
from tracechain.cli.trace import show_lineage, show_remarks
from tracechain.domain.region import Region
from tracechain.v1 import provenance_pb2


def assess(
    batch: Annotated[str, typer.Argument(help=BATCH_HELP)],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Show what a recall of a batch would reach: units, batches made of it, places."""
    with Connection(server, api_key) as to:
        found = to.provenance.AssessRecall(
            provenance_pb2.AssessRecallRequest(batch=batch_name(batch))
        )
    if as_json:
        print_json(found)
    else:
        show_impact(found)


def show_impact(found: provenance_pb2.AssessRecallResponse) -> None:
    """Units first, then the places to go to."""
    console.print(f"[bold]{found.batch}[/]")
    console.print(
        f"{found.issued_units:,} units issued, {found.ended_units:,} no longer in use",
        style="cyan",
    )
    table(
        ("place", "", "party", "division", "last seen"),
        [
            (
                place.place.removeprefix("https://id.gs1.org/"),
                "now" if place.current else "passed",
                place.party.zh or place.party.en or place.party_gln,
                Region(place.region).display() if place.region else "",
                when(place.last_time),
            )
            for place in found.places
        ],
    )
    if found.containers:
        console.print(f"in {len(found.containers)} containers: " + ", ".join(found.containers))
    show_lineage("made into", found.downstream)
    show_remarks(found.conflicts, truncated=found.truncated)
