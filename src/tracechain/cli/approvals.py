"""`tracechain approvals`: what one credential proposed and another one decides."""

from __future__ import annotations

from typing import Annotated

import typer

from tracechain.cli.connection import DEFAULT_SERVER, ApiKey, AsJson, Connection, Server
from tracechain.cli.output import done, print_json, short, table, when
from tracechain.v1 import admin_pb2

app = typer.Typer(help="Acts that take two people.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="approvals/ID, as a refused command named it.")]


@app.command("list")
def list_(server: Server = DEFAULT_SERVER, api_key: ApiKey = "", as_json: AsJson = False) -> None:
    """List what was proposed, newest last (issuer: its own; operator)."""
    found: list[admin_pb2.Approval] = []
    request = admin_pb2.ListApprovalsRequest(page_size=1000)
    with Connection(server, api_key) as to:
        while True:
            page = to.admin.ListApprovals(request)
            found += page.approvals
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    found.sort(key=lambda approval: approval.create_time.ToNanoseconds())
    if as_json:
        return print_json(admin_pb2.ListApprovalsResponse(approvals=found))
    return table(
        ("name", "operation", "on", "by", "proposed", "state"),
        [
            (
                approval.name, approval.operation, approval.subject, approval.proposer_gln,
                when(approval.create_time), _state(approval),
            )
            for approval in found
        ],
    )  # fmt: skip


@app.command()
def approve(
    name: Name, server: Server = DEFAULT_SERVER, api_key: ApiKey = "", as_json: AsJson = False
) -> None:
    """Approve what another credential proposed; it is done at once (issuer, operator)."""
    with Connection(server, api_key) as to:
        _show(to.admin.Approve(admin_pb2.ApproveRequest(name=name)), as_json)


@app.command()
def reject(
    name: Name, server: Server = DEFAULT_SERVER, api_key: ApiKey = "", as_json: AsJson = False
) -> None:
    """Reject a proposal, or take back your own (issuer, operator)."""
    with Connection(server, api_key) as to:
        _show(to.admin.Reject(admin_pb2.RejectRequest(name=name)), as_json)


def _show(approval: admin_pb2.Approval, as_json: bool) -> None:
    if as_json:
        print_json(approval)
        return
    done((approval.name, "bold"), f"  {approval.operation}: {_state(approval)}")


def _state(approval: admin_pb2.Approval) -> str:
    return short(admin_pb2.ApprovalState.Name(approval.state), "APPROVAL_STATE_").lower()
