"""The Heads port in files: of each log the latest note, where tlog-witness names its place.

Promises that a file is whole whenever it is read, and that what was put survives the machine: a
draft is written, synced, renamed, and its folder synced. Holds are locks of the kernel on a file of
their own, so they end with whoever dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracechain.domain.errors import DataCorrupted, InvalidArgument, Unavailable
from tracechain.domain.log.note import MAX_NOTE_BYTES, Note
from tracechain.domain.log.witness import checkpoint_path


class FileHeads:
    """See Heads; below a folder that has to be there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def latest(self, origin: str) -> Note | None:
        """See Heads."""
        self._require()
        path = self._path(origin)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_NOTE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable(error) from None
        try:
            return Note.parse(content)
        except InvalidArgument as error:
            raise DataCorrupted("LOG_STATE_LOST", f"{path}: {error.message}") from None

    @contextmanager
    def held(self, origin: str) -> Iterator[None]:
        """See Heads."""
        self._require()
        try:
            handle = os.open(
                self._path(origin).parent.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600
            )
        except OSError as error:
            raise _unavailable(error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def put(self, origin: str, note: Note) -> None:
        """See Heads."""
        path = self._path(origin)
        try:
            if not path.parent.exists():
                path.parent.mkdir()
                sync_folder(self._folder)
            write_durably(path, note.encode(), 0o644)
        except OSError as error:
            raise _unavailable(error) from None

    def _path(self, origin: str) -> Path:
        return self._folder / checkpoint_path(origin)

    def _require(self) -> None:
        if not self._folder.is_dir():
            raise DataCorrupted(
                "LOG_STATE_LOST", f"there is no {self._folder}, where what was signed is kept"
            )


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


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(
        "LOG_STATE_UNAVAILABLE", f"{error.filename or 'the state of the log'}: {error.strerror}"
    )
