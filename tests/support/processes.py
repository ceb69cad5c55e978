"""What the kernel says of processes that tests started."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that a process started and that are still there."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread that ended meanwhile has none.
        with suppress(FileNotFoundError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found
