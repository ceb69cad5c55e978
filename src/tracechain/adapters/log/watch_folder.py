"""What a watch knows, as a folder: `state.json`, and evidence in a folder of its own.

Promises that what was put is there after any kill or power cut, whole. A watch without its memory
would take the next history that it is shown for the only one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from tracechain.adapters.log.durable import held
from tracechain.adapters.log.evidence import keep, keep_fork
from tracechain.app.log.watching import Memory
from tracechain.domain.errors import DataCorrupted
from tracechain.domain.log.fork import Fork
from tracechain.domain.log.note import Note

_FORM = "tracechain.log.watch/v1"


class WatchFolder:
    """See tracechain.app.log.watching.Notebook."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "state.json"
        self._evidence = folder / "evidence"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other watches away. Raises FailedPrecondition FOLDER_IN_USE."""
        with held(self._folder):
            yield

    async def memory(self) -> Memory | None:
        """See Notebook."""
        try:
            data = await asyncio.to_thread(self._state.read_bytes)
        except FileNotFoundError:
            return None
        try:
            said: Any = json.loads(data)
            form, note, alive = said["form"], said["note"], said["alive"]
        except (ValueError, KeyError, TypeError):
            raise self._damaged() from None
        good = form == _FORM and isinstance(note, str | None) and type(alive) is int
        if not good or alive < 0:
            raise self._damaged()
        try:
            return Memory(None if note is None else note.encode(), alive)
        except UnicodeEncodeError:
            raise self._damaged() from None

    async def put_memory(self, memory: Memory) -> None:
        """See Notebook."""
        note = None if memory.note is None else memory.note.decode()
        said = {"form": _FORM, "note": note, "alive": memory.alive}
        content = (json.dumps(said, indent=2) + "\n").encode()
        await asyncio.to_thread(keep, self._state, content)

    async def keep(self, fork: Fork) -> str:
        """See Notebook."""
        return await asyncio.to_thread(keep_fork, self._evidence, fork)

    async def keep_rollback(self, known: Note, found: Note) -> str:
        """See Notebook."""
        name = sha256((known.text + found.text).encode()).hexdigest()[:16]
        folder = self._evidence / f"rollback-{name}"

        def put() -> None:
            for file, note in (("known", known), ("found", found)):
                if not (folder / file).exists():
                    keep(folder / file, note.encode())

        await asyncio.to_thread(put)
        return str(folder)

    async def forks(self) -> list[str]:
        """See Notebook."""
        return await asyncio.to_thread(
            lambda: sorted(str(path) for path in self._evidence.glob("fork-*.json"))
        )

    def _damaged(self) -> DataCorrupted:
        return DataCorrupted("STATE_DAMAGED", f"{self._state} is not what a watch wrote")
