"""The Store of one SQLite file: one writer and one reader, each on a thread of its own.

Several processes may share the file; the lock that SQLite takes orders their writes. Readers
never wait for writers (WAL). The name's first promise is `synchronous = FULL`: what returned is
on the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tracechain.adapters.sqlite.approvals import ApprovalPart
from tracechain.adapters.sqlite.audit import AuditPart
from tracechain.adapters.sqlite.batches import BatchPart
from tracechain.adapters.sqlite.directory import DirectoryPart
from tracechain.adapters.sqlite.events import EventPart
from tracechain.adapters.sqlite.log import LogPart
from tracechain.adapters.sqlite.public import PublicPart
from tracechain.adapters.sqlite.retention import RetentionPart
from tracechain.adapters.sqlite.scans import ScanPart
from tracechain.adapters.sqlite.session import Session, connect, migrate
from tracechain.domain.party import Principal
from tracechain.domain.scan import ScanRules


class SqliteStore(
    DirectoryPart,
    BatchPart,
    EventPart,
    ScanPart,
    PublicPart,
    ApprovalPart,
    AuditPart,
    LogPart,
    RetentionPart,
):
    """See tracechain.app.ports.Store."""

    def __init__(
        self,
        writer: Session,
        reader: Session,
        rules: ScanRules,
        *,
        logs: bool,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._rules = rules
        self._logs = logs
        self._random = random_bytes

    def within(self, principal: Principal) -> SqliteStore:
        """See tracechain.app.ports.Tenants. SQLite has no policies: here it is the use cases alone
        that keep tenants apart."""
        return self

    async def check(self) -> None:
        """Raises Unavailable where the store cannot be written."""
        await self._writer.write(_touch)

    async def close(self) -> None:
        """Finishes what was queued and closes the file."""
        await self._reader.close()
        await self._writer.close()


def _touch(connection: sqlite3.Connection) -> None:
    # The lock alone says nothing of a full disk, and SQLite does not write what has not changed.
    for change in ("+ 1", "- 1"):
        connection.execute(f"UPDATE counter SET value = value {change} WHERE name = 'key_id'")


async def open_store(
    path: Path,
    rules: ScanRules,
    *,
    busy_seconds: float = 5.0,
    cache_kib: int = 65536,
    logs: bool = True,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> SqliteStore:
    """Opens the store at `path`, makes it where it is missing, and brings its schema up to date.
    Without `logs` the facts that it keeps never get into the transparency log.

    Raises Unavailable: STORE_UNAVAILABLE, STORE_BUSY, STORE_FULL, SCHEMA_TOO_NEW; and
    DataCorrupted STORE_CORRUPTED for a file that is damaged or no database at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = await connect(path, busy_seconds=busy_seconds, cache_kib=cache_kib)
    try:
        await writer.write(migrate)
        reader = await connect(path, busy_seconds=busy_seconds, cache_kib=cache_kib)
    except BaseException:
        await writer.close()
        raise
    return SqliteStore(writer, reader, rules, logs=logs, random_bytes=random_bytes)
