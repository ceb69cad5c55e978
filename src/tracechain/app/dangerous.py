"""The acts that may need four eyes, and when they do.

Revocations stop an issuer where they take its last signing key, and stop many where there are many
within an hour: then they are mass revocations. Raising a quantity lets an issuer make codes beyond
what was first authorised. A new platform root changes what everybody trusts. What does not fall
under these is done at once.
"""

from __future__ import annotations

from tracechain.app.approving import Approving
from tracechain.app.credentials import Credentials
from tracechain.app.keyring import Keyring
from tracechain.app.platform_root import PlatformRoots
from tracechain.app.ports import ApprovalStore, Clock
from tracechain.app.products import Products
from tracechain.domain.approval import Act, Approval
from tracechain.domain.certificates import PlatformRoot
from tracechain.domain.keys import IssuerKey, JudgeEarlier
from tracechain.domain.party import Credential, Principal
from tracechain.domain.product import Batch
from tracechain.domain.text import bounded

# What "at once" means, in microseconds.
_HOUR = 3_600_000_000


class Dangerous:
    """Does these acts, or proposes them. `limit` is how many revocations an hour are not many."""

    def __init__(
        self,
        approving: Approving,
        store: ApprovalStore,
        keyring: Keyring,
        credentials: Credentials,
        products: Products,
        roots: PlatformRoots,
        clock: Clock,
        limit: int,
    ) -> None:
        self._approving = approving
        self._store = store
        self._keyring = keyring
        self._credentials = credentials
        self._products = products
        self._roots = roots
        self._clock = clock
        self._limit = limit
        approving.on("revoke_key", self._revoke_key)
        approving.on("revoke_credential", self._revoke_credential)
        approving.on("raise_quantity", self._raise_quantity)
        approving.on("rotate_root", self._rotate_root)

    async def revoke_key(
        self,
        principal: Principal,
        gln: str,
        key_id: int,
        time: int | None,
        reason: str,
        earlier: JudgeEarlier | None,
        request_id: str,
    ) -> IssuerKey:
        """See Keyring.revoke. Raises what it does, and what Approving.require does."""
        key = await self._keyring.revocable(principal, gln, key_id, time, reason)
        # What is revoked is only revoked further.
        asks = self._approving.needs(Act.MASS_REVOCATION) and key.revoke_time is None
        if asks and (await self._keyring.signs_alone(key) or await self._many()):
            arguments = {
                "gln": gln,
                "key_id": str(key_id),
                "reason": reason,
                "time": "" if time is None else str(time),
                "earlier": earlier or "",
            }
            await self._approving.require(
                principal, Act.MASS_REVOCATION, "revoke_key", arguments, gln,
                f"parties/{gln}/keys/{key_id}", request_id,
            )  # fmt: skip
        return await self._keyring.revoke(principal, gln, key_id, time, reason, earlier)

    async def _revoke_key(self, approval: Approval) -> None:
        said = approval.arguments
        earlier = JudgeEarlier(said["earlier"]) if said["earlier"] else None
        # "Now" was when it was proposed: what was issued since waits for the decision too.
        time = int(said["time"] or approval.create_time)
        await self._keyring.revoke(
            approval.proposer, said["gln"], int(said["key_id"]), time, said["reason"], earlier
        )

    async def revoke_credential(
        self, principal: Principal, gln: str, credential_id: str, request_id: str
    ) -> Credential:
        """See Credentials.revoke. Raises what it does, and what Approving.require does."""
        if self._approving.needs(Act.MASS_REVOCATION):
            good = [c.credential_id for c in await self._credentials.list_of(gln)
                    if c.revoke_time is None]  # fmt: skip
            if credential_id in good and await self._many():
                await self._approving.require(
                    principal, Act.MASS_REVOCATION, "revoke_credential",
                    {"gln": gln, "credential_id": credential_id}, gln,
                    f"parties/{gln}/credentials/{credential_id}", request_id,
                )  # fmt: skip
        return await self._credentials.revoke(gln, credential_id)

    async def _revoke_credential(self, approval: Approval) -> None:
        said = approval.arguments
        await self._credentials.revoke(said["gln"], said["credential_id"])

    async def raise_quantity(
        self,
        principal: Principal,
        gtin: str,
        lot: str,
        quantity: int,
        reason: str,
        request_id: str,
    ) -> Batch:
        """See Products.raise_quantity. Raises what it does, and what Approving.require does."""
        if self._approving.needs(Act.QUANTITY):
            batch = await self._products.raisable(principal, gtin, lot, quantity, reason)
            await self._approving.require(
                principal, Act.QUANTITY, "raise_quantity",
                {"gtin": gtin, "lot": lot, "quantity": str(quantity), "reason": reason,
                 "request_id": request_id}, principal.party_gln,
                f"products/{batch.gtin}/batches/{batch.lot}", request_id,
            )  # fmt: skip
        return await self._products.raise_quantity(
            principal, gtin, lot, quantity, reason, request_id
        )

    async def _raise_quantity(self, approval: Approval) -> None:
        said = approval.arguments
        await self._products.raise_quantity(
            approval.proposer, said["gtin"], said["lot"], int(said["quantity"]), said["reason"],
            said["request_id"],
        )  # fmt: skip

    async def rotate_root(self, principal: Principal, request_id: str) -> PlatformRoot:
        """See PlatformRoots.rotate. Raises what Approving.require does."""
        request_id = bounded(request_id, "request_id", 64, required=True)
        if self._approving.needs(Act.ROOT):
            await self._approving.require(
                principal, Act.ROOT, "rotate_root", {"request_id": request_id}, "",
                "platformRoot", request_id,
            )  # fmt: skip
        return await self._roots.rotate(request_id)

    async def _rotate_root(self, approval: Approval) -> None:
        await self._roots.rotate(approval.arguments["request_id"])

    async def _many(self) -> bool:
        return await self._store.count_revocations(self._clock() - _HOUR) >= self._limit
