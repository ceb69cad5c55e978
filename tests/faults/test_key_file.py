"""The file of the key-encryption key: whole or not there, whoever dies or looks while it is made.

Without it every issuer key is unusable, so a start that was cut off must not leave half of one,
and of processes that start together all must end up with the same.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tracechain.adapters.kek import kek_from_file
from tracechain.domain.errors import Unavailable


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the key is to be."""
    return tmp_path / "data" / "kek"


@pytest.mark.parametrize("moment", ["fdopen", "fsync", "link", "unlink"])
def test_a_start_that_is_cut_off_leaves_a_whole_key_or_none(
    file: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, die)
        with pytest.raises(Killed):
            kek_from_file(file, create=True)
    left = file.read_bytes() if file.exists() else None
    key = kek_from_file(file, create=True)
    assert left in (None, file.read_bytes())
    assert kek_from_file(file, create=False).kek_id == key.kek_id
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_is_made_once_and_nothing_else_stays(file: Path) -> None:
    key = kek_from_file(file, create=True)
    assert kek_from_file(file, create=True).kek_id == key.kek_id
    assert [entry.name for entry in file.parent.iterdir()] == ["kek"]


def test_of_many_who_start_at_once_all_have_the_same_key(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever makes it is slow: all others come in between.
    real, barrier = os.fdopen, threading.Barrier(8, timeout=60)
    found: list[str] = []
    refused: list[Unavailable] = []

    def slow(*arguments: Any, **named: Any) -> Any:
        threading.Event().wait(0.05)
        return real(*arguments, **named)

    monkeypatch.setattr(os, "fdopen", slow)

    def start() -> None:
        barrier.wait()
        try:
            found.append(kek_from_file(file, create=True).kek_id)
        except Unavailable as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert len(found) == 8
    assert len(set(found)) == 1
