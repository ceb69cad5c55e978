"""`tracechain witness`: a witness of transparency logs, ours or others'."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.failure import Stop
from tracechain.cli.output import console, done, note, print_json

app = typer.Typer(
    help="Witness logs: cosign the checkpoints that continue what was cosigned before.",
    invoke_without_command=True,
)

KeyFile = Annotated[Path | None, typer.Option(help="The file of the witness's keys.")]
State = Annotated[
    Path | None, typer.Option(help="The folder of what was cosigned last. Losing it is a breach.")
]


@app.callback()
def witness(
    context: typer.Context,
    key_file: KeyFile = None,
    state: State = None,
    policy: Annotated[
        Path | None, typer.Option(help="A tlog-policy file whose `log` lines are witnessed.")
    ] = None,
    log: Annotated[
        list[str] | None, typer.Option(help="A log's verifier key (vkey); may be repeated.")
    ] = None,
    listen: Annotated[
        str, typer.Option(help="host:port, or unix:/path; others than loopback need TLS in front.")
    ] = "127.0.0.1:8090",
    as_json: AsJson = False,
) -> None:
    """Speak C2SP tlog-witness: POST /add-checkpoint, and GET /ORIGIN-HASH/checkpoint."""
    if context.invoked_subcommand is not None:
        return
    from tracechain.bootstrap import log as bootstrap_log
    from tracechain.cli.desk import serve_desk
    from tracechain.settings import Settings

    if key_file is None or state is None:
        raise Stop(
            "WITNESS_NEEDS", "a witness needs --key-file and --state",
            "Make them: `tracechain witness init NAME --key-file … --state …`.",
        )  # fmt: skip
    settings = Settings()
    known = bootstrap_log.witnessed_logs(policy.read_bytes() if policy else None, log or ())
    if not known:
        raise Stop("WITNESS_NEEDS", "no log is named", "Name one: --policy FILE or --log VKEY.")
    desk = bootstrap_log.witness_app(settings, key_file, state, known)
    serve_desk(settings, desk, listen, as_json=as_json)


@app.command()
def init(
    name: Annotated[
        str, typer.Argument(help="The witness's name: an address without scheme, for ever.")
    ],
    key_file: Annotated[Path, typer.Option(help="Where to put the keys.")],
    state: Annotated[Path, typer.Option(help="The folder to keep what was cosigned last in.")],
    as_json: AsJson = False,
) -> None:
    """Make a witness's keys and its empty state, and print its verifier keys for policies.

    The keys are wrapped under the key-encryption key that the settings name, else under one that
    is made beside them.
    """
    from tracechain.bootstrap import log as bootstrap_log
    from tracechain.settings import Settings

    if key_file.exists() or state.exists():
        there = key_file if key_file.exists() else state
        raise Stop("LOG_KEY_EXISTS", f"{there} is there already", "Choose others.")
    keys = bootstrap_log.make_witness(Settings(), name, key_file, state)
    if as_json:
        return print_json({"name": name, "vkeys": [str(key) for key in keys]})
    done("made the witness ", (name, "bold"))
    for key in keys:
        console.print(str(key), markup=False, soft_wrap=True)
    return note("  These go into the `witness` lines of policies, with the address it listens on.")
