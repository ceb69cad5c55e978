"""How audit records look as rows, for every store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tracechain.adapters.records import dumps
from tracechain.domain.audit import AuditRecord, key_of

AUDIT_COLUMNS = (
    "batch_key", "time", "record_id", "party_gln", "role", "credential_id", "method", "objects",
    "request_id", "origin", "outcome", "old_values", "new_values", "calls",
)  # fmt: skip


def audit_rows(records: Sequence[AuditRecord]) -> list[tuple[Any, ...]]:
    """Records that are written together as rows: all under one key, so that they lie together."""
    key = key_of(records[0])
    return [
        (
            key, r.time, r.record_id, r.party_gln, r.role, r.credential_id, r.method,
            dumps(dict(r.objects)), r.request_id, r.origin, r.outcome, dumps(dict(r.old_values)),
            dumps(dict(r.new_values)), r.calls,
        )
        for r in records
    ]  # fmt: skip


def read_audit(row: Sequence[Any]) -> AuditRecord:
    """The record of a row."""
    return AuditRecord(
        row[1], row[2], row[3], row[4], row[5], row[6], json.loads(row[7]), row[8], row[9],
        row[10], json.loads(row[11]), json.loads(row[12]), row[13],
    )  # fmt: skip


def oldest(found: Sequence[Sequence[Any]], limit: int) -> list[AuditRecord]:
    """Of rows that were found under each key, the first in the order of all."""
    ordered = sorted(found, key=lambda row: (row[1], row[2]))
    return [read_audit(row) for row in ordered[:limit]]
