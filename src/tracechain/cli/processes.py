"""The service as processes: one, or several that share the port.

With several workers this process only watches: it makes what is made once (the store's schema,
the key-encryption key), starts the workers, starts one anew that died, and passes a stop on. A
worker whose supervisor is gone stops by itself, so that no orphan keeps the port.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnProcess

import structlog
import uvloop

from tracechain import bootstrap, garbage
from tracechain.cli.failure import Stop, explain, report
from tracechain.settings import Settings
from tracechain.telemetry import configure_logs

_LOG = structlog.get_logger(__name__)
# A worker that dies younger than this is started again only after the pause.
_YOUNG = 5.0
_MAX_PAUSE = 30.0

_SPAWN = multiprocessing.get_context("spawn")


# Told the ports of gRPC and of HTTP (0: none) once all is served.
Ready = Callable[[int, int], None]


def run(settings: Settings, ready: Ready) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises Stop, TracechainError."""
    configure_logs(settings.log_level, settings.log_format)
    if settings.workers > 1:
        _supervise(settings, ready)
        return
    for held, _ in _hold_ports(settings, shared=False).values():
        held.close()
    uvloop.run(serve_until_stopped(settings, ready))


async def serve_until_stopped(settings: Settings, ready: Ready, leash: Pipe | None = None) -> None:
    """One process's service until a signal, or until the other end of `leash` is closed; a
    process on a leash shares its port with others."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if leash is not None:
        loop.add_reader(leash.fileno(), stopped.set)
    app = await bootstrap.build(settings)
    try:
        server = await bootstrap.serve(app, shared_port=leash is not None)
        garbage.settle()
        _LOG.info(
            "serving",
            listen=settings.listen,
            port=server.port,
            http_listen=settings.http_listen,
            http_port=server.http_port,
            pid=os.getpid(),
        )
        ready(server.port, server.http_port)
        await stopped.wait()
        if leash is not None:
            loop.remove_reader(leash.fileno())
        _LOG.info("draining", seconds=settings.drain_seconds)
        await server.stop(settings.drain_seconds)
    finally:
        await app.close()
    _LOG.info("stopped", pid=os.getpid())


def _work(settings: Settings, leash: Pipe, ready: Pipe) -> None:
    """The life of a worker process."""
    configure_logs(settings.log_level, settings.log_format, worker=os.getpid())
    try:
        uvloop.run(serve_until_stopped(settings, lambda *ports: ready.send(ports), leash))
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        report(failure, as_json=settings.log_format == "json")
        raise SystemExit(1) from None


class _Worker:
    """A worker process on its leash: closing our end of the pipe tells it to stop."""

    def __init__(self, settings: Settings) -> None:
        theirs, self._ours = _SPAWN.Pipe(duplex=False)
        self.ready, answer = _SPAWN.Pipe(duplex=False)
        self.started = time.monotonic()
        self.process: SpawnProcess = _SPAWN.Process(
            target=_work, args=(settings, theirs, answer), name="tracechain-worker"
        )
        self.process.start()
        theirs.close()
        answer.close()

    def stop(self) -> None:
        self._ours.close()


def _supervise(settings: Settings, ready: Ready) -> None:
    asyncio.run(_prepare(settings))
    ports = _hold_ports(settings, shared=True)
    listens = {name: listen for name, (_, listen) in ports.items()}
    own = settings.model_copy(update={**listens, "workers": 1})
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    workers = [_Worker(own) for _ in range(settings.workers)]
    try:
        for worker in workers:
            _await_ready(worker)
        numbers = {name: int(listen.rpartition(":")[2]) for name, listen in listens.items()}
        ready(numbers["listen"], numbers.get("http_listen", 0))
        pause = 0.0
        while not stopping:
            time.sleep(0.1)
            for at, worker in enumerate(workers):
                if worker.process.is_alive() or stopping:
                    continue
                young = time.monotonic() - worker.started < _YOUNG
                pause = min(max(pause * 2, 0.5), _MAX_PAUSE) if young else 0.0
                _LOG.error("worker_died", exit=worker.process.exitcode, restart_after=pause)
                worker.stop()
                time.sleep(pause)
                workers[at] = _Worker(own)
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.process.join(settings.drain_seconds + 10)
            if worker.process.is_alive():
                worker.process.kill()
        for held, _ in ports.values():
            held.close()


async def _prepare(settings: Settings) -> None:
    """What must not be made by several at once: the key-encryption key and the schema."""
    await (await bootstrap.build(settings)).close()


def _hold_ports(settings: Settings, *, shared: bool) -> dict[str, tuple[socket.socket, str]]:
    """The ports that the settings name, by setting. Raises as `_hold_port` does."""
    held: dict[str, tuple[socket.socket, str]] = {}
    try:
        for name in ("listen", "http_listen", "mtls_listen"):
            if listen := getattr(settings, name):
                held[name] = _hold_port(name, listen, shared=shared)
    except Stop:
        for opened, _ in held.values():
            opened.close()
        raise
    return held


def _hold_port(name: str, listen: str, *, shared: bool) -> tuple[socket.socket, str]:
    """Keeps the port for the workers without listening: none is lost between two of them, and
    port 0 becomes the same number for all. Raises Stop PORT_TAKEN, INVALID_SETTING."""
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise Stop("INVALID_SETTING", f"{name}: {listen} is not of the form host:port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Alone first: a port that others share already is taken, not ours to share.
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host.strip("[]"), int(port)))
        if shared:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((host.strip("[]"), int(port)))
    except (OSError, OverflowError):
        held.close()
        raise Stop(
            "PORT_TAKEN",
            f"cannot listen on {listen}",
            f"Choose another: --{name.replace('_', '-')} host:port.",
        ) from None
    return held, f"{host}:{held.getsockname()[1] if shared else port}"


def _await_ready(worker: _Worker) -> None:
    try:
        worker.ready.recv()
    except EOFError:
        raise Stop("WORKER_FAILED", "a worker could not start; its own words are above") from None
