"""Where labels are written: one file, a zip archive, or a folder; whole or not at all.

Everything goes beside its place first and is moved there at the end: a run that failed leaves
nothing that looks like a roll of labels and is half of one.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol

from tracechain.cli.failure import Stop
from tracechain.domain.label import LabelFormat


class LabelFiles(Protocol):
    """Takes parts of files, one file after the other."""

    def add(self, name: str, data: bytes) -> None:
        """Appends to the file of this name."""


@contextmanager
def label_files(path: Path, format: LabelFormat) -> Iterator[LabelFiles]:
    """Files of a format at `path`: a file for PDF and ZPL, else a zip archive or a folder.

    Only the owner may read them: there may be PINs on them. Raises Stop FILE_EXISTS.
    """
    if path.exists():
        raise Stop("FILE_EXISTS", f"{path} exists; nothing is written over", "Name another.")
    beside = path.with_name(path.name + ".part")
    _remove(beside)
    try:
        with ExitStack() as stack:
            if format.has_pages:
                yield _One(stack.enter_context(_owned(beside)))
            elif path.suffix == ".zip":
                archive = zipfile.ZipFile(stack.enter_context(_owned(beside)), "w")
                yield stack.enter_context(_Zip(stack.enter_context(archive)))
            else:
                beside.mkdir(0o700, parents=True)
                yield stack.enter_context(_Folder(beside))
        beside.rename(path)
    except BaseException:
        _remove(beside)
        raise


def _owned(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _One:
    """All in one file, whatever it is called."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, name: str, data: bytes) -> None:
        self._file.write(data)


class _Many:
    """A file for each name; the last is open until the next begins."""

    def __init__(self) -> None:
        self._name = ""
        self._open: IO[bytes] | None = None

    def __enter__(self) -> LabelFiles:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()

    def add(self, name: str, data: bytes) -> None:
        if name != self._name or self._open is None:
            self.__exit__()
            # A name comes from a server: it stays within the folder.
            self._name, self._open = name, self._begin(Path(name).name)
        self._open.write(data)

    def _begin(self, name: str) -> IO[bytes]:
        raise NotImplementedError


class _Folder(_Many):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _begin(self, name: str) -> IO[bytes]:
        return (self._path / name).open("wb")


class _Zip(_Many):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        super().__init__()
        self._archive = archive

    def _begin(self, name: str) -> IO[bytes]:
        # A fixed date: the same labels are the same archive.
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        return self._archive.open(info, "w")
