"""LogService: proofs that a stranger checks, and openings for those alone who may see the fact."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import pytest

from tests.support.connect import JsonApi
from tests.support.log import POLICY, SIGNER, earlier_batch_fact, published, sequenced
from tests.support.service import Caller, Lot, World, made, refused, second_node
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.fact import decisions_chain, evidence_fact, issuer_chain
from tracechain.domain.log.leaf import Leaf, commitment
from tracechain.domain.log.merkle import leaf_hash, verify_consistency
from tracechain.domain.log.note import Note
from tracechain.domain.log.proof import LogProof
from tracechain.v1 import admin_pb2, issuance_pb2, log_pb2, supervision_pb2, verification_pb2
from tracechain_client import AsyncClient, LogTrust, MemoryPin

COMPACT = issuance_pb2.CODE_PROFILE_COMPACT


def proved(leaf: log_pb2.LogLeaf) -> Checkpoint:
    """The checkpoint in which a leaf is, once that is shown."""
    proof = LogProof.parse(leaf.proof)
    assert proof.index == leaf.leaf_index
    return proof.verify(leaf_hash(leaf.entry), POLICY).checkpoint


def opened(leaf: log_pb2.LogLeaf) -> dict[str, Any]:
    """The fact of a leaf, once it is shown to be its fact, and in the log."""
    proved(leaf)
    assert Leaf.parse(leaf.entry).commitment == commitment(leaf.salt, leaf.fact)
    fact: dict[str, Any] = json.loads(leaf.fact)
    return fact


async def leaves(caller: Caller, name: str, **fields: Any) -> Sequence[log_pb2.LogLeaf]:
    answer = await caller.log.ListLeaves(log_pb2.ListLeavesRequest(name=name, **fields))
    found: Sequence[log_pb2.LogLeaf] = answer.leaves
    return found


async def test_any_leaf_is_proved_to_anybody_and_opened_to_nobody(world: World) -> None:
    await world.lot()
    checkpoint = await published(world.app.store)
    said = await world.nobody.log.GetCheckpoint(log_pb2.GetCheckpointRequest())
    assert POLICY.accept(Note.parse(said.note)).checkpoint == checkpoint
    assert (said.origin, said.tree_size, said.root_hash) == (
        checkpoint.origin, checkpoint.size, checkpoint.root,
    )  # fmt: skip
    for index in {0, 1, checkpoint.size // 2, checkpoint.size - 1}:
        leaf = await world.nobody.log.GetInclusionProof(
            log_pb2.GetInclusionProofRequest(leaf_index=index)
        )
        assert leaf.leaf_index == index
        assert proved(leaf) == checkpoint
        assert (leaf.salt, leaf.fact) == (b"", "")


async def test_a_later_tree_continues_an_earlier_one(world: World, api: JsonApi) -> None:
    await world.lot()
    old = await published(world.app.store)
    await world.lot()
    new = await published(world.app.store)
    ask = world.nobody.log.GetConsistencyProof
    for first, second in ((old, new), (new, new)):
        answer = await ask(
            log_pb2.GetConsistencyProofRequest(first_size=first.size, second_size=second.size)
        )
        verify_consistency(first.size, second.size, answer.hashes, first.root, second.root)
    for first_size, second_size in ((-1, 1), (2, 1)):
        request = log_pb2.GetConsistencyProofRequest(first_size=first_size, second_size=second_size)
        assert (await refused(ask(request))).reason == "INVALID_TREE_SIZE"
    request = log_pb2.GetConsistencyProofRequest(first_size=1, second_size=new.size + 1)
    assert (await refused(ask(request))).reason == "LEAF_NOT_FOUND"
    refusal = await refused(ask(log_pb2.GetConsistencyProofRequest(second_size=1)))
    assert refusal.violations == (("first_size", "MISSING_FIELD"),)
    said = await api.call(
        "LogService.GetConsistencyProof", {"firstSize": 1, "secondSize": new.size}
    )
    assert len(said["hashes"]) > 0


async def test_a_leaf_that_is_not_published_is_soon(world: World) -> None:
    before = await published(world.app.store)
    ask = world.nobody.log.GetInclusionProof
    request = log_pb2.GetInclusionProofRequest(leaf_index=before.size)
    refusal = await refused(ask(request))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "LEAF_NOT_FOUND")
    lot = await world.lot()
    refusal = await refused(leaves(lot.owner, lot.name))
    assert refusal.reason == "LEAF_NOT_PUBLISHED"
    await sequenced(world.app.store)
    for call in (ask(request), leaves(lot.owner, lot.name)):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.UNAVAILABLE, "LEAF_NOT_PUBLISHED",
        )  # fmt: skip
        assert refusal.retry_after == 1.0
    for index in (-1, (1 << 63) - 1):
        request.leaf_index = index
        assert (await refused(ask(request))).reason == "INVALID_LEAF_INDEX"
    request.leaf_index = (1 << 63) - 2
    assert (await refused(ask(request))).reason == "LEAF_NOT_FOUND"
    await published(world.app.store)
    request.leaf_index = before.size
    proved(await ask(request))
    assert opened((await leaves(lot.owner, lot.name))[0])["lot"] == lot.lot


async def raised(lot: Lot, quantity: int) -> None:
    await lot.owner.issuance.RaiseBatchQuantity(
        issuance_pb2.RaiseBatchQuantityRequest(
            name=lot.name, authorized_quantity=quantity, request_id=str(quantity), reason="more"
        )
    )


async def key_of(world: World, lot: Lot) -> str:
    """The name of the first key of a lot's issuer."""
    answer = await world.operator.admin.ListIssuerKeys(
        admin_pb2.ListIssuerKeysRequest(parent=f"parties/{lot.owner.gln}")
    )
    name: str = answer.keys[0].name
    return name


