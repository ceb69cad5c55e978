"""`tracechain store`: work on a whole store, on a machine that can reach it.

These commands open the configured store themselves; no service has to run. An export and a check
read one moment of it while a service goes on writing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.progress import TaskID

from tracechain.cli.connection import AsJson
from tracechain.cli.failure import Stop
from tracechain.cli.output import console, done, note, print_json, progress, table
from tracechain.cli.statements import statements

if TYPE_CHECKING:
    from tracechain.app.archive import Archive
    from tracechain.app.archiving import Sum, Told

app = typer.Typer(
    help="Work on the whole store: move, check, migrate, distribute.", no_args_is_help=True
)
app.command()(statements)
_STANDARD = Path("-")
_WARNINGS = {
    "ROW_SECURITY_BYPASSED": "the role of store_url is a superuser or has BYPASSRLS, so the "
    "database does not keep tenants apart; let it be a plain one that owns the database",
}


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the schema of the configured store up to date; make it where it is missing."""
    before, after = asyncio.run(_archive().migrate())
    if as_json:
        print_json({"from": before, "to": after})
    elif before == after:
        done(f"the schema is up to date: {after}")
    else:
        done(f"the schema was {before or 'not there'} and is {after}")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Read the whole configured store and say what does not hold; status 1 where anything."""
    from tracechain.app.checking import check_store

    with _bar() as told:
        found = asyncio.run(check_store(_archive(), told))
    if as_json:
        print_json(
            {
                "rows": found.rows,
                "warnings": found.warnings,
                "differences": [
                    {"kind": kind, "count": count, "first": found.first[kind]}
                    for kind, count in found.counts.items()
                ],
            }
        )
    else:
        for reason in found.warnings:
            note(f"! {reason}: {_WARNINGS[reason]}")
        for kind, count in found.counts.items():
            console.print(f"[bold red]✗[/] {kind}: {count}", soft_wrap=True)
            for where in found.first[kind]:
                console.print(f"    {where}", markup=False, soft_wrap=True)
        if not found.counts:
            done(f"{sum(found.rows.values())} rows in {len(found.rows)} tables, and all holds")
    if found.counts:
        raise typer.Exit(1)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A new file; - is standard output.")],
    as_json: AsJson = False,
) -> None:
    """Write the configured store, as it is at this moment, to one file for `store import`.

    The file holds keys (wrapped) and hashes of credentials: it is made for its owner's eyes only.
    """
    from tracechain.app.archiving import export_store

    if file == _STANDARD:
        with _bar() as told:
            asyncio.run(export_store(_archive(), sys.stdout.buffer, told))
        return
    if file.exists():
        raise Stop("FILE_EXISTS", f"{file} is there already", "Name another file, or remove it.")
    # Under its own name only once it is whole.
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            with _bar() as told:
                sums = asyncio.run(export_store(_archive(), target, told))
            target.flush()
            os.fsync(target.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    _show(sums, file, as_json)
    if not as_json:
        done(f"{file}, {file.stat().st_size} bytes, readable by you alone")
        note("  It holds wrapped keys and hashes of credentials: keep it as you keep the store.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file of `store export`; - is standard input.")],
    as_json: AsJson = False,
) -> None:
    """Fill the configured store, which must be empty, from a file; all of it or nothing.

    Everything is read back and compared with the file before it is kept.
    """
    from tracechain.app.archiving import import_store

    with _source(file) as source, _bar() as told:
        sums = asyncio.run(import_store(_archive(), source, told))
    _show(sums, file, as_json)
    if not as_json:
        done("all tables as read back are what the file holds")


@app.command()
def distribute(
    shards: Annotated[
        int,
        typer.Option(
            min=0, max=64000, help="Parts of each table; 0: as many as there are, or 32 at first."
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Spread the tables of the configured store over the machines of a Citus cluster, by batch_key.

    Once at set-up, and again where a newer release has added a table; what is distributed already
    stays as it is. A table that holds rows is locked while they move: stop the service for that.
    """
    from tracechain import bootstrap
    from tracechain.settings import Settings

    now, before = asyncio.run(bootstrap.distribute_store(Settings(), shards))
    if as_json:
        print_json({"distributed": now, "were_distributed": before})
        return
    if before:
        note(f"  distributed already: {', '.join(before)}")
    done(f"distributed now: {', '.join(now)}" if now else "nothing was left to distribute")


def _archive() -> Archive:
    # Imported here: a command that only calls a server does not pay for one.
    from tracechain import bootstrap
    from tracechain.settings import Settings

    return bootstrap.open_archive(Settings())


@contextmanager
def _source(file: Path) -> Iterator[BinaryIO]:
    if file == _STANDARD:
        yield sys.stdin.buffer
    else:
        with file.open("rb") as source:
            yield source


@contextmanager
def _bar() -> Iterator[Told]:
    """A progress bar with a line for each table."""
    with progress() as bar:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield told


def _show(sums: dict[str, Sum], file: Path, as_json: bool) -> None:
    if as_json:
        tables: dict[str, Any] = {
            name: {"rows": found.rows, "sha256": found.sha256} for name, found in sums.items()
        }
        print_json({"file": str(file), "tables": tables})
        return
    table(
        ("table", "rows", "sha256"),
        [(name, str(found.rows), found.sha256[:16]) for name, found in sums.items()],
        right=("rows",),
    )
