"""`tracechain recall`: recalls and blocks, in force at the next scan."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.failure import Stop
from tracechain.cli.goods import BATCH_HELP, batch_name
from tracechain.cli.output import done, print_json, short, table, when
from tracechain.v1 import party_pb2
from tracechain.v1 import supervision_pb2 as pb

app = typer.Typer(help="Recall or block goods, lift it, list them.", no_args_is_help=True)


@app.command()
def create(
    batch: Annotated[str, typer.Argument(help=BATCH_HELP)],
    zh: Annotated[str, typer.Option("--zh", help="What consumers are told, in Chinese.")],
    en: Annotated[str, typer.Option("--en", help="The same in English.")] = "",
    range: Annotated[
        list[str] | None,
        typer.Option(help="FIRST:COUNT of the batch's codes, by index. Repeatable."),
    ] = None,
    unit: Annotated[list[str] | None, typer.Option(help="A code or EPC. Repeatable.")] = None,
    block: Annotated[
        bool, typer.Option("--block", help="Forbid the sale (regulator) rather than recall.")
    ] = False,
    request_id: Annotated[str, typer.Option(help="Makes a repetition harmless.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Recall a batch, or with --range and --unit a part of it (issuer, inspector)."""
    with Connection(server, api_key) as to:
        made = to.supervision.CreateRecall(
            pb.CreateRecallRequest(
                parent=batch_name(batch),
                recall=pb.Recall(
                    kind=pb.RECALL_KIND_BLOCK if block else pb.RECALL_KIND_RECALL,
                    ranges=[_range(text) for text in range or ()],
                    units=unit or (),
                    notice=party_pb2.LocalizedText(zh=zh, en=en),
                ),
                request_id=request_id or uuid.uuid4().hex,
            )
        )
    if as_json:
        return print_json(made)
    return done(
        short(pb.RecallKind.Name(made.kind), "RECALL_KIND_"), " in force: ", (made.name, "bold")
    )


@app.command()
def lift(
    name: Annotated[str, typer.Argument(help="Name of the recall.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    request_id: Annotated[str, typer.Option(help="Kept with the record of the call.")] = "",
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """Lift a recall or block (who decided it)."""
    with Connection(server, api_key) as to:
        lifted = to.supervision.LiftRecall(
            pb.LiftRecallRequest(
                name=name, reason=reason, request_id=request_id or uuid.uuid4().hex
            )
        )
    if as_json:
        return print_json(lifted)
    return done("lifted ", (lifted.name, "bold"))


@app.command("list")
def list_(
    batch: Annotated[str, typer.Argument(help=BATCH_HELP)],
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
    as_json: AsJson = False,
) -> None:
    """List the recalls and blocks of a batch."""
    with Connection(server, api_key) as to:
        found = to.supervision.ListRecalls(pb.ListRecallsRequest(parent=batch_name(batch)))
    if as_json:
        return print_json(found)
    return table(
        ("name", "kind", "reaches", "by", "since", "lifted", "notice"),
        [
            (
                r.name,
                short(pb.RecallKind.Name(r.kind), "RECALL_KIND_"),
                _reach(r),
                r.decider_gln + (" (regulator)" if r.by_regulator else ""),
                when(r.create_time),
                when(r.lift_time) if r.HasField("lift_time") else "",
                r.notice.zh or r.notice.en,
            )
            for r in found.recalls
        ],
    )


def _range(text: str) -> pb.IndexRange:
    first, colon, count = text.partition(":")
    if not (colon and first.isdigit() and count.isdigit()):
        raise Stop("INVALID_RANGE", f"{text} is not of the form FIRST:COUNT, such as 0:500")
    return pb.IndexRange(first_index=int(first), count=int(count))


def _reach(recall: pb.Recall) -> str:
    parts = [f"{r.first_index}:{r.count}" for r in recall.ranges]
    if recall.units:
        parts.append(f"{len(recall.units)} units")
    return ", ".join(parts) or "the batch"
