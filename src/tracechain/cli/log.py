"""`tracechain log`: the keys of our log's checkpoints, and their signer; and (`watch.py`) a look at
anybody's log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.failure import Stop
from tracechain.cli.log_check import check
from tracechain.cli.output import console, done, note, print_json
from tracechain.cli.watch import fork, watch

if TYPE_CHECKING:
    from tracechain.domain.log.note import VerifierKey
    from tracechain.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="The transparency log: who signs its checkpoints, and whether a log is what it says.",
)
app.command()(check)
app.command()(watch)
app.command()(fork)
app.command()(check)

Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="The signer's folder; by default TRACECHAIN_LOG_SIGNER_DIR."),
]


@app.command()
def init(
    origin: Annotated[
        str, typer.Option(help="The log's name, for ever; by default TRACECHAIN_LOG_ORIGIN.")
    ] = "",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Make the keys of a new log, and a signer's state that signed nothing yet.

    The keys are wrapped under the key-encryption key that the settings name, else under one that
    is made beside them. The service does this by itself where it runs its own signer.
    """
    from tracechain.bootstrap import log as bootstrap_log

    settings = _settings()
    where = folder or bootstrap_log.log_signer_dir(settings)
    if not bootstrap_log.make_log_signer(settings, where, origin):
        raise Stop("LOG_KEY_EXISTS", f"{where} is there already", "Choose another: --dir.")
    _show(bootstrap_log.log_keys(where), as_json, made=str(where))


@app.command()
def key(folder: Folder = None, as_json: AsJson = False) -> None:
    """Print the log's verifier keys, for the `log` lines of policies (C2SP tlog-policy)."""
    from tracechain.bootstrap import log as bootstrap_log

    where = folder or bootstrap_log.log_signer_dir(_settings())
    _show(bootstrap_log.log_keys(where), as_json)


@app.command()
def sign(
    listen: Annotated[
        str, typer.Option(help="unix:/path, or host:port of loopback, which others here can ask.")
    ],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Sign checkpoints for a service that names this address as TRACECHAIN_LOG_SIGNER.

    Under a user of its own nobody who takes over the service gets the keys, or the state by which
    this refuses a history that does not continue the signed one.
    """
    from tracechain.bootstrap import log as bootstrap_log
    from tracechain.cli.desk import serve_desk

    settings = _settings()
    where = folder or bootstrap_log.log_signer_dir(settings)
    desk = bootstrap_log.log_signer_desk(settings, where)
    serve_desk(settings, desk, listen, as_json=as_json)


@app.command()
def adopt(
    checkpoint: Annotated[
        Path, typer.Argument(help="The latest checkpoint that anybody has: of the log, a witness.")
    ],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Restore the signer's state, where it was lost and the keys were not.

    The signer will sign whatever continues this checkpoint. If a later one was signed, the log gets
    two histories, and whoever has seen the other one will say so.
    """
    from tracechain.bootstrap import log as bootstrap_log

    settings = _settings()
    where = folder or bootstrap_log.log_signer_dir(settings)
    found = bootstrap_log.adopt_checkpoint(settings, where, checkpoint.read_bytes())
    if as_json:
        return print_json({"origin": found.origin, "size": found.size})
    return done("what was signed last is now a tree of ", (str(found.size), "bold"), " leaves")


def _settings() -> Settings:
    # Imported here: a command that only calls a server does not pay for one.
    from tracechain.settings import Settings

    return Settings()


def _show(keys: list[VerifierKey], as_json: bool, made: str = "") -> None:
    if as_json:
        return print_json({"origin": keys[0].name, "vkeys": [str(key) for key in keys]})
    if made:
        done("made the keys of ", (keys[0].name, "bold"), f" in {made}")
    for one in keys:
        console.print(str(one), markup=False, soft_wrap=True)
    if made:
        note("  Publish these keys apart from the log: they are what it is verified by.")
    return None
