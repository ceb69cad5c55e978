"""Files that are whole or not there, whoever is killed while they are written.

A checkpoint that is kept by half, or before the tiles that it speaks of, would make a sound copy
look like a false one, and a watch forget what it saw.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracechain.domain.errors import FailedPrecondition


def replace(path: Path, content: bytes, draft: Path) -> None:
    """Gives a file this content in one step, once the disk has it; until then it lies at `draft`,
    in the same file system, where nobody else writes. The name lasts after `sync_folders`."""
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def sync_folders(folders: Iterable[Path]) -> None:
    """What these folders hold by now outlasts a power cut."""
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps a folder, which is made where it is missing, from all others that hold theirs; the
    kernel lets go of it when the process ends. Raises FailedPrecondition FOLDER_IN_USE."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FailedPrecondition(
                "FOLDER_IN_USE", f"another process works in {folder}"
            ) from None
        yield
