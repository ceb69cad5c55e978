"""The service as a process that a test may kill: forked from one that has imported it all.

`Nursery` is that process; `await nursery.node(folder)` gives a Node that serves from a folder, a
tenth of a second later. Whatever was forked ends when the nursery does, and the nursery ends when
the test does: both watch a pipe. Only loopback, only processes that were started here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tests.support.service import NO_LIMITS, RESOLVER, TIMEOUT, Caller, channel_to, gln_of, uscc_of
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.text import LocalizedText

ISSUER, HANDLER, OPERATOR = gln_of(2), gln_of(3), gln_of(1)
_PARTIES = {
    "issuer": (ISSUER, PartyKind.ISSUER, Role.ISSUER),
    "handler": (HANDLER, PartyKind.DISTRIBUTOR, Role.HANDLER),
    "operator": (OPERATOR, PartyKind.REGULATOR, Role.OPERATOR),
}


class NotServing(Exception):
    """A node that did not come up; says what it said."""


@dataclass
class Node:
    """A process that serves."""

    folder: Path
    pid: int
    channel: grpc.aio.Channel
    issuer: Caller
    handler: Caller
    operator: Caller
    nobody: Caller

    async def kill(self) -> None:
        """SIGKILL; returns once the process is no more."""
        await kill(self.pid)
        await self.channel.close()


async def kill(pid: int) -> None:
    """SIGKILL: the process does nothing more, not even an orderly close. Returns once it is gone;
    harmless where it is."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(TIMEOUT):
        while is_alive(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Nursery:
    """The process that nodes are forked from."""

    process: subprocess.Popen[str]
    nodes: list[Node] = field(default_factory=list)

    async def spawn(self, folder: Path, **fields: Any) -> int:
        """Begins a node; gives its pid. It is not serving yet."""
        order = {"folder": str(folder), "settings": fields}
        return int((await asyncio.to_thread(self._ask, json.dumps(order)))["pid"])

    async def ready(self, folder: Path, pid: int) -> Node:
        """The node that was begun, once it serves. Raises NotServing."""
        said = await _said(folder / f"node-{pid}.json", pid)
        if "error" in said:
            raise NotServing(said["error"])
        channel = channel_to(f"127.0.0.1:{said['port']}")
        callers = {
            name: Caller(channel, gln, role, said["keys"][name])
            for name, (gln, _, role) in _PARTIES.items()
        }
        node = Node(folder, pid, channel, nobody=Caller(channel, "", None, ""), **callers)
        self.nodes.append(node)
        return node

    async def node(self, folder: Path, **fields: Any) -> Node:
        """A node that serves from a folder; further settings by their names."""
        return await self.ready(folder, await self.spawn(folder, **fields))

    @asynccontextmanager
    async def serving(self, folder: Path, **fields: Any) -> AsyncIterator[Node]:
        """A node, killed at the end."""
        node = await self.node(folder, **fields)
        try:
            yield node
        finally:
            await node.kill()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


async def _said(file: Path, pid: int) -> dict[str, Any]:
    async with asyncio.timeout(TIMEOUT):
        while not file.exists():  # noqa: ASYNC240
            if not is_alive(pid):
                return {"error": f"process {pid} is gone"}
            await asyncio.sleep(0.002)
    found: dict[str, Any] = json.loads(file.read_text())  # noqa: ASYNC240
    return found


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery; it and its nodes are gone at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.node"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    try:
        yield Nursery(process)
    finally:
        process.communicate(timeout=TIMEOUT)


def _tend() -> None:
    """The nursery: forks a node for each line, and takes them all with it when lines end."""
    import tracechain.bootstrap  # noqa: F401

    # The kernel buries the dead, so that a test can see that they are gone.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    leash, held = os.pipe()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.close(held)
            _live(Path(order["folder"]), order["settings"], leash)
            os._exit(0)
        print(json.dumps({"pid": pid}), flush=True)


def _live(folder: Path, fields: dict[str, Any], leash: int) -> None:
    """A node's whole life."""
    import uvloop

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 2)
    os.dup2(2, 1)
    try:
        uvloop.run(_serve(folder, fields, leash))
    except Exception as error:
        _say(folder, {"error": getattr(error, "reason", repr(error))})


async def _serve(folder: Path, fields: dict[str, Any], leash: int) -> None:
    from tracechain import bootstrap
    from tracechain.settings import Settings

    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(leash, stop.set)
    app = await bootstrap.build(
        Settings(
            **{  # type: ignore[arg-type]
                "data_dir": folder,
                "listen": "127.0.0.1:0",
                "http_listen": "",
                "resolver": RESOLVER,
                **NO_LIMITS,
                "four_eyes": "",
                **fields,
            }
        )
    )
    kept = folder / "keys.json"
    keys = json.loads(kept.read_text()) if kept.exists() else {}
    for number, (name, (gln, kind, role)) in enumerate(_PARTIES.items(), 1):
        if name not in keys:
            text = LocalizedText(f"{name}公司", name)
            await app.store.put_party(Party(gln, uscc_of(number), "210102", kind, text))
            # A node that died here made one whose secret is lost: then it makes another.
            label = f"{name} {os.getpid()}"
            _, keys[name] = await app.credentials.create(gln, role, "", label, label)
    _replace(kept, keys)
    server = await bootstrap.serve(app)
    _say(folder, {"port": server.port, "keys": keys})
    await stop.wait()
    os._exit(0)


def _say(folder: Path, said: dict[str, Any]) -> None:
    _replace(folder / f"node-{os.getpid()}.json", said)


def _replace(file: Path, content: dict[str, Any]) -> None:
    """Writes a file whole or not at all."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(file)


if __name__ == "__main__":
    _tend()