async def test_what_was_decided_about_a_batch(world: World) -> None:
    lot = await world.lot(quantity=10)
    await raised(lot, 20)
    recall = await lot.recall(world.liaoning)
    await world.liaoning.supervision.LiftRecall(
        supervision_pb2.LiftRecallRequest(name=recall.name, reason="over")
    )
    await published(world.app.store)
    for caller in (lot.owner, world.liaoning, world.operator):
        found = [opened(leaf) for leaf in await leaves(caller, lot.name)]
        kinds = [fact["kind"] for fact in found]
        assert kinds == ["batch", "quantity", "quantity", "recall", "recall_lifted"]
        quantities = [(fact["quantity"], fact["request_id"]) for fact in found[1:3]]
        assert quantities == [(10, ""), (20, "20")]
        found = [opened(leaf) for leaf in await leaves(caller, recall.name)]
        assert [fact["kind"] for fact in found] == ["recall", "recall_lifted"]
    # What was handed out as evidence is in the chains, too, and is none of these.
    evidence = evidence_fact(
        lot.name,
        "x",
        world.jilin.gln,
        1,
        [decisions_chain(lot.number), issuer_chain(lot.owner.gln)],
        "00" * 32,
    )
    await world.app.store.append_fact(evidence)
    await published(world.app.store)
    assert len(await leaves(lot.owner, lot.name)) == 5
    assert opened((await leaves(lot.owner, await key_of(world, lot)))[-1])["kind"] == "key"
    (code,) = await lot.issue(1)
    assert opened((await scanned(world, code.uri)).proof.key)["kind"] == "key"
    pages, token = [], ""
    while True:
        page = await lot.owner.log.ListLeaves(
            log_pb2.ListLeavesRequest(name=lot.name, page_size=3, page_token=token)
        )
        pages.append([opened(leaf)["kind"] for leaf in page.leaves])
        if not (token := page.next_page_token):
            break
    assert pages == [["batch", "quantity", "quantity"], ["recall", "recall_lifted"]]


async def test_events_and_keys_have_leaves(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    (event_id,) = await lot.owner.accepted(made(0, [lot.epc(code)], read_point=lot.owner.place))
    await published(world.app.store)
    (leaf,) = await leaves(lot.owner, event_id)
    fact = opened(leaf)
    assert (fact["kind"], fact["recorder"]) == ("event", lot.owner.gln)
    name = await key_of(world, lot)
    for caller in (lot.owner, world.operator):
        found = [opened(one) for one in await leaves(caller, name)]
        assert found
        assert {fact["key_id"] for fact in found} == {int(name.rpartition("/")[2])}
        assert found[0]["public_key"]


async def test_nobody_opens_what_is_anothers(world: World) -> None:
    lot = await world.lot()
    recall = await lot.recall()
    (code,) = await lot.issue(1)
    (event_id,) = await lot.owner.accepted(made(1, [lot.epc(code)], read_point=lot.owner.place))
    await published(world.app.store)
    key = f"parties/{lot.owner.gln}/keys/1"
    reasons = {
        lot.name: "BATCH_NOT_FOUND",
        recall.name: "BATCH_NOT_FOUND",
        event_id: "EVENT_NOT_FOUND",
        key: "PARTY_NOT_FOUND",
    }
    for caller in (world.other, world.shop, world.jilin):
        for name, reason in reasons.items():
            refusal = await refused(leaves(caller, name))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, reason)


@pytest.mark.parametrize(
    "name", ["x", "products/1", "parties/1/keys/x/y", "products/1/batches/a/b/c", "ni:"]
)
async def test_what_has_no_leaves(world: World, name: str) -> None:
    refusal = await refused(leaves(world.issuer, name))
    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.reason in ("INVALID_NAME", "INVALID_EVENT_ID")


async def test_what_is_older_than_the_log_has_no_leaf(world: World) -> None:
    await published(world.app.store)
    refusal = await refused(leaves(world.issuer, f"parties/{world.issuer.gln}/keys/65535"))
    assert refusal.reason == "LEAF_NOT_FOUND"


