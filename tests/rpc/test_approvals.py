"""Acts that take two credentials, over a socket: proposed by one, done once another allows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from tests.support.service import (
    Caller,
    Lot,
    Refusal,
    World,
    gathered,
    make_key,
    refused,
    running_world,
)
from tracechain.bootstrap.access import four_eyes
from tracechain.domain.errors import Unavailable
from tracechain.settings import Settings
from tracechain.v1 import admin_pb2, annotations_pb2, issuance_pb2, party_pb2

MANY = 4


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A service that asks for four eyes wherever it can."""
    fields = {"four_eyes": "mass_revocation, quantity", "mass_revocation": 1000}
    async with running_world(tmp_path_factory.mktemp("strict"), **fields) as running:
        yield running


async def another(world: World, known: Caller, label: str = "second") -> Caller:
    """A second credential of a caller's party."""
    assert known.role is not None
    key = await make_key(world.operator, known.gln, known.role, label=label)
    return Caller(world.channel, known.gln, known.role, key)


def raise_to(caller: Caller, lot: Lot, quantity: int, request_id: str, reason: str = "x") -> Any:
    return caller.issuance.RaiseBatchQuantity(
        issuance_pb2.RaiseBatchQuantityRequest(
            name=lot.name, authorized_quantity=quantity, reason=reason, request_id=request_id
        )
    )


async def quantity(lot: Lot) -> int:
    batch = await lot.owner.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=lot.name))
    return int(batch.authorized_quantity)


def proposed(refusal: Refusal) -> str:
    """The proposal that a refused call left behind."""
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "APPROVAL_REQUIRED",
    )
    return refusal.metadata["approval"]


async def approve(caller: Caller, name: str) -> admin_pb2.Approval:
    answer: admin_pb2.Approval = await caller.admin.Approve(admin_pb2.ApproveRequest(name=name))
    return answer


def reject(caller: Caller, name: str) -> Any:
    return caller.admin.Reject(admin_pb2.RejectRequest(name=name))


def state(approval: admin_pb2.Approval) -> str:
    return admin_pb2.ApprovalState.Name(approval.state).removeprefix("APPROVAL_STATE_")


async def listed(caller: Caller) -> dict[str, admin_pb2.Approval]:
    found: dict[str, admin_pb2.Approval] = {}
    request = admin_pb2.ListApprovalsRequest(page_size=2)
    while True:
        page = await caller.admin.ListApprovals(request)
        found |= {approval.name: approval for approval in page.approvals}
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def test_a_quantity_is_raised_once_a_second_credential_allows_it(strict: World) -> None:
    lot = await strict.lot()
    name = proposed(await refused(raise_to(strict.issuer, lot, 150, "r1")))
    assert proposed(await refused(raise_to(strict.issuer, lot, 150, "r1"))) == name
    assert await quantity(lot) == 100
    found = (await listed(strict.issuer))[name]
    assert (state(found), found.operation, found.subject) == (
        "PENDING", "raise_quantity", lot.name
    )  # fmt: skip
    assert found.arguments["quantity"] == "150"
    error = await refused(approve(strict.issuer, name))
    assert (error.code, error.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "APPROVER_IS_PROPOSER",
    )
    second = await another(strict, strict.issuer)
    done = await approve(second, name)
    assert (state(done), done.decider_gln) == ("DONE", strict.issuer.gln)
    assert done.decider_credential != done.proposer_credential
    assert await quantity(lot) == 150
    # Repeated, neither the decision nor the act is a second one.
    assert await approve(second, name) == done
    assert (await raise_to(strict.issuer, lot, 150, "r1")).authorized_quantity == 150
    assert (await refused(reject(second, name))).reason == "APPROVAL_DECIDED"


async def test_what_was_rejected_is_not_done_and_can_be_proposed_anew(strict: World) -> None:
    lot = await strict.lot()
    name = proposed(await refused(raise_to(strict.issuer, lot, 150, "r1")))
    rejected = await reject(strict.operator, name)
    assert state(rejected) == "REJECTED"
    assert await reject(strict.operator, name) == rejected
    for call in (approve(strict.operator, name), raise_to(strict.issuer, lot, 150, "r1")):
        assert (await refused(call)).reason == "APPROVAL_REJECTED"
    anew = proposed(await refused(raise_to(strict.issuer, lot, 150, "r2")))
    assert anew != name
    # Who proposed it may take it back.
    assert state(await reject(strict.issuer, anew)) == "REJECTED"
    assert await quantity(lot) == 100


