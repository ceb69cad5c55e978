"""Approvals: what one person proposes and another one allows before it is done.

An act that would stop an issuer, or let it issue beyond what was authorised, takes two credentials.
A proposal is decided once and for a time only; if this module lies, one stolen key is enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tracechain.domain.party import Principal, Role


class Act(StrEnum):
    """A kind of act that can be made to need four eyes."""

    ROOT = "root"
    MASS_REVOCATION = "mass_revocation"
    QUANTITY = "quantity"


class ApprovalState(StrEnum):
    """What has become of a proposal. APPROVED: allowed, and being done; repeat to end it."""

    PENDING = "pending"
    APPROVED = "approved"
    DONE = "done"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """A proposal. `operation` with its `arguments` is what is done; `issuer_gln` whose matter it
    is, `subject` the resource. `kept` is the state without the clock: see `state`."""

    approval_id: str
    act: Act
    operation: str
    arguments: dict[str, str] = field(hash=False)
    issuer_gln: str
    subject: str
    proposer: Principal
    create_time: int
    expire_time: int
    kept: ApprovalState = ApprovalState.PENDING
    decider_gln: str = ""
    decider_credential: str = ""
    decide_time: int | None = None

    def state(self, now: int) -> ApprovalState:
        """What has become of it at this moment. What was allowed in time does not expire."""
        if self.kept is ApprovalState.PENDING and self.expire_time <= now:
            return ApprovalState.EXPIRED
        return self.kept

    def concerns(self, principal: Principal) -> bool:
        """Whether a caller may see it, and decide it unless it proposed it: an operator, or the
        issuer whose matter it is."""
        if principal.role is Role.OPERATOR:
            return True
        return principal.role is Role.ISSUER and principal.party_gln == self.issuer_gln

    def is_own(self, principal: Principal) -> bool:
        """Whether the caller proposed it. Who cannot be told apart counts as the same."""
        return principal.credential_id in ("", self.proposer.credential_id)
