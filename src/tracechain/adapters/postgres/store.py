"""The Store of one PostgreSQL database, shared by any number of nodes.

Rows of the database order the writers; nothing is kept in the process but connections. The same
statements run where the tables are distributed: each stays with the keys that it names.
"""

from __future__ import annotations

import asyncio
import copy
import os
import time
from collections.abc import Callable
from typing import Any

import structlog

from tracechain.adapters.postgres.approvals import ApprovalPart
from tracechain.adapters.postgres.audit import AuditPart
from tracechain.adapters.postgres.batches import BatchPart
from tracechain.adapters.postgres.directory import DirectoryPart
from tracechain.adapters.postgres.events import EventPart
from tracechain.adapters.postgres.log import LogPart
from tracechain.adapters.postgres.public import PublicPart
from tracechain.adapters.postgres.retention import RetentionPart
from tracechain.adapters.postgres.scans import ScanPart
from tracechain.adapters.postgres.schema import migrate, prepare_months
from tracechain.adapters.postgres.session import Session, Transaction, connect
from tracechain.adapters.postgres.statements import statement
from tracechain.adapters.postgres.tenancy import BYPASSES, ROW_SECURITY_BYPASSED
from tracechain.app.ending import end
from tracechain.domain.party import Principal
from tracechain.domain.scan import ScanRules

_LOG = structlog.get_logger(__name__)
_MONTHS_EVERY = 6 * 3600.0

# An update that changes nothing is written and flushed like any other.
TOUCH_COUNTER = statement("TOUCH_COUNTER", "UPDATE counter SET value = value WHERE name = 'key_id'")


class PostgresStore(
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
        session: Session,
        rules: ScanRules,
        *,
        logs: bool,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._session = session
        self._rules = rules
        self._logs = logs
        self._random = random_bytes
        self._months = asyncio.create_task(_keep_months(session))

    def within(self, principal: Principal) -> PostgresStore:
        """See tracechain.app.ports.Tenants."""
        narrowed = copy.copy(self)
        narrowed._session = self._session.within(principal)
        return narrowed

    async def check(self) -> None:
        """Raises Unavailable where the store cannot be written."""
        await self._session.fetch(TOUCH_COUNTER)

    async def close(self) -> None:
        """Finishes what was begun and closes the connections."""
        await end(self._months)
        await self._session.close()


async def _keep_months(session: Session) -> None:
    while True:
        await asyncio.sleep(_MONTHS_EVERY)
        await prepare_months(session, time.time_ns() // 1000)


async def open_store(
    url: str,
    rules: ScanRules,
    *,
    connections: int = 8,
    logs: bool = True,
    random_bytes: Callable[[int], bytes] = os.urandom,
    transaction: Callable[[Any], Transaction] = Transaction,
) -> PostgresStore:
    """Opens the store at `url` and brings its schema up to date; for `transaction` see `connect`.
    Without `logs` the facts that it keeps never get into the transparency log.

    Raises Unavailable: STORE_UNAVAILABLE, STORE_BUSY, STORE_FULL, SCHEMA_TOO_NEW; and
    DataCorrupted STORE_CORRUPTED.
    """
    session = await connect(url, connections=connections, transaction=transaction)
    try:
        await migrate(session)
        await prepare_months(session, time.time_ns() // 1000)
        bypasses = await session.row(BYPASSES)
        if bypasses and bypasses[0]:
            _LOG.warning("row_security_bypassed", reason=ROW_SECURITY_BYPASSED)
    except BaseException:
        await session.close()
        raise
    return PostgresStore(session, rules, logs=logs, random_bytes=random_bytes)
