"""What the system knows of processes: the CPU time and the memory they used, who has a connection.

Read from /proc, so Linux only. A process is counted with all its threads and with the processes
that it started, also those that ended since.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ESTABLISHED = "01"


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of these processes and of those that they started."""
    ticks = 0
    for pid in pids:
        for one in family(pid):
            try:
                fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # utime, stime, and both of children that were waited for.
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICK


def own_cpu_seconds(pid: int) -> float:
    """CPU time of one process alone; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def written_bytes(pid: int) -> int:
    """What one process has handed to the disk; 0 where it has ended or is not ours to ask."""
    try:
        text = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return 0
    return int(dict(line.split(": ") for line in text.splitlines())["write_bytes"])


def hold(pids: Sequence[int]) -> None:
    """Holds each process to a core of its own, with what it started and what it will start."""
    cores = sorted(os.sched_getaffinity(0))
    for at, pid in enumerate(pids):
        for one in family(pid):
            for task in Path(f"/proc/{one}/task").iterdir():
                os.sched_setaffinity(int(task.name), {cores[at % len(cores)]})


def machine_idle_seconds() -> float:
    """Idle time of all cores together since the start of the machine."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return (int(fields[4]) + int(fields[5])) / _TICK


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory in RAM of these processes and of those that they started."""
    total = 0
    for pid in pids:
        for one in family(pid):
            try:
                total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * _PAGE
            except OSError:
                continue
    return total


def holder(server_port: int, client_port: int, pids: Sequence[int]) -> int | None:
    """Which of the processes has the server's end of a loopback connection; None: nobody yet."""
    ends = f":{server_port:04X}", f":{client_port:04X}"
    # gRPC listens on a socket of IPv6 that takes IPv4 too.
    text = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    for line in text.splitlines():
        fields = line.split()
        if (
            fields[1].endswith(ends[0])
            and fields[2].endswith(ends[1])
            and fields[3] == _ESTABLISHED
        ):
            wanted = f"socket:[{fields[9]}]"
            return next((pid for pid in pids if _has(pid, wanted)), None)
    return None


def _has(pid: int, link: str) -> bool:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for number in numbers:
        try:
            if os.readlink(f"/proc/{pid}/fd/{number}") == link:
                return True
        except OSError:
            continue
    return False
