"""The command line: `tracechain`.

Every command prints for people, or with `--json` one JSON document for programs. A failure says
what was wrong and what to do about it, on standard error, and ends with status 1; 2 is a command
that was called wrongly. A verdict is an answer, not a failure, whatever it says.
"""

from __future__ import annotations

import sys

import typer

from tracechain.cli import (
    approvals,
    assess,
    audit,
    capture,
    config,
    demo,
    events,
    issue,
    keys,
    labels,
    links,
    log,
    mirror,
    recall,
    register,
    reports,
    serve,
    store,
    trace,
    verify,
    witness,
)
from tracechain.cli.failure import explain, report

app = typer.Typer(
    name="tracechain",
    help="Signed product codes, supply-chain events, and verification at scan time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Every command has --help, and --json for programs.",
)
app.command()(serve.serve)
app.command()(demo.demo)
app.add_typer(register.app, name="register")
app.command()(issue.issue)
app.command()(labels.labels)
app.command()(capture.capture)
app.command()(events.events)
app.command()(verify.verify)
app.command()(verify.claim)
app.command()(trace.trace)
app.command()(assess.assess)
app.add_typer(recall.app, name="recall")
app.add_typer(links.app, name="links")
app.add_typer(reports.app, name="reports")
app.add_typer(keys.app, name="keys")
app.add_typer(approvals.app, name="approvals")
app.add_typer(audit.app, name="audit")
app.add_typer(store.app, name="store")
app.add_typer(log.app, name="log")
app.command()(mirror.mirror)
app.add_typer(witness.app, name="witness")
app.command()(config.config)


def main() -> None:
    """Runs a command; what goes wrong becomes words and a status."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing more can be said to it.
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        report(failure, as_json="--json" in sys.argv)
        sys.exit(1)
