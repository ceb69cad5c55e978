"""Audit records in PostgreSQL: the AuditStore port."""

from __future__ import annotations

from collections.abc import Sequence

from tracechain.adapters.audit_rows import AUDIT_COLUMNS, audit_rows, oldest
from tracechain.adapters.postgres.session import Session
from tracechain.adapters.postgres.statements import columns, rows, statement
from tracechain.domain.audit import AUDIT_KEYS, AuditQuery, AuditRecord

_COLUMNS = ", ".join(AUDIT_COLUMNS)
PUT_AUDIT = statement(
    "PUT_AUDIT",
    f"INSERT INTO audit ({_COLUMNS}) SELECT {_COLUMNS} FROM {rows('n', AUDIT_COLUMNS)} "
    "ON CONFLICT DO NOTHING",
)
# Of one key; what was found under each is put in order by whoever asked.
LIST_AUDIT = statement(
    "LIST_AUDIT",
    f"SELECT {_COLUMNS} FROM audit WHERE batch_key = $1 AND time >= $2 AND time < $3 "
    "AND (time, record_id) > ($4, $5) AND ($6::text = '' OR party_gln = $6) "
    "AND ($7::text = '' OR method = $7) AND ($8::text = '' OR outcome = $8) "
    "ORDER BY time, record_id LIMIT $9",
)


class AuditPart:
    """See tracechain.app.ports.AuditStore."""

    _session: Session

    async def append_audit(self, records: Sequence[AuditRecord]) -> None:
        if records:
            await self._session.fetch(PUT_AUDIT, *columns(audit_rows(records)))

    async def list_audit(self, query: AuditQuery, limit: int) -> list[AuditRecord]:
        wanted = (query.start, query.end, *query.after, query.party_gln, query.method)
        calls = [(key, *wanted, query.outcome, limit) for key in AUDIT_KEYS]
        return oldest(await self._session.fetch_many(LIST_AUDIT, calls), limit)
