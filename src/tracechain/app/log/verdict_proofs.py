"""What shows to whoever scanned a code that its batch is registered in the log, and what key signs.

Promises to open the batch's registration and the newest fact about its key, and nothing else: no
quantity, and not which unit of the batch it is, from which quantities could be reckoned. So it is
the service's word here that the unit is among those that were authorised; the log has how many,
evidence shows it to whom may know, `log check` holds it against the store. A verdict never waits
for this, and never fails by it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tracechain.app.log.published import ProvedLeaf, Published, PublishedLog
from tracechain.app.ports import LogStore
from tracechain.app.proving import Prove, Prover
from tracechain.domain.errors import FailedPrecondition, NotFound, TracechainError
from tracechain.domain.log.fact import FactKind, decisions_chain, issuer_chain, told_quantity
from tracechain.domain.log.sequencing import LogLeaf
from tracechain.domain.verdict import Issuance, Verdict

# Links of a chain that are read at once.
_STEP = 64


class VerdictProof(NamedTuple):
    """The leaf of the batch and the newest of the key; or neither, and the stable reason why."""

    leaves: tuple[ProvedLeaf, ProvedLeaf] | None
    absent: str = ""


class VerdictProofs:
    """Proves the issue of codes that were scanned. `enabled`: the service gives such proofs."""

    def __init__(
        self, store: LogStore, log: PublishedLog, prover: Prover, prove: Prove, *, enabled: bool
    ) -> None:
        self._store = store
        self._log = log
        self._prover = prover
        self._prove = prove
        self._enabled = enabled

    async def of(self, code: str, verdict: Verdict) -> VerdictProof:
        """The proof for a code with this verdict, or why there is none: CODE_NOT_ISSUED,
        PROOFS_DISABLED, CHECKPOINT_NOT_FOUND, LEAF_NOT_FOUND (the batch is older than the log),
        LEAF_TELLS_QUANTITY (its leaf was made when facts of batches told it), LEAF_NOT_PUBLISHED
        (in a second), or what kept the store from being read."""
        try:
            if not self._enabled:
                raise FailedPrecondition("PROOFS_DISABLED", "this service proves no verdicts")
            return await self._proof(code, verdict)
        except TracechainError as error:
            # The scan is recorded and judged; that is answered in any case.
            return VerdictProof(None, error.reason)

    async def _proof(self, code: str, verdict: Verdict) -> VerdictProof:
        found = self._prover.remembered(code)
        if found is None:
            (found,) = await self._prove((code,))
        if verdict.issuance is not Issuance.ISSUED or isinstance(found, Verdict):
            raise NotFound("CODE_NOT_ISSUED", "what was not issued has no proof that it was")
        (_, number, _), key = found
        published = await self._log.checkpoint()
        wanted = (
            await self._batch(number),
            await self._key(published, key.record.issuer_gln, key.record.key_id),
        )
        batch, newest = await self._log.prove_all(published, wanted)
        return VerdictProof((batch, newest))

    async def _batch(self, number: int) -> LogLeaf:
        """The leaf of a batch's registration."""
        at = 0
        while links := await self._store.read_links(decisions_chain(number), at, _STEP):
            for leaf_index in links:
                leaf = await self._log.leaf(leaf_index)
                fact: dict[str, Any] = json.loads(leaf.text)
                if fact["kind"] == FactKind.BATCH:
                    if told_quantity(fact) is not None:
                        raise FailedPrecondition(
                            "LEAF_TELLS_QUANTITY",
                            "to open the leaf of its batch would tell the batch's quantity",
                        )
                    return leaf
            at += len(links)
        raise await self._log.absent()

    async def _key(self, published: Published, gln: str, key_id: int) -> LogLeaf:
        """The newest published leaf about a key."""
        chain = issuer_chain(gln)
        (known,) = await self._store.read_chains([chain])
        end = known.length if known else 0
        while end > 0:
            first = max(0, end - _STEP)
            for leaf_index in reversed(await self._store.read_links(chain, first, end - first)):
                if leaf_index < published.checkpoint.size:
                    leaf = await self._log.leaf(leaf_index)
                    # An export of evidence is in this chain as well, and is of no key.
                    if json.loads(leaf.text).get("key_id") == key_id:
                        return leaf
            end = first
        raise await self._log.absent()