async def test_a_proposal_says_what_it_is_and_stays_it(strict: World) -> None:
    lot = await strict.lot()
    proposed(await refused(raise_to(strict.issuer, lot, 150, "r1")))
    error = await refused(raise_to(strict.issuer, lot, 900, "r1"))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED")
    # What could not be done is not proposed.
    before = await listed(strict.operator)
    error = await refused(raise_to(strict.issuer, lot, 1 << 32, "r2"))
    assert error.reason == "INVALID_QUANTITY"
    stranger = Lot(strict.other, lot.gtin, lot.lot, 0)
    assert (await refused(raise_to(strict.other, stranger, 150, "r3"))).reason == "BATCH_NOT_FOUND"
    assert await listed(strict.operator) == before


async def test_anothers_proposal_does_not_exist(strict: World) -> None:
    lot = await strict.lot()
    name = proposed(await refused(raise_to(strict.issuer, lot, 150, "r1")))
    for given in (name, f"approvals/{'0' * 32}"):
        for call in (approve(strict.other, given), reject(strict.other, given)):
            error = await refused(call)
            assert (error.code, error.reason) == (
                grpc.StatusCode.NOT_FOUND,
                "APPROVAL_NOT_FOUND",
            )
    assert name not in await listed(strict.other)
    assert name in await listed(strict.operator)
    assert await quantity(lot) == 100


async def test_of_many_who_approve_at_once_the_act_has_its_effect_once(strict: World) -> None:
    lot = await strict.lot()
    name = proposed(await refused(raise_to(strict.issuer, lot, 150, "r1")))
    found = await gathered(approve(strict.operator, name) for _ in range(8))
    assert {state(answer) for answer in found} == {"DONE"}
    assert await quantity(lot) == 150


async def test_an_act_that_was_cut_off_is_ended_by_approving_again(
    strict: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lot = await strict.lot()
    name = proposed(await refused(raise_to(strict.issuer, lot, 150, "r1")))
    store = strict.app.store
    for method in ("raise_quantity", "finish_approval"):
        real = getattr(store, method)

        async def cut(*arguments: Any, real: Any = real, **named: Any) -> Any:
            await real(*arguments, **named)
            raise Unavailable("STORE_UNAVAILABLE", "injected: all was written")

        with monkeypatch.context() as patch:
            patch.setattr(store, method, cut)
            assert (await refused(approve(strict.operator, name))).reason == "STORE_UNAVAILABLE"
    assert state(await approve(strict.operator, name)) == "DONE"
    assert await quantity(lot) == 150


async def test_the_last_key_of_an_issuer_is_revoked_by_two(strict: World) -> None:
    parent = f"parties/{strict.other.gln}"
    keys = await strict.other.admin.ListIssuerKeys(admin_pb2.ListIssuerKeysRequest(parent=parent))
    (last,) = keys.keys

    def revoke(request_id: str = "") -> Any:
        return strict.other.admin.RevokeIssuerKey(
            admin_pb2.RevokeIssuerKeyRequest(name=last.name, reason="leak", request_id=request_id)
        )

    error = await refused(revoke())
    assert error.violations == (("request_id", "MISSING_FIELD"),)
    name = proposed(await refused(revoke("r1")))
    await asyncio.sleep(0.01)
    assert state(await approve(strict.operator, name)) == "DONE"
    revoked = await revoke("r1")
    assert revoked.state == party_pb2.KEY_STATE_REVOKED
    # From when it was proposed: what was issued since then waited for the decision too.
    asked = (await listed(strict.operator))[name].create_time
    assert revoked.revoke_time == asked
    # One that others sign beside takes one person.
    for number in (1, 2):
        await strict.other.admin.CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(parent=parent, request_id=f"n{number}")
        )
    keys = await strict.other.admin.ListIssuerKeys(admin_pb2.ListIssuerKeysRequest(parent=parent))
    request = admin_pb2.RevokeIssuerKeyRequest(name=keys.keys[-1].name)
    assert (await strict.other.admin.RevokeIssuerKey(request)).HasField("revoke_time")


