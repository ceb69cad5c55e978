"""Four eyes: an act is proposed by one credential and allowed by another, and is then done.

The call that would do it is refused with APPROVAL_REQUIRED and leaves a proposal behind; repeated
with its request id it never makes a second one. The decision is taken once, by one statement of the
store. The act follows it, and is one that may be repeated: where the process dies in between, who
approves again ends it, and its effect is there once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from tracechain.app.ports import Clock, Store
from tracechain.domain.approval import Act, Approval, ApprovalState
from tracechain.domain.errors import AlreadyExists, FailedPrecondition, NotFound, PermissionDenied
from tracechain.domain.party import Principal, Role
from tracechain.domain.text import bounded

Perform = Callable[[Approval], Awaitable[object]]


class Approving:
    """Proposals and decisions. `four_eyes` are the acts that need both; `lifetime` is how long a
    proposal waits, in microseconds."""

    def __init__(
        self, store: Store, clock: Clock, four_eyes: Collection[Act], lifetime: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._four_eyes = frozenset(four_eyes)
        self._lifetime = lifetime
        self._performs: dict[str, Perform] = {}

    def needs(self, act: Act) -> bool:
        """Whether acts of this kind need an approval."""
        return act in self._four_eyes

    def on(self, operation: str, perform: Perform) -> None:
        """What does an operation once it is allowed. It may be called more than once."""
        self._performs[operation] = perform

    async def require(
        self,
        principal: Principal,
        act: Act,
        operation: str,
        arguments: Mapping[str, str],
        issuer_gln: str,
        subject: str,
        request_id: str,
    ) -> None:
        """Returns where the act was allowed, else proposes it.

        Raises FailedPrecondition: APPROVAL_REQUIRED (metadata `approval` names the proposal),
        APPROVAL_REJECTED, APPROVAL_EXPIRED; InvalidArgument MISSING_FIELD without a request id;
        AlreadyExists REQUEST_ID_USED where it stands for another proposal.
        """
        request_id = bounded(request_id, "request_id", 64, required=True)
        said = [operation, issuer_gln, subject, principal.party_gln, request_id]
        now = self._clock()
        wanted = Approval(
            hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32],
            act,
            operation,
            dict(arguments),
            issuer_gln,
            subject,
            principal,
            now,
            now + self._lifetime,
        )
        found = await self._store.within(principal).put_approval(wanted)
        if found.arguments != wanted.arguments:
            raise AlreadyExists("REQUEST_ID_USED", "this request id proposed something else")
        name = f"approvals/{found.approval_id}"
        match found.state(now):
            case ApprovalState.PENDING:
                raise FailedPrecondition(
                    "APPROVAL_REQUIRED",
                    f"another credential has to approve {name}; then it is done",
                    metadata={"approval": name},
                )
            case ApprovalState.REJECTED:
                raise FailedPrecondition("APPROVAL_REJECTED", f"{name} was rejected")
            case ApprovalState.EXPIRED:
                raise _expired(name)

    async def list(self, principal: Principal, after: str, limit: int) -> list[Approval]:
        """Proposals behind the id `after` that the caller may see, in the order of their ids."""
        issuer = "" if principal.role is Role.OPERATOR else principal.party_gln
        return await self._store.within(principal).list_approvals(issuer, after, limit)

    async def approve(self, principal: Principal, approval_id: str) -> Approval:
        """Allows a proposal, and does what it proposes; repeated, it ends what was cut off.

        Raises NotFound APPROVAL_NOT_FOUND, PermissionDenied APPROVER_IS_PROPOSER,
        FailedPrecondition APPROVAL_REJECTED, APPROVAL_EXPIRED and PROPOSER_REVOKED, and what the
        act raises.
        """
        decided = await self._decide(principal, approval_id, ApprovalState.APPROVED)
        if decided.kept is ApprovalState.APPROVED:
            await self._performs[decided.operation](decided)
            await self._store.within(principal).finish_approval(approval_id)
            decided = replace(decided, kept=ApprovalState.DONE)
        return decided

    async def reject(self, principal: Principal, approval_id: str) -> Approval:
        """Rejects a proposal; its proposer may do so too. Raises as `approve`, and
        FailedPrecondition APPROVAL_DECIDED for one that was approved."""
        return await self._decide(principal, approval_id, ApprovalState.REJECTED)

    async def _decide(
        self, principal: Principal, approval_id: str, wanted: ApprovalState
    ) -> Approval:
        now = self._clock()
        own = self._store.within(principal)
        known = await own.get_approval(approval_id)
        if known is None or not known.concerns(principal):
            raise NotFound("APPROVAL_NOT_FOUND", f"there is no approval {approval_id}")
        approves = wanted is ApprovalState.APPROVED
        if approves and known.is_own(principal):
            raise PermissionDenied(
                "APPROVER_IS_PROPOSER", "who proposed it cannot approve it: four eyes are two pairs"
            )
        name = f"approvals/{approval_id}"
        if known.state(now) is ApprovalState.EXPIRED:
            raise _expired(name)
        if approves and known.kept is ApprovalState.PENDING:
            await self._check_proposer(known)
        decided = await own.decide_approval(
            approval_id, wanted, principal.party_gln, principal.credential_id, now
        )
        assert decided is not None
        if approves and decided.kept is ApprovalState.REJECTED:
            raise FailedPrecondition("APPROVAL_REJECTED", f"{name} was rejected")
        if not approves and decided.kept is not ApprovalState.REJECTED:
            raise FailedPrecondition("APPROVAL_DECIDED", f"{name} was approved")
        return decided

    async def _check_proposer(self, proposed: Approval) -> None:
        """Raises FailedPrecondition PROPOSER_REVOKED. Whose key was found to be in wrong hands may
        have proposed it with that key; what was decided before stays decided. A bearer token has no
        row, and is not kept that long."""
        proposer = await self._store.get_credential(proposed.proposer.credential_id)
        if proposer is not None and proposer.revoke_time is not None:
            raise FailedPrecondition(
                "PROPOSER_REVOKED",
                f"the credential that proposed approvals/{proposed.approval_id} was revoked since; "
                "reject it, and propose anew what is wanted",
            )


def _expired(name: str) -> FailedPrecondition:
    return FailedPrecondition("APPROVAL_EXPIRED", f"{name} was not decided in time; propose anew")
