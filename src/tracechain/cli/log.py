"""`tracechain log`: the transparency log, ours or anybody's."""

from __future__ import annotations

import typer

from tracechain.cli.watch import fork, watch

app = typer.Typer(help="Watch a transparency log, ours or anybody's.", no_args_is_help=True)
app.command()(watch)
app.command()(fork)
