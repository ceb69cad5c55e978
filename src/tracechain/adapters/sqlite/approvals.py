"""Proposals and their decisions in SQLite: the ApprovalStore port."""

from __future__ import annotations

import sqlite3

from tracechain.adapters import records
from tracechain.adapters.sqlite.session import Session
from tracechain.domain.approval import Approval, ApprovalState

_COLUMNS = "body, state, decider_gln, decider_credential, decide_time"


def _get(connection: sqlite3.Connection, approval_id: str) -> Approval | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM approval WHERE approval_id = ?", (approval_id,)
    ).fetchone()
    return records.approval_from_json(*row) if row else None


class ApprovalPart:
    """See tracechain.app.ports.ApprovalStore."""

    _writer: Session
    _reader: Session

    async def put_approval(self, approval: Approval) -> Approval:
        def work(connection: sqlite3.Connection) -> Approval:
            connection.execute(
                "INSERT INTO approval (approval_id, issuer_gln, body, state) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (
                    approval.approval_id,
                    approval.issuer_gln,
                    records.approval_to_json(approval),
                    ApprovalState.PENDING.value,
                ),
            )
            kept = _get(connection, approval.approval_id)
            assert kept is not None
            return kept

        return await self._writer.write(work)

    async def get_approval(self, approval_id: str) -> Approval | None:
        return await self._reader.read(lambda connection: _get(connection, approval_id))

    async def list_approvals(self, issuer: str, after: str, limit: int) -> list[Approval]:
        rows = await self._reader.read(
            lambda connection: connection.execute(
                f"SELECT {_COLUMNS} FROM approval WHERE approval_id > ?1 "
                "AND (?2 = '' OR issuer_gln = ?2) ORDER BY approval_id LIMIT ?3",
                (after, issuer, limit),
            ).fetchall()
        )
        return [records.approval_from_json(*row) for row in rows]

    async def decide_approval(
        self, approval_id: str, decision: ApprovalState, gln: str, credential_id: str, time: int
    ) -> Approval | None:
        def work(connection: sqlite3.Connection) -> Approval | None:
            connection.execute(
                "UPDATE approval SET state = ?, decider_gln = ?, decider_credential = ?, "
                "decide_time = ? WHERE approval_id = ? AND state = 'pending'",
                (decision.value, gln, credential_id, time, approval_id),
            )
            return _get(connection, approval_id)

        return await self._writer.write(work)

    async def finish_approval(self, approval_id: str) -> None:
        await self._writer.write(
            lambda connection: (
                connection.execute(
                    "UPDATE approval SET state = 'done' "
                    "WHERE approval_id = ? AND state = 'approved'",
                    (approval_id,),
                ).rowcount
            )
        )

    async def count_revocations(self, since: int) -> int:
        row = await self._reader.read(
            lambda connection: connection.execute(
                "SELECT (SELECT count(*) FROM issuer_key WHERE revoke_record_time >= ?1) + "
                "(SELECT count(*) FROM credential WHERE revoke_time >= ?1)",
                (since,),
            ).fetchone()
        )
        return int(row[0])
