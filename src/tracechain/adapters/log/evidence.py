"""Evidence as files: a fork that was found is on the disk before anybody is told of it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from tracechain.adapters.log_heads import sync_folder, write_durably
from tracechain.domain.log.fork import Fork


def keep_fork(folder: Path, fork: Fork) -> str:
    """Keeps a fork under a name that follows from the two trees; the same fork, found again,
    changes nothing. Returns where."""
    texts = fork.smaller.text + fork.larger.text
    path = folder / f"fork-{sha256(texts.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        keep(path, fork.encode())
    return str(path)


def keep(path: Path, content: bytes) -> None:
    """Keeps a file, durably, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, content, 0o644)
    sync_folder(path.parent.parent)
