"""The copy of a log as a folder that any file server can serve.

Promises that at every moment, whoever is killed, the folder is the whole tree of its `checkpoint`:
each file is there whole or not at all, and a checkpoint only after all its tiles. What is not the
log's lies in `.mirror`: the checkpoint that is being fetched, and evidence.

C2SP tlog-tiles, sections APIs and Partial Tiles: a partial tile stays until the full one is there,
for readers who hold an older checkpoint.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracechain.adapters.log.durable import held, replace, sync
from tracechain.adapters.log.evidence import keep_fork
from tracechain.adapters.log_heads import write_durably
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.fork import Fork
from tracechain.domain.log.tiles import WIDTH, Bundle, Tile, encode_entries


class MirrorFolder:
    """See tracechain.app.log.mirroring.Copy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = folder / ".mirror"
        self._drafts = self._own / "drafts"
        self._pending = self._own / "pending"
        self._checkpoint = folder / "checkpoint"
        # Files and folders that may not be on the disk yet, and folders of partial ones that are
        # over once they are.
        self._touched: set[Path] = set()
        self._over: set[Path] = set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other mirrors away. Raises FailedPrecondition FOLDER_IN_USE."""
        with held(self._own):
            # What was being written when a process was killed.
            shutil.rmtree(self._drafts, ignore_errors=True)
            for draft in self._own.glob("pending.*"):
                draft.unlink()
            self._drafts.mkdir()
            yield

    async def checkpoint(self) -> bytes | None:
        """See Copy."""
        return await asyncio.to_thread(_content, self._checkpoint)

    async def pending(self) -> bytes | None:
        """See Copy."""
        return await asyncio.to_thread(_content, self._pending)

    async def read(self, item: Tile | Bundle) -> bytes | None:
        """See Copy."""
        return await asyncio.to_thread(self._read, item)

    async def put(self, item: Tile | Bundle, content: bytes) -> None:
        """See Copy."""
        await asyncio.to_thread(self._put, item, content)

    async def confirm(self, item: Tile | Bundle) -> None:
        """See Copy."""
        self._touch(item)

    async def put_pending(self, note: bytes) -> None:
        """See Copy."""
        await asyncio.to_thread(self._put_pending, note)

    async def publish(self) -> None:
        """See Copy."""
        await asyncio.to_thread(self._publish)

    async def keep(self, fork: Fork) -> str:
        """See Copy."""
        return await asyncio.to_thread(keep_fork, self._own / "evidence", fork)

    def _read(self, item: Tile | Bundle) -> bytes | None:
        content = _content(self._folder / item.path)
        if content is None and item.width < WIDTH:
            return self._of_full(item)
        return content

    def _of_full(self, item: Tile | Bundle) -> bytes | None:
        """A partial one from the full one that took its place; None where there is none."""
        full = Tile(item.level, item.index) if isinstance(item, Tile) else Bundle(item.index)
        content = _content(self._folder / full.path)
        if content is None:
            return None
        try:
            if isinstance(full, Tile):
                return b"".join(full.some(content, 0, item.width))
            return encode_entries(full.entries(content)[: item.width])
        except InvalidArgument:
            return None  # damaged, so it is not there

    def _put(self, item: Tile | Bundle, content: bytes) -> None:
        path = self._folder / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not lasting one by one: until it is published it is proved again before it is believed.
        replace(path, content, self._drafts / item.path.replace("/", "-"))
        self._touch(item)

    def _put_pending(self, note: bytes) -> None:
        write_durably(self._pending, note, 0o644)

    def _publish(self) -> None:
        touched, self._touched = self._touched, set()
        over, self._over = self._over, set()
        sync([path for path in touched if path.exists()])
        for folder in over:
            shutil.rmtree(folder, ignore_errors=True)
        self._pending.replace(self._checkpoint)
        sync([self._folder, self._own])

    def _touch(self, item: Tile | Bundle) -> None:
        path = self._folder / item.path
        self._touched.add(path)
        # A folder that was made is a name in the one above it.
        self._touched.update(up for up in path.parents if up.is_relative_to(self._folder))
        if item.width == WIDTH:
            self._over.add(path.with_name(f"{path.name}.p"))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