async def scanned(world: World, code: str, *, proof: bool = True) -> verification_pb2.Verdict:
    """The verdict on a scan."""
    request = verification_pb2.VerifyCodeRequest(code=code, include_proof=proof)
    answer: verification_pb2.Verdict = await world.nobody.verification.VerifyCode(request)
    return answer


async def test_a_verdict_carries_the_proof_of_its_issue(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(1)
    absent = (await scanned(world, codes[0].uri)).proof
    assert absent == verification_pb2.IssueProof(absent_reason="LEAF_NOT_PUBLISHED")
    await published(world.app.store)
    verdict = await scanned(world, codes[0].uri)
    batch, key = opened(verdict.proof.batch), opened(verdict.proof.key)
    assert (batch["kind"], batch["gtin"], batch["lot"]) == ("batch", verdict.gtin, verdict.lot)
    assert (key["issuer_gln"], key["revoke_time"]) == (lot.owner.gln, None)
    # All proofs of an answer are in one tree.
    assert proved(verdict.proof.batch) == proved(verdict.proof.key)
    assert not (await scanned(world, codes[0].uri, proof=False)).HasField("proof")
    forged = codes[0].uri[:-4] + "AAAA"
    assert (await scanned(world, forged)).proof.absent_reason == "CODE_NOT_ISSUED"


async def test_proofs_come_in_batches_and_streams_too(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(2)
    await published(world.app.store)
    requests = [
        verification_pb2.VerifyCodeRequest(code=code.uri, include_proof=n == 1)
        for n, code in enumerate(codes)
    ]
    answer = await world.nobody.verification.BatchVerifyCodes(
        verification_pb2.BatchVerifyCodesRequest(requests=requests)
    )
    assert [v.HasField("proof") for v in answer.verdicts] == [False, True]
    assert opened(answer.verdicts[1].proof.batch)["lot"] == lot.lot
    call = world.nobody.verification.StreamVerifyCodes(
        iter(
            [
                verification_pb2.StreamVerifyCodesRequest(sequence=n, request=request)
                for n, request in enumerate(requests)
            ]
        )
    )
    found = {answer.sequence: answer.verdict async for answer in call}
    assert {n: v.HasField("proof") for n, v in found.items()} == {0: False, 1: True}


async def test_the_proof_of_a_verdict_tells_no_volume(world: World) -> None:
    """Batches that differ in nothing but quantities, and units at different places in them, have
    proofs that differ in nothing but the batches' names, numbers and times."""
    said = []
    for quantity, raises in ((3, ()), (2, (40_003, 90_007))):
        lot = await world.lot(quantity=quantity)
        for more in raises:
            await raised(lot, more)
        codes = await lot.issue(3)
        await published(world.app.store)
        for code in (codes[0], codes[2]):
            proof = (await scanned(world, code.uri)).proof
            assert {field.name for field, _ in proof.ListFields()} == {"batch", "key"}
            batch, key = opened(proof.batch), opened(proof.key)
            own = {"gtin": lot.gtin, "lot": lot.lot, "batch_number": lot.number}
            assert own.items() <= batch.items()
            said.append([{**batch, **dict.fromkeys([*own, "time"])}, key])
    assert said == said[:1] * 4


async def test_a_leaf_that_tells_a_quantity_is_opened_to_no_stranger(world: World) -> None:
    async with second_node(world, log=False) as older:
        lot = await older.lot()
        (code,) = await lot.issue(1)
    batch = await world.app.store.find_batch(lot.gtin, lot.lot)
    assert batch is not None
    await world.app.store.append_fact(earlier_batch_fact(batch))
    await published(world.app.store)
    withheld = verification_pb2.IssueProof(absent_reason="LEAF_TELLS_QUANTITY")
    assert (await scanned(world, code.uri)).proof == withheld
    (leaf,) = await leaves(world.operator, lot.name)
    assert opened(leaf)["authorized_quantity"] == batch.authorized_quantity


async def test_a_service_may_prove_no_verdicts(
    make_world: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with make_world(verdict_proofs=False) as world:
        lot = await world.lot()
        (code,) = await lot.issue(1)
        await published(world.app.store)
        verdict = await scanned(world, code.uri)
        assert verdict.proof.absent_reason == "PROOFS_DISABLED"
        assert not verdict.proof.HasField("batch")


async def test_a_client_believes_the_proof_and_pins_the_log(world: World) -> None:
    lot = await world.lot()
    signed = [*await lot.issue(2), *await lot.issue(1, "compact", profile=COMPACT)]
    trust = LogTrust(str(SIGNER.key), MemoryPin())
    async with AsyncClient(world.target) as client:
        for code in signed:
            checkpoint = await published(world.app.store)
            proved = await client.verify_with_proof(code.uri, trust)
            assert proved.issue is not None, proved.verdict
            assert (proved.issue.lot, proved.issue.issuer) == (lot.lot, lot.owner.gln)
            assert proved.issue.tree_size == checkpoint.size
            assert POLICY.accept(Note.parse(trust.pin.load() or b"")).checkpoint == checkpoint
            await world.lot()
