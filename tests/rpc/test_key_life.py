"""The life of an issuer's keys over a socket: what signs, what verifies, and what a revocation
means for codes from before it and from after it."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.clock import HandClock
from tests.support.service import (
    RESOLVER,
    Caller,
    Lot,
    World,
    gln_of,
    make_key,
    outcome,
    reasons,
    refused,
    running_world,
    second_node,
    uscc_of,
)
from tracechain.domain.code import parse_code
from tracechain.domain.party import Role
from tracechain.v1 import (
    admin_pb2,
    issuance_pb2,
    party_pb2,
    verification_pb2,
)

fresh = itertools.count(700).__next__


async def new_issuer(world: World) -> Caller:
    """An issuer of a test's own, without a key."""
    number = fresh()
    gln = gln_of(number)
    party = party_pb2.Party(
        gln=gln, uscc=uscc_of(number), region="210102", kind=party_pb2.PARTY_KIND_ISSUER,
        display_name=party_pb2.LocalizedText(zh="酒厂"),
    )  # fmt: skip
    await world.operator.admin.CreateParty(admin_pb2.CreatePartyRequest(party=party))
    api_key = await make_key(world.operator, gln, Role.ISSUER)
    return Caller(world.channel, gln, Role.ISSUER, api_key)


@pytest_asyncio.fixture(loop_scope="session")
async def issuer(world: World) -> AsyncIterator[Caller]:
    yield await new_issuer(world)


