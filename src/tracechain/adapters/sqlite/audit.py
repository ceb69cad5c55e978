"""Audit records in SQLite: the AuditStore port."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from tracechain.adapters.audit_rows import AUDIT_COLUMNS, audit_rows, oldest
from tracechain.adapters.sqlite.session import Session
from tracechain.domain.audit import AUDIT_KEYS, AuditQuery, AuditRecord

_COLUMNS = ", ".join(AUDIT_COLUMNS)
_APPEND = (
    f"INSERT INTO audit ({_COLUMNS}) VALUES ({', '.join('?' * len(AUDIT_COLUMNS))}) "
    "ON CONFLICT DO NOTHING"
)
_LIST = (
    f"SELECT {_COLUMNS} FROM audit WHERE batch_key = ?1 AND time >= ?2 AND time < ?3 "
    "AND (time, record_id) > (?4, ?5) AND (?6 = '' OR party_gln = ?6) "
    "AND (?7 = '' OR method = ?7) AND (?8 = '' OR outcome = ?8) ORDER BY time, record_id LIMIT ?9"
)


class AuditPart:
    """See tracechain.app.ports.AuditStore."""

    _writer: Session
    _reader: Session

    async def append_audit(self, records: Sequence[AuditRecord]) -> None:
        if records:
            rows = audit_rows(records)

            def work(connection: sqlite3.Connection) -> None:
                connection.executemany(_APPEND, rows)

            await self._writer.write(work)

    async def list_audit(self, query: AuditQuery, limit: int) -> list[AuditRecord]:
        wanted = (query.start, query.end, *query.after, query.party_gln, query.method)

        def work(connection: sqlite3.Connection) -> list[Any]:
            found = []
            for key in AUDIT_KEYS:
                found += connection.execute(_LIST, (key, *wanted, query.outcome, limit)).fetchall()
            return found

        return oldest(await self._reader.read(work), limit)
