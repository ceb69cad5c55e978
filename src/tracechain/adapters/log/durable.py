"""Many files at a time, each whole or not there whoever is killed; and a folder for one process.

`log_heads.write_durably` is for one file at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tracechain.adapters.log_heads import sync_folder
from tracechain.domain.errors import FailedPrecondition

# So many are made to last one by one; the disk takes a turn for each.
_FEW = 64


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
