"""`tracechain demo`: the whole service on embedded defaults, and one product's journey through it.

The journey calls the service over gRPC like anybody else, and checks every answer: a demo that
says one thing and shows another ends with status 1.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracechain.cli.connection import AsJson
from tracechain.cli.journey import Journey, Staff, register_operator
from tracechain.cli.output import console, note, print_json

if TYPE_CHECKING:
    from tracechain.settings import Settings


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the journey instead of going on serving.")
    ] = False,
    listen: Annotated[
        str, typer.Option(help="host:port to serve on; port 0 takes a free one.")
    ] = "127.0.0.1:0",
    http_listen: Annotated[
        str, typer.Option(help="host:port of the pages; port 0 takes a free one.")
    ] = "127.0.0.1:0",
    as_json: AsJson = False,
) -> None:
    """Run a product's journey from factory to recall, then go on serving so that one can try it.

    Everything lives in a folder that is removed at the end.
    """
    # Imported here: a command that only calls a server does not pay for one.
    import uvloop

    from tracechain.settings import Settings
    from tracechain.telemetry import configure_logs

    configure_logs("error", "console")
    with tempfile.TemporaryDirectory(prefix="tracechain-demo-") as folder:
        settings = Settings(
            listen=listen,
            http_listen=http_listen,
            data_dir=Path(folder),
            workers=1,
            redis_url="",
            kek_file=None,
        )
        uvloop.run(_run(settings, once=once, as_json=as_json))


async def _run(settings: Settings, *, once: bool, as_json: bool) -> None:
    from tracechain import bootstrap

    app = await bootstrap.build(settings)
    try:
        operator_key = await register_operator(app)
        server = await bootstrap.serve(app)
        address = f"{settings.listen.rpartition(':')[0]}:{server.port}"
        try:
            # The journey blocks as any client's program does; the service has the loop.
            journey = Journey(address, operator_key, quiet=as_json)
            answers, staff = await asyncio.to_thread(journey.run)
            pages = dict(_pages(settings, server.http_port, staff))
            if as_json:
                print_json({"server": address, "pages": pages, "answers": answers})
            if not once:
                _invite(address, staff, pages)
                await _until_stopped()
        finally:
            await server.stop(settings.drain_seconds if not once else 1.0)
    finally:
        await app.close()


def _pages(settings: Settings, port: int, staff: Staff) -> Iterator[tuple[str, str]]:
    """Links to the pages of codes, at the address that this machine can open."""
    if port:
        host = settings.http_listen.rpartition(":")[0]
        for word, code in staff.pages:
            path = code.removeprefix(f"https://{settings.resolver}")
            yield word, f"http://{host}:{port}{path}"


def _invite(address: str, staff: Staff, pages: Mapping[str, str]) -> None:
    command = os.path.relpath(sys.argv[0])
    lines = [
        f"export TRACECHAIN_SERVER={address}",
        f"export TRACECHAIN_API_KEY={staff.issuer_key}   # the distillery",
        f"{command} verify '{staff.fresh_code}' --region 210102 --device my-phone",
        f"{command} trace '{staff.sold_code}'",
        f"{command} issue {staff.gtin}/{staff.lot} 5",
        f"{command} assess {staff.gtin}/{staff.lot}",
    ]
    console.rule("try it yourself, in another terminal")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    if pages:
        console.rule("or open these in a browser")
        for word, link in pages.items():
            console.print(f"{word}:", style="bold")
            console.print(link, markup=False, soft_wrap=True)
    note(f"\nserving on {address}; Ctrl-C ends it")


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