@pytest_asyncio.fixture(loop_scope="session")
async def ahead(
    world: World, issuer: Caller, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[World, Caller, HandClock]]:
    """A node whose clock the test moves, and the issuer as its caller."""
    clock = HandClock(time.time_ns() // 1000)
    monkeypatch.setattr("tracechain.bootstrap.app.clock", clock)
    async with second_node(world) as node:
        yield node, Caller(node.channel, issuer.gln, Role.ISSUER, issuer.api_key), clock


def parent(issuer: Caller) -> str:
    return f"parties/{issuer.gln}"


def stamp(seconds: float = 0) -> Timestamp:
    """So many seconds from now."""
    made = Timestamp()
    made.FromNanoseconds(int((time.time() + seconds) * 1e6) * 1000)
    return made


async def create(issuer: Caller, request_id: str = "first", **fields: Any) -> party_pb2.IssuerKey:
    request = admin_pb2.CreateIssuerKeyRequest(
        parent=parent(issuer), request_id=request_id, **fields
    )
    made: party_pb2.IssuerKey = await issuer.admin.CreateIssuerKey(request)
    return made


async def rotate(issuer: Caller, request_id: str, **fields: Any) -> party_pb2.IssuerKey:
    request = admin_pb2.RotateIssuerKeyRequest(
        parent=parent(issuer), request_id=request_id, **fields
    )
    made: party_pb2.IssuerKey = await issuer.admin.RotateIssuerKey(request)
    return made


async def revoke(issuer: Caller, name: str, **fields: Any) -> party_pb2.IssuerKey:
    request = admin_pb2.RevokeIssuerKeyRequest(name=name, **fields)
    made: party_pb2.IssuerKey = await issuer.admin.RevokeIssuerKey(request)
    return made


async def listed(issuer: Caller) -> list[party_pb2.IssuerKey]:
    request = admin_pb2.ListIssuerKeysRequest(parent=parent(issuer))
    return list((await issuer.admin.ListIssuerKeys(request)).keys)


def state(key: party_pb2.IssuerKey) -> str:
    return party_pb2.KeyState.Name(key.state).removeprefix("KEY_STATE_")


def signer(code: issuance_pb2.Code) -> int:
    return parse_code(code.uri, RESOLVER).key_id


# --- pending, active, retired


async def test_a_pending_key_signs_once_it_is_activated(world: World, issuer: Caller) -> None:
    lot = await world.lot(issuer)
    key = await create(issuer, pending=True)
    assert (state(key), key.HasField("activate_time")) == ("PENDING", False)
    error = await refused(lot.issue(1, "too early"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_SIGNING_KEY")
    request = admin_pb2.ActivateIssuerKeyRequest(name=key.name, request_id="a")
    active = await issuer.admin.ActivateIssuerKey(request)
    assert (state(active), active.key_id) == ("ACTIVE", key.key_id)
    assert await issuer.admin.ActivateIssuerKey(request) == active
    (code,) = await lot.issue(1, "now")
    assert signer(code) == key.key_id
    assert outcome(await world.verify(code.uri)) == "GENUINE"


async def test_a_key_signs_from_the_moment_that_was_said(
    ahead: tuple[World, Caller, HandClock],
) -> None:
    node, issuer, clock = ahead
    lot = await node.lot(issuer)
    old = await create(issuer, "old")
    later = await create(issuer, "later", activate_time=stamp(60))
    assert state(later) == "PENDING"
    assert signer((await lot.issue(1, "before"))[0]) == old.key_id
    clock.now = later.activate_time.ToMicroseconds()
    assert signer((await lot.issue(1, "after"))[0]) == later.key_id
    # Sooner than planned is possible, later is not.
    request = admin_pb2.ActivateIssuerKeyRequest(name=later.name, activate_time=stamp(3600))
    assert (await issuer.admin.ActivateIssuerKey(request)).activate_time == later.activate_time


async def test_a_rotation_retires_what_signed_and_what_it_signed_stays_good(
    world: World, issuer: Caller
) -> None:
    lot = await world.lot(issuer)
    old = await create(issuer, "old", algorithm=party_pb2.ALGORITHM_ED25519)
    spare = await create(issuer, "spare", pending=True)
    before = await lot.issue(2, "before")
    new = await rotate(issuer, "rotation")
    assert (state(new), new.algorithm) == ("ACTIVE", party_pb2.ALGORITHM_ES256), "as the newest"
    assert await rotate(issuer, "rotation") == new
    keys = {key.key_id: key for key in await listed(issuer)}
    assert {key_id: state(key) for key_id, key in keys.items()} == {
        old.key_id: "RETIRED", spare.key_id: "PENDING", new.key_id: "ACTIVE"
    }  # fmt: skip
    assert keys[old.key_id].retire_time == new.activate_time
    (after,) = await lot.issue(1, "after")
    assert (signer(before[0]), signer(after)) == (old.key_id, new.key_id)
    for code in (*before, after):
        assert outcome(await world.verify(code.uri)) == "GENUINE"
    # An order goes on under the key that it was begun with.
    assert await lot.issue(2, "before") == before


async def test_a_rotation_ahead_overlaps_nothing_and_leaves_no_gap(
    ahead: tuple[World, Caller, HandClock],
) -> None:
    node, issuer, clock = ahead
    lot = await node.lot(issuer)
    old = await create(issuer, "old")
    new = await rotate(issuer, "rotation", activate_time=stamp(60))
    (was, will) = await listed(issuer)
    assert (state(was), state(will)) == ("ACTIVE", "PENDING")
    assert was.retire_time == new.activate_time
    assert signer((await lot.issue(1, "before"))[0]) == old.key_id
    clock.now = new.activate_time.ToMicroseconds() - 1
    assert signer((await lot.issue(1, "still before"))[0]) == old.key_id
    clock.now += 1
    assert signer((await lot.issue(1, "after"))[0]) == new.key_id
    assert [state(key) for key in await listed(issuer)] == ["RETIRED", "ACTIVE"]


async def test_a_retired_key_signs_no_more_and_cannot_come_back(
    world: World, issuer: Caller
) -> None:
    lot = await world.lot(issuer)
    key = await create(issuer)
    (code,) = await lot.issue(1, "before")
    request = admin_pb2.RetireIssuerKeyRequest(name=key.name, request_id="r")
    retired = await issuer.admin.RetireIssuerKey(request)
    assert state(retired) == "RETIRED"
    assert await issuer.admin.RetireIssuerKey(request) == retired
    assert (await refused(lot.issue(1, "after"))).reason == "NO_SIGNING_KEY"
    assert outcome(await world.verify(code.uri)) == "GENUINE"
    error = await refused(
        issuer.admin.ActivateIssuerKey(admin_pb2.ActivateIssuerKeyRequest(name=key.name))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "KEY_RETIRED")


async def test_a_revoked_key_is_neither_activated_nor_retired(issuer: Caller) -> None:
    key = await create(issuer, pending=True)
    await revoke(issuer, key.name)
    for call in (
        issuer.admin.ActivateIssuerKey(admin_pb2.ActivateIssuerKeyRequest(name=key.name)),
        issuer.admin.RetireIssuerKey(admin_pb2.RetireIssuerKeyRequest(name=key.name)),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "KEY_REVOKED")


async def test_no_change_is_made_in_the_past(issuer: Caller) -> None:
    key = await create(issuer)
    past = stamp(-60)
    calls = {
        "activate_time": (
            create(issuer, "past", activate_time=past),
            rotate(issuer, "past", activate_time=past),
            issuer.admin.ActivateIssuerKey(
                admin_pb2.ActivateIssuerKeyRequest(name=key.name, activate_time=past)
            ),
        ),
        "retire_time": (
            issuer.admin.RetireIssuerKey(
                admin_pb2.RetireIssuerKeyRequest(name=key.name, retire_time=past)
            ),
        ),
    }
    for field, several in calls.items():
        for call in several:
            assert (await refused(call)).violations == ((field, "TIME_IN_PAST"),)
    assert len(await listed(issuer)) == 1


# --- revoked


@pytest.mark.parametrize(
    ("earlier", "before"),
    [
        (party_pb2.JUDGE_EARLIER_ACCEPT, ("GENUINE", "ISSUED", ["FIRST_SCAN"])),
        (party_pb2.JUDGE_EARLIER_UNSPECIFIED, ("CAUTION", "ISSUED", ["KEY_REVOKED", "FIRST_SCAN"])),
        (party_pb2.JUDGE_EARLIER_CAUTION, ("CAUTION", "ISSUED", ["KEY_REVOKED", "FIRST_SCAN"])),
        (party_pb2.JUDGE_EARLIER_REFUSE,
         ("COUNTERFEIT", "ISSUED", ["KEY_REVOKED", "FIRST_SCAN"])),
    ],
    ids=["accept", "unspecified", "caution", "refuse"],
)  # fmt: skip
@pytest.mark.parametrize("profile", [issuance_pb2.CODE_PROFILE_SIGNED,
                                     issuance_pb2.CODE_PROFILE_COMPACT])  # fmt: skip
async def test_a_revocation_judges_codes_by_when_they_were_issued(
    world: World, issuer: Caller, earlier: Any, before: tuple[str, str, list[str]], profile: Any
) -> None:
    lot = await world.lot(issuer)
    key = await create(issuer)
    old = await lot.issue(2, "old", profile=profile)
    leaked = stamp()
    new = await lot.issue(2, "new", profile=profile)
    revoked = await revoke(issuer, key.name, revoke_time=leaked, judge_earlier=earlier)
    assert (state(revoked), revoked.revoke_time) == ("REVOKED", leaked)
    assert revoked.judge_earlier == (earlier or party_pb2.JUDGE_EARLIER_CAUTION)
    for code in old:
        verdict = await world.verify(code.uri)
        issuance = verification_pb2.Issuance.Name(verdict.issuance).removeprefix("ISSUANCE_")
        assert (outcome(verdict), issuance, reasons(verdict)) == before
    for code in new:
        verdict = await world.verify(code.uri)
        assert verdict.issuance == verification_pb2.ISSUANCE_NOT_ISSUED
        assert outcome(verdict) == "COUNTERFEIT"
        assert reasons(verdict) == ["ISSUED_AFTER_REVOCATION", "FIRST_SCAN"]
        assert "12315" in verdict.message.zh


async def test_what_nobody_would_believe_is_neither_claimed_nor_printed(
    world: World, issuer: Caller
) -> None:
    lot = await world.lot(issuer)
    key = await create(issuer)
    (good,) = await lot.issue(1, "good", include_pins=True)
    leaked = stamp()
    (bad,) = await lot.issue(1, "bad", include_pins=True)
    await create(issuer, "next")
    await revoke(issuer, key.name, revoke_time=leaked, judge_earlier=party_pb2.JUDGE_EARLIER_ACCEPT)

    async def claimed(code: issuance_pb2.Code) -> int:
        request = verification_pb2.ClaimUnitRequest(
            code=code.uri, pin=code.pin, context=verification_pb2.ScanContext(device_id="mine")
        )
        return int((await world.nobody.verification.ClaimUnit(request)).status)

    assert await claimed(good) == verification_pb2.CLAIM_STATUS_CLAIMED
    assert await claimed(bad) == verification_pb2.CLAIM_STATUS_NOT_ISSUED
    assert await lot.issue(1, "good", include_pins=True) == [good]
    labels = issuance_pb2.RenderLabelsRequest(
        parent=lot.name, order="bad", format=issuance_pb2.LABEL_FORMAT_PDF
    )
    for call in (lot.issue(1, "bad"), issuer.issuance.RenderLabels(labels)):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "KEY_REVOKED")


async def test_a_revocation_is_tightened_and_never_loosened(world: World, issuer: Caller) -> None:
    lot = await world.lot(issuer)
    key = await create(issuer)
    moment = stamp()
    (code,) = await lot.issue(1)
    first = await revoke(issuer, key.name, judge_earlier=party_pb2.JUDGE_EARLIER_ACCEPT)
    assert outcome(await world.verify(code.uri)) == "GENUINE"
    # Said again without a judgement: nothing changes, whatever is configured.
    assert await revoke(issuer, key.name) == first
    sooner = await revoke(issuer, key.name, revoke_time=moment)
    assert (sooner.revoke_time, sooner.judge_earlier) == (moment, first.judge_earlier)
    assert reasons(await world.verify(code.uri))[0] == "ISSUED_AFTER_REVOCATION"
    assert await revoke(issuer, key.name, judge_earlier=party_pb2.JUDGE_EARLIER_ACCEPT) == sooner


async def test_an_unknown_judgement_is_refused(issuer: Caller) -> None:
    key = await create(issuer)
    error = await refused(revoke(issuer, key.name, judge_earlier=99))
    assert error.violations == (("judge_earlier", "INVALID_ENUM_VALUE"),)
    assert [state(key) for key in await listed(issuer)] == ["ACTIVE"]


async def test_another_node_signs_no_more_with_what_was_retired_here(world: World) -> None:
    issuer = await new_issuer(world)
    lot = await world.lot(issuer)
    await create(issuer, "old")
    # It would see the change by itself only after an hour.
    async with second_node(world, key_poll_ms=3_600_000) as other:
        there = Lot(Caller(other.channel, issuer.gln, Role.ISSUER, issuer.api_key),
                    lot.gtin, lot.lot, lot.number)  # fmt: skip
        await there.issue(1, "before")
        new = await rotate(issuer, "rotation")
        assert signer((await there.issue(1, "after"))[0]) == new.key_id


async def test_the_service_judges_as_it_is_configured(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("strict")
    async with running_world(folder, judge_earlier="refuse") as strict:
        lot = await strict.lot()
        (code,) = await lot.issue(1)
        (key,) = await listed(strict.issuer)
        revoked = await revoke(strict.issuer, key.name)
        assert revoked.judge_earlier == party_pb2.JUDGE_EARLIER_REFUSE
        verdict = await strict.verify(code.uri)
        assert (outcome(verdict), reasons(verdict)[0]) == ("COUNTERFEIT", "KEY_REVOKED")
