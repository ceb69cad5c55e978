"""`tracechain trace`: where something has been, what it was made of and what of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.goods import batch_name, kind_of
from tracechain.cli.output import console, print_json, short, when
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import EpcKind
from tracechain.domain.region import Region
from tracechain.v1 import capture_pb2, provenance_pb2, verification_pb2


def trace(
    what: Annotated[
        str,
        typer.Argument(help="A printed code, an EPC, an SSCC (18 digits), or a batch (GTIN/LOT)."),
    ],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Show the story of a unit, a container or a batch."""
    with Connection(server, api_key) as to:
        found = fetch(to, what)
    if as_json:
        print_json(found)
    else:
        show_trace(found)


def fetch(to: Connection, what: str) -> provenance_pb2.Trace:
    """The trace of whatever `what` names."""
    kind = kind_of(what)
    if kind is EpcKind.SSCC:
        request = provenance_pb2.TraceContainerRequest(container=what)
        found: provenance_pb2.Trace = to.provenance.TraceContainer(request)
    elif kind in (EpcKind.LGTIN, EpcKind.GTIN) or (kind is None and _is_batch(what)):
        name = what if kind is EpcKind.GTIN else batch_name(what)
        found = to.provenance.TraceBatch(provenance_pb2.TraceBatchRequest(batch=name))
    else:
        found = to.provenance.TraceUnit(provenance_pb2.TraceUnitRequest(epc=what))
    return found


def show_trace(found: provenance_pb2.Trace) -> None:
    """A timeline, then where it is, what it was made of, and what does not fit."""
    head = Text(found.epc, style="bold")
    if found.product.zh or found.product.en:
        head.append(f"\n{found.product.zh}  {found.product.en}", style="not bold")
    console.print(head, soft_wrap=True)
    console.print(_standing(found), soft_wrap=True)
    for number, step in enumerate(found.steps):
        console.print(_step(step, last=number == len(found.steps) - 1), soft_wrap=True)
    _containers(found.containers)
    _contents(found.contents)
    show_lineage("made of", found.upstream)
    show_lineage("made into", found.downstream)
    show_remarks(found.conflicts, truncated=found.truncated)


def show_lineage(title: str, items: Sequence[provenance_pb2.Lineage]) -> None:
    """Things that a thing was made of, or was made into, further ones further in."""
    if items:
        console.print(f"{title}:", style="bold")
    for item in items:
        amount = f"  {item.quantity:g} {item.uom}".rstrip() if item.quantity else ""
        console.print(
            Text(f"{'  ' * item.depth}└ {item.epc}{amount}  {when(item.event_time)}"),
            soft_wrap=True,
        )


def show_remarks(conflicts: Sequence[int], *, truncated: bool) -> None:
    """What does not fit, and whether more was found than is shown."""
    if conflicts:
        console.print(Text.assemble(("⚠ does not fit: ", "bold yellow"), _names(conflicts)))
    if truncated:
        console.print(Text("⚠ there is more than is shown here", style="yellow"))


def _standing(found: provenance_pb2.Trace) -> Text:
    parts = []
    if found.state:
        parts.append(short(verification_pb2.UnitState.Name(found.state), "UNIT_STATE_"))
    if found.holder_gln:
        parts.append(f"held by {found.holder_gln}")
    if found.addressee_gln:
        parts.append(f"on its way to {found.addressee_gln}")
    if found.location:
        parts.append(f"at {found.location}")
    return Text("  ".join(parts) or "no events yet", style="cyan")


def _step(step: provenance_pb2.TraceStep, *, last: bool) -> Text:
    colour = "red" if step.conflicts else "dim" if step.erroneous else "green"
    what = short(step.biz_step, "") or short(step.event_type, "")
    if step.disposition:
        what += f" ({short(step.disposition, '')})"
    line = Text.assemble(
        ("  ● ", colour), f"{when(step.event_time)}  ", (f"{what:<34}", "bold"), "  "
    )
    line.append(step.recorder.zh or step.recorder.en or step.recorder_gln)
    if step.region:
        line.append(f"  {Region(step.region).display()}", style="dim")
    rest = "    " if last else "  │ "
    if step.link == provenance_pb2.LINK_CONTAINER:
        line.append(f"\n{rest}        in {step.via}", style="dim")
    if step.conflicts:
        line.append(f"\n{rest}        does not fit: {_names(step.conflicts)}", style="red")
    if step.erroneous:
        line.append(f"\n{rest}        declared erroneous", style="dim")
    if not last:
        line.append("\n  │", style="dim")
    return line


def _containers(stays: Sequence[provenance_pb2.Containment]) -> None:
    for stay in stays:
        until = when(stay.end_time) if stay.HasField("end_time") else "now"
        console.print(
            Text(f"{'  ' * stay.level}▣ in {stay.container}  {when(stay.start_time)} → {until}"),
            soft_wrap=True,
        )


def _contents(contents: Sequence[provenance_pb2.Content]) -> None:
    if contents:
        console.print("holds or held:", style="bold")
    for item in contents:
        until = when(item.end_time) if item.HasField("end_time") else "now"
        amount = f" × {item.count}" if item.count > 1 else ""
        console.print(
            Text(f"  └ {item.epc}{amount}  {when(item.start_time)} → {until}"), soft_wrap=True
        )


def _names(conflicts: Sequence[int]) -> str:
    name = capture_pb2.ConflictReason.Name
    return ", ".join(short(name(c), "CONFLICT_REASON_") for c in conflicts)  # type: ignore[arg-type]


def _is_batch(what: str) -> bool:
    try:
        batch_name(what)
    except InvalidArgument:
        return False
    return True
