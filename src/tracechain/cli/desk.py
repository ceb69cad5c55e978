"""A signer or a witness as a process: serves one desk until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import structlog

from tracechain import garbage
from tracechain.bootstrap import log as bootstrap_log
from tracechain.bootstrap.log import Asgi
from tracechain.cli.output import done, note
from tracechain.settings import Settings
from tracechain.telemetry import configure_logs

_LOG = structlog.get_logger(__name__)


def serve_desk(settings: Settings, desk: Asgi, listen: str, *, as_json: bool) -> None:
    """Serves until SIGTERM or Ctrl-C, and finishes what is under way. A line on standard output
    says where, once it listens. Raises Unavailable PORT_TAKEN, PLAINTEXT_REFUSED."""
    configure_logs(settings.log_level, settings.log_format)
    asyncio.run(_serve(settings, desk, listen, as_json))


async def _serve(settings: Settings, desk: Asgi, listen: str, as_json: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = bootstrap_log.desk_server(settings, desk, listen)
    await server.start()
    garbage.settle()
    where = listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{server.port}"
    if as_json:
        print(json.dumps({"listening": where}), flush=True)
    else:
        done("listening on ", (where, "bold"))
        note("  stop with Ctrl-C")
    await stopped.wait()
    await server.stop(settings.drain_seconds)
    _LOG.info("stopped", pid=os.getpid())
