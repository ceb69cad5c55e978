"""`tracechain log check`: is the log of the configured store what it has to be?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.failure import Stop
from tracechain.cli.output import console, done, note, print_json, table_progress

if TYPE_CHECKING:
    from tracechain.app.log.checking import LogReport
    from tracechain.domain.log.policy import Policy


def check(
    policy: Annotated[
        Path | None,
        typer.Option(help="Whom checkpoints must be signed by: a policy file (C2SP tlog-policy)."),
    ] = None,
    vkey: Annotated[
        str, typer.Option(help="The log's verifier key, in place of a policy: see `log key`.")
    ] = "",
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint that was kept elsewhere, which the log has to continue; repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Derive the whole log anew from the configured store and say what does not hold; status 1
    where anything.

    Every leaf, tile, chain and root is checked, and every fact against the rows that it is about.
    Whoever can write to the store can write another log that holds: only checkpoints that others
    signed or kept tell that it is another.
    """
    from tracechain import bootstrap
    from tracechain.domain.log.note import Note
    from tracechain.settings import Settings

    believed = _policy(policy, vkey)
    kept = [Note.parse(path.read_bytes()) for path in checkpoint or []]
    with table_progress() as told:
        found = asyncio.run(bootstrap.check_log(Settings(), told, believed, kept))
    if as_json:
        _print_json(found)
    else:
        _print(found, signed=believed is not None)
    if found.findings.counts:
        raise typer.Exit(1)


def _policy(file: Path | None, vkey: str) -> Policy | None:
    from tracechain.domain.log.note import VerifierKey
    from tracechain.domain.log.policy import Log, Policy

    if file and vkey:
        raise Stop("TWO_POLICIES", "both --policy and --vkey are given", "Give one of them.")
    if file:
        return Policy.parse(file.read_bytes())
    return Policy((Log(VerifierKey.parse(vkey)),)) if vkey else None


def _print(found: LogReport, *, signed: bool) -> None:
    for kind, count in found.findings.counts.items():
        console.print(f"[bold red]✗[/] {kind}: {count}", soft_wrap=True)
        for where in found.findings.first[kind]:
            console.print(f"    {where}", markup=False, soft_wrap=True)
    if not found.findings.counts:
        done(f"{found.size} leaves in {found.chains} chains, and all holds")
    published = found.checkpoint
    if published is None:
        note("  No checkpoint is published.")
    else:
        by = "" if signed else "; who signed it was not looked at: --policy or --vkey"
        note(f"  The published checkpoint covers {published.size} leaves{by}.")
    if found.pending:
        note(f"  {found.pending} facts wait for their place in the log.")
    for table, count in found.older.items():
        note(f"  {count} rows of {table} are older than the log, which says nothing of them.")


def _print_json(found: LogReport) -> None:
    findings = found.findings
    print_json(
        {
            "size": found.size,
            "root": found.root.hex(),
            "chains": found.chains,
            "checkpoint_size": found.checkpoint.size if found.checkpoint else None,
            "pending": found.pending,
            "oldest_pending": found.waiting,
            "older_than_log": found.older,
            "differences": [
                {"kind": kind, "count": count, "first": findings.first[kind]}
                for kind, count in findings.counts.items()
            ],
        }
    )
