"""Proposals and their decisions in PostgreSQL: the ApprovalStore port."""

from __future__ import annotations

from tracechain.adapters import records
from tracechain.adapters.postgres.session import Session
from tracechain.adapters.postgres.statements import statement
from tracechain.domain.approval import Approval, ApprovalState

_COLUMNS = "body, state, decider_gln, decider_credential, decide_time"

PUT_APPROVAL = statement(
    "PUT_APPROVAL",
    "INSERT INTO approval (approval_id, issuer_gln, body, state) "
    "VALUES ($1, $2, $3, 'pending') ON CONFLICT DO NOTHING",
)
GET_APPROVAL = statement("GET_APPROVAL", f"SELECT {_COLUMNS} FROM approval WHERE approval_id = $1")
LIST_APPROVALS = statement(
    "LIST_APPROVALS",
    f"SELECT {_COLUMNS} FROM approval WHERE approval_id > $1 "
    "AND ($2 = '' OR issuer_gln = $2) ORDER BY approval_id LIMIT $3",
)
DECIDE_APPROVAL = statement(
    "DECIDE_APPROVAL",
    "UPDATE approval SET state = $2, decider_gln = $3, decider_credential = $4, decide_time = $5 "
    "WHERE approval_id = $1 AND state = 'pending'",
)
FINISH_APPROVAL = statement(
    "FINISH_APPROVAL",
    "UPDATE approval SET state = 'done' WHERE approval_id = $1 AND state = 'approved'",
)
COUNT_REVOKED_KEYS = statement(
    "COUNT_REVOKED_KEYS", "SELECT count(*) FROM issuer_key WHERE revoke_record_time >= $1"
)
COUNT_REVOKED_CREDENTIALS = statement(
    "COUNT_REVOKED_CREDENTIALS", "SELECT count(*) FROM credential WHERE revoke_time >= $1"
)


class ApprovalPart:
    """See tracechain.app.ports.ApprovalStore."""

    _session: Session

    async def put_approval(self, approval: Approval) -> Approval:
        body = records.approval_to_json(approval)
        await self._session.fetch(PUT_APPROVAL, approval.approval_id, approval.issuer_gln, body)
        kept = await self.get_approval(approval.approval_id)
        assert kept is not None
        return kept

    async def get_approval(self, approval_id: str) -> Approval | None:
        row = await self._session.row(GET_APPROVAL, approval_id)
        return records.approval_from_json(*row) if row else None

    async def list_approvals(self, issuer: str, after: str, limit: int) -> list[Approval]:
        rows = await self._session.fetch(LIST_APPROVALS, after, issuer, limit)
        return [records.approval_from_json(*row) for row in rows]

    async def decide_approval(
        self, approval_id: str, decision: ApprovalState, gln: str, credential_id: str, time: int
    ) -> Approval | None:
        await self._session.fetch(
            DECIDE_APPROVAL, approval_id, decision.value, gln, credential_id, time
        )
        return await self.get_approval(approval_id)

    async def finish_approval(self, approval_id: str) -> None:
        await self._session.fetch(FINISH_APPROVAL, approval_id)

    async def count_revocations(self, since: int) -> int:
        keys = await self._session.row(COUNT_REVOKED_KEYS, since)
        credentials = await self._session.row(COUNT_REVOKED_CREDENTIALS, since)
        assert keys is not None
        assert credentials is not None
        return int(keys[0]) + int(credentials[0])
