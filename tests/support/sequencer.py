"""A process that continues a log and stops dead at one step.

It says when it is there, and hangs until it is killed. Steps are the calls of the LogStore port,
before and after ("written, but the answer is lost"), and the drawing of the n-th salt, which is in
the middle of a transaction.
"""

from __future__ import annotations

import asyncio
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.stores import RULES
from tracechain.adapters.postgres import open_store as open_postgres
from tracechain.adapters.sqlite import open_store
from tracechain.app.log.sequencing import Sequencing
from tracechain.app.ports import Store
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.note import Note, NoteSigner

STEPS = (
    "before take_log_lease", "after take_log_lease", "before sequence", "salt 1", "salt 30",
    "after sequence", "before put_checkpoint", "after put_checkpoint",
)  # fmt: skip


def signed(head: Head) -> bytes:
    """A checkpoint of a tree, by a key that is nobody's."""
    signer = NoteSigner("localhost/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    text = Checkpoint("localhost/log", head.size, head.root).text
    return Note(text, (signer.sign(text),)).encode()


def hang() -> None:
    """Says that it is there, and is there for good."""
    os.write(1, b"r")
    time.sleep(600)


class _Stops:
    """A store that hangs at a step."""

    def __init__(self, store: Store, step: str) -> None:
        self._store = store
        self._step = step

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def stopping(*arguments: Any) -> Any:
            if self._step == f"before {name}":
                hang()
            result = await call(*arguments)
            if self._step == f"after {name}":
                hang()
            return result

        return stopping


async def open_at(place: str, step: str = "") -> Store:
    """The store at a path or URL, which hangs at a step."""
    drawn = 0

    def salts(count: int) -> bytes:
        nonlocal drawn
        drawn += count == 32
        if step == f"salt {drawn}":
            hang()
        return os.urandom(count)

    if place.startswith("postgres"):
        return await open_postgres(place, RULES, connections=4, random_bytes=salts)
    return await open_store(Path(place), RULES, busy_seconds=20, random_bytes=salts)


async def main(place: str, step: str) -> None:
    """Continues the log until it hangs."""
    store = _Stops(await open_at(place, step), step)

    async def publish(fence: int, head: Head) -> None:
        await store.put_checkpoint(fence, head.size, signed(head))

    sequencing = Sequencing(
        store,  # type: ignore[arg-type]
        publish, lambda: time.time_ns() // 1000, f"child {os.getpid()}", group=25,
    )  # fmt: skip
    while True:
        await sequencing.turn()
        await asyncio.sleep(0.01)


def run(place: str, step: str, out: Connection) -> None:
    """What the process does; it says one byte to `out`."""
    os.dup2(out.fileno(), 1)
    asyncio.run(main(place, step))
