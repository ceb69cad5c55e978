"""`tracechain log`: the transparency log."""

from __future__ import annotations

import typer

from tracechain.cli.log_check import check

app = typer.Typer(help="The transparency log.", no_args_is_help=True)
app.command()(check)
