"""Files that are whole or not there, whoever is killed while they are written.

A checkpoint that is kept by half, or before the tiles that it speaks of, would make a sound copy
look like a false one, and a watch forget what it saw.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracechain.domain.errors import FailedPrecondition

# So many files at most are made to last one by one; the disk takes a turn for each.
_FEW = 64


def replace(path: Path, content: bytes, draft: Path, *, lasting: bool = True) -> None:
    """Gives a file this content in one step. It is written at `draft`, in the same file system,
    where nobody else writes. With `lasting` a power cut finds the old content or the new one, and
    the new one after `sync` of the folder; without, anything until `sync` of both."""
    with draft.open("wb") as file:
        file.write(content)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    os.replace(draft, path)


def sync(paths: Collection[Path]) -> None:
    """What these files and folders hold by now outlasts a power cut."""
    if len(paths) > _FEW:
        os.sync()
        return
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
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
