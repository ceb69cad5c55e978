"""What the kernel says of processes that tests started."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def running(module: str, pid: int) -> set[int]:
    """Those of them that run a module of ours whose name ends like this."""
    found = set()
    for child in children(pid):
        # One that ended meanwhile has no command line.
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if any(word.decode().endswith(f".{module}") for word in words):
                found.add(child)
    return found


def children(pid: int) -> list[int]:
    """The processes that a process started and that are still there."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread that ended meanwhile has none.
        with suppress(FileNotFoundError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found
