"""A log that is published at once: every fact that waits gets its place, and a signature."""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tracechain.app.ports import Store
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.fact import Fact, batch_fact
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.policy import Log, Policy
from tracechain.domain.product import Batch

SIGNER = NoteSigner("log.example/test", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
POLICY = Policy((Log(SIGNER.key),))
_HOLDER = "the test"
# Beyond every other lease: what the service does by itself ends when a test does it.
_FAR = 1 << 60


async def sequenced(store: Store) -> tuple[int, Checkpoint]:
    """Gives every fact that waits its place; the fencing number, and the tree then."""
    fence = await store.take_log_lease(_HOLDER, _FAR, _FAR + 1)
    assert fence is not None
    head = await store.sequence(fence, 1000)
    while (await store.pending_facts())[0]:
        head = await store.sequence(fence, 1000)
    assert head is not None
    return fence, Checkpoint(SIGNER.name, head.size, head.root)


async def published(store: Store) -> Checkpoint:
    """The same, and its checkpoint is published."""
    fence, checkpoint = await sequenced(store)
    assert await store.put_checkpoint(fence, checkpoint.size, signed(checkpoint))
    return checkpoint


def earlier_batch_fact(batch: Batch) -> Fact:
    """The fact of a batch as it was when it told the first quantity as well."""
    fact = batch_fact(batch)
    told = {**json.loads(fact.text), "authorized_quantity": batch.authorized_quantity}
    return fact._replace(text=json.dumps(told, ensure_ascii=False, separators=(",", ":")))


def signed(checkpoint: Checkpoint, signer: NoteSigner = SIGNER) -> bytes:
    """The note of a checkpoint."""
    return Note(checkpoint.text, (signer.sign(checkpoint.text),)).encode()
