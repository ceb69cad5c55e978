"""`tracechain serve`: see `processes` for what it starts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.output import done, note


def serve(
    listen: Annotated[str, typer.Option(help="host:port; overrides TRACECHAIN_LISTEN.")] = "",
    http_listen: Annotated[
        str | None,
        typer.Option(help="host:port of the pages; overrides TRACECHAIN_HTTP_LISTEN; '': none."),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that share the port; overrides TRACECHAIN_WORKERS.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way and stop.

    Configuration comes from TRACECHAIN_... variables and tracechain.toml: see
    `tracechain config --describe`.
    """
    # Imported here: a command that only calls a server does not pay for one.
    from tracechain.cli import processes
    from tracechain.settings import Settings

    given: dict[str, object] = {}
    if listen:
        given["listen"] = listen
    if http_listen is not None:
        given["http_listen"] = http_listen
    if workers:
        given["workers"] = workers
    settings = Settings(**given)  # type: ignore[arg-type]

    def ready(port: int, http_port: int) -> None:
        address = f"{settings.listen.rpartition(':')[0]}:{port}"
        scheme = "https" if settings.tls_cert else "http"
        host = settings.http_listen.rpartition(":")[0]
        pages = f"{scheme}://{host}:{http_port}" if http_port else ""
        if as_json:
            said = {"listening": address, "http": pages, "workers": settings.workers}
            print(json.dumps(said), flush=True)
        else:
            done("listening on ", (address, "bold"), f", {settings.workers} process(es)")
            if pages:
                done("pages on ", (pages, "bold"))
            note("  stop with Ctrl-C")

    processes.run(settings, ready)