async def test_many_revocations_within_an_hour_take_two(tmp_path_factory: Any) -> None:
    fields = {"four_eyes": "mass_revocation", "mass_revocation": MANY}
    async with running_world(tmp_path_factory.mktemp("many"), **fields) as world:
        parent = f"parties/{world.shop.gln}"
        made = []
        for number in range(MANY + 2):
            answer = await world.operator.admin.CreateCredential(
                admin_pb2.CreateCredentialRequest(
                    parent=parent,
                    credential=party_pb2.Credential(role=annotations_pb2.ROLE_HANDLER),
                    request_id=f"n{number}",
                )
            )
            made.append(answer.credential.name)

        def revoke(name: str) -> Any:
            return world.operator.admin.RevokeCredential(
                admin_pb2.RevokeCredentialRequest(name=name, request_id=name[-16:])
            )

        for name in made[:MANY]:
            assert (await revoke(name)).HasField("revoke_time")
        approval = proposed(await refused(revoke(made[MANY])))
        # To repeat one that is revoked is no further one.
        assert (await revoke(made[0])).HasField("revoke_time")
        second = await another(world, world.operator)
        assert state(await approve(second, approval)) == "DONE"
        assert (await revoke(made[MANY])).HasField("revoke_time")
        # Keys count beside credentials; a quantity is one person's here.
        await world.issuer.admin.CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{world.issuer.gln}", request_id="k")
        )
        keys = await world.issuer.admin.ListIssuerKeys(
            admin_pb2.ListIssuerKeysRequest(parent=f"parties/{world.issuer.gln}")
        )
        request = admin_pb2.RevokeIssuerKeyRequest(name=keys.keys[0].name, request_id="k")
        proposed(await refused(world.issuer.admin.RevokeIssuerKey(request)))
        lot = await world.lot()
        assert (await raise_to(world.issuer, lot, 150, "r1")).authorized_quantity == 150


async def test_a_proposal_expires(strict: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lot = await strict.lot()
    second = await another(strict, strict.issuer, "expiry")
    name = proposed(await refused(raise_to(strict.issuer, lot, 150, "r1")))
    approving = strict.app.approving
    now = approving._clock()
    monkeypatch.setattr(approving, "_clock", lambda: now + 25 * 3_600_000_000)
    for call in (
        approve(second, name),
        reject(second, name),
        raise_to(strict.issuer, lot, 150, "r1"),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "APPROVAL_EXPIRED",
        )
    assert await quantity(lot) == 100


async def test_what_a_revoked_credential_proposed_is_not_done(strict: World) -> None:
    lot = await strict.lot()
    thief = await another(strict, strict.issuer, "thief")
    done = proposed(await refused(raise_to(thief, lot, 150, "r1")))
    waits = proposed(await refused(raise_to(thief, lot, 200, "r2")))
    kept = await approve(strict.issuer, done)
    credential = f"parties/{thief.gln}/credentials/{kept.proposer_credential}"
    await strict.operator.admin.RevokeCredential(
        admin_pb2.RevokeCredentialRequest(name=credential, request_id="stolen")
    )
    for approver in (strict.issuer, strict.operator):
        error = await refused(approve(approver, waits))
        assert (error.code, error.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "PROPOSER_REVOKED",
        )
    assert await quantity(lot) == 150
    assert state((await listed(strict.issuer))[waits]) == "PENDING"
    assert state(await reject(strict.issuer, waits)) == "REJECTED"
    # What was decided before stays so.
    assert await approve(strict.issuer, done) == kept


async def test_a_setting_that_names_no_act_is_refused() -> None:
    assert [act.value for act in four_eyes(Settings())] == ["root", "mass_revocation"]
    assert four_eyes(Settings(four_eyes=" , ")) == []
    with pytest.raises(Unavailable) as caught:
        four_eyes(Settings(four_eyes="quantity, everything"))
    assert caught.value.reason == "SETTING_INVALID"
