"""Files that are whole or not there whoever is killed, one and many; and a folder for one process.

Promises that what was written outlasts a power cut: one file once `write_durably` returns, many
files after `sync`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracechain.domain.errors import FailedPrecondition

# So many are made to last one by one; the disk takes a turn for each.
_FEW = 64


def write_durably(path: Path, content: bytes, mode: int) -> None:
    """Replaces a file, whole or not at all; it survives the machine once this returns. One at a
    time of a process for a path. Raises OSError; the file is then as before, or as it was to be."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes durable which files are in a folder. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(path: Path, content: bytes, draft: Path) -> None:
    """Gives a file this content in one step. It is written at `draft`, in the same file system,
    where nobody else writes. A power cut leaves anything, until `sync` of it and its folder."""
    draft.write_bytes(content)
    os.replace(draft, path)


def sync(paths: Collection[Path]) -> None:
    """What these files and folders hold by now outlasts a power cut."""
    if len(paths) > _FEW:
        os.sync()
        return
    for path in paths:
        sync_folder(path)


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
