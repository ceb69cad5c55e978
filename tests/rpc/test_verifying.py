"""Scans: each verdict that there is, how often a scan counts, and claims by PIN."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from tests.support.service import (
    RESOLVER,
    TIMEOUT,
    Lot,
    World,
    event,
    gtin_of,
    made,
    outcome,
    packed,
    reasons,
    received,
    refused,
    shipped,
)
from tracechain.domain.code import Profile, format_code
from tracechain.domain.product import Allocation
from tracechain.rpc.verification import VerificationServicer
from tracechain.v1 import admin_pb2, supervision_pb2
from tracechain.v1 import verification_pb2 as pb

COMPACT = 2


def names(verdict: pb.Verdict) -> tuple[str, str, str, str]:
    """Outcome, issuance, state and history as words."""
    return (
        outcome(verdict),
        pb.Issuance.Name(verdict.issuance).removeprefix("ISSUANCE_"),
        pb.UnitState.Name(verdict.state).removeprefix("UNIT_STATE_"),
        pb.History.Name(verdict.history).removeprefix("HISTORY_"),
    )


def forged(world: World, gtin: str, batch: int, index: int, profile: Profile) -> str:
    """A code with a right token of the issuer's own key, for a unit that was never issued."""
    key = world.app.keyring.current(world.issuer.gln)
    ((serial, token),) = key.secret.issue(gtin, batch, index, 1, profile)
    return format_code(RESOLVER, gtin, serial, token)


async def one(world: World, **fields: Any) -> tuple[Lot, str]:
    """A lot and one code of it."""
    lot = await world.lot(**fields)
    (code,) = await lot.issue(1)
    return lot, code.uri


# --- history


async def test_a_first_scan_is_genuine_and_says_what_it_is(world: World) -> None:
    lot, code = await one(world, expiration_date="2036-01-05")
    verdict = await world.verify(code, "phone", "210102")
    assert names(verdict) == ("GENUINE", "ISSUED", "ACTIVE", "FIRST_SCAN")
    assert reasons(verdict) == ["FIRST_SCAN"]
    assert (verdict.gtin, verdict.lot) == (lot.gtin, lot.lot)
    assert verdict.serial in code
    assert verdict.product.zh == "白酒"
    assert verdict.issuer.zh == "issuer公司"
    assert (verdict.production_date, verdict.expiration_date) == ("2026-01-05", "2036-01-05")
    assert verdict.previous_scans == 0
    assert not verdict.HasField("first_scan_time")
    assert verdict.message.zh
    assert verdict.message.en
    assert verdict.verify_time.seconds > 0


async def test_a_second_scan_tells_the_same_device_from_another(world: World) -> None:
    _, code = await one(world)
    first = await world.verify(code, "a")
    again = await world.verify(code, "a")
    assert names(again) == ("GENUINE", "ISSUED", "ACTIVE", "SAME_DEVICE")
    assert reasons(again) == ["SCANNED_BEFORE"]
    assert again.previous_scans == 1
    # The first scan's time is its commit's, so shortly before its answer.
    gap = first.verify_time.ToMicroseconds() - again.first_scan_time.ToMicroseconds()
    assert 0 <= gap < 5_000_000
    other = await world.verify(code, "b")
    assert names(other)[3] == "OTHER_DEVICE"
    assert other.previous_scans == 2
    # Once somebody else has scanned it, the first device is told so too.
    assert names(await world.verify(code, "a"))[3] == "OTHER_DEVICE"


async def test_a_device_that_cannot_be_told_apart_counts_as_another(world: World) -> None:
    _, code = await one(world)
    await world.verify(code)
    assert names(await world.verify(code))[3] == "OTHER_DEVICE"


async def test_a_repeated_request_id_is_the_same_scan(world: World) -> None:
    _, code = await one(world)
    first = await world.verify(code, "a", request_id="r1")
    again = await world.verify(code, "a", request_id="r1")
    assert reasons(first) == reasons(again) == ["FIRST_SCAN"]
    assert again.previous_scans == 0
    await world.verify(code, "a", request_id="r2")
    await world.verify(code, "a", request_id="r2")
    assert (await world.verify(code, "a", request_id="r3")).previous_scans == 2


async def test_a_repeated_request_id_at_once_is_the_same_scan(world: World) -> None:
    _, code = await one(world)
    verdicts = await asyncio.gather(
        *(world.verify(code, "a", request_id="same") for _ in range(20))
    )
    assert [v.previous_scans for v in verdicts] == [0] * 20
    assert (await world.verify(code, "a")).previous_scans == 1


async def test_scans_at_once_are_all_counted_and_one_is_first(world: World) -> None:
    _, code = await one(world)
    verdicts = await asyncio.gather(*(world.verify(code, "a") for _ in range(50)))
    assert sorted(v.previous_scans for v in verdicts) == list(range(50))
    assert sum("FIRST_SCAN" in reasons(v) for v in verdicts) == 1


async def test_two_cities_at_once_are_a_copied_code_for_ever(world: World) -> None:
    _, code = await one(world)
    assert outcome(await world.verify(code, "a", "210102")) == "GENUINE"
    verdict = await world.verify(code, "b", "220102")
    assert names(verdict) == ("CAUTION", "ISSUED", "ACTIVE", "SUSPICIOUS")
    assert "IMPOSSIBLE_TRAVEL" in reasons(verdict)
    assert "IMPOSSIBLE_TRAVEL" in reasons(await world.verify(code, "a", "210102"))


async def test_two_counties_of_a_city_are_no_suspicion(world: World) -> None:
    _, code = await one(world)
    await world.verify(code, "a", "210102")
    assert names(await world.verify(code, "b", "210103"))[3] == "OTHER_DEVICE"


async def test_more_devices_than_a_unit_meets_are_a_copied_code(world: World) -> None:
    _, code = await one(world)
    verdicts = [await world.verify(code, f"device {i}") for i in range(7)]
    assert ["MANY_DEVICES" in reasons(v) for v in verdicts] == [False] * 5 + [True] * 2
    assert names(verdicts[-1])[0::3] == ("CAUTION", "SUSPICIOUS")


# --- was it issued?


async def test_a_changed_token_is_counterfeit_and_leaves_no_scan(world: World) -> None:
    _, code = await one(world)
    at = code.index("?91=") + 20
    changed = code[:at] + ("A" if code[at] != "A" else "B") + code[at + 1 :]
    verdict = await world.verify(changed)
    assert names(verdict) == ("COUNTERFEIT", "NOT_ISSUED", "UNSPECIFIED", "UNSPECIFIED")
    assert reasons(verdict) == ["TOKEN_FALSE"]
    assert reasons(await world.verify(code)) == ["FIRST_SCAN"]


async def test_a_token_moved_to_another_serial_is_counterfeit(world: World) -> None:
    lot = await world.lot()
    a, b = await lot.issue(2)
    moved = f"{a.uri.partition('?91=')[0]}?91={b.uri.partition('?91=')[2]}"
    assert reasons(await world.verify(moved)) == ["TOKEN_FALSE"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code: code.lower(),
        lambda code: code.replace("https", "http"),
        lambda code: code + " ",
        lambda code: code + "=",
        lambda code: code + "&x=1",
        lambda code: code.replace("/21/", "/10/"),
        lambda code: code[:-1],
        lambda code: "白酒",
        lambda code: "\x00",
        lambda code: "x" * 2048,
    ],
)
async def test_what_is_no_code_is_unknown(world: World, spoil: Callable[[str], str]) -> None:
    _, code = await one(world)
    verdict = await world.verify(spoil(code))
    assert names(verdict) == ("UNKNOWN", "UNKNOWN", "UNSPECIFIED", "UNSPECIFIED")
    assert reasons(verdict) == ["MALFORMED_CODE"]


async def test_a_code_of_another_resolver_is_unknown(world: World) -> None:
    _, code = await one(world)
    verdict = await world.verify(code.replace(RESOLVER, "id.evil.example"))
    assert (outcome(verdict), reasons(verdict)) == ("UNKNOWN", ["UNKNOWN_RESOLVER"])


@pytest.mark.parametrize("profile", list(Profile))
async def test_an_index_beyond_what_was_issued_is_counterfeit(
    world: World, profile: Profile
) -> None:
    lot = await world.lot()
    await lot.issue(3)
    verdict = await world.verify(forged(world, lot.gtin, lot.number, 3, profile))
    assert (outcome(verdict), reasons(verdict)) == ("COUNTERFEIT", ["NOT_ISSUED"])
    assert verdict.lot == lot.lot
    # Issued later, it is good: nothing remembers that it was not.
    await lot.issue(1, "more")
    if profile is Profile.SIGNED:
        code = forged(world, lot.gtin, lot.number, 3, profile)
        assert outcome(await world.verify(code)) == "GENUINE"


async def test_what_another_node_issued_a_moment_ago_is_not_called_counterfeit(
    world: World,
) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    assert outcome(await world.verify(code.uri)) == "GENUINE"
    # In the store, and not yet heard of here: this process still remembers one unit.
    key_id = world.app.keyring.current(world.issuer.gln).record.key_id
    more = Allocation(lot.number, "elsewhere", 0, 1, Profile.SIGNED, key_id, 0)
    await world.app.store.allocate(more)
    verdict = await world.verify(forged(world, lot.gtin, lot.number, 1, Profile.SIGNED))
    assert reasons(verdict) == ["FIRST_SCAN"]
    beyond = await world.verify(forged(world, lot.gtin, lot.number, 2, Profile.SIGNED))
    assert reasons(beyond) == ["NOT_ISSUED"]


async def test_the_other_profile_of_an_issued_unit_is_counterfeit(world: World) -> None:
    lot = await world.lot()
    await lot.issue(1)
    code = forged(world, lot.gtin, lot.number, 0, Profile.COMPACT)
    assert reasons(await world.verify(code)) == ["NOT_ISSUED"]


async def test_a_batch_that_never_was_is_counterfeit(world: World) -> None:
    lot = await world.lot()
    code = forged(world, lot.gtin, 2**33 - 5, 0, Profile.SIGNED)
    assert reasons(await world.verify(code)) == ["NOT_ISSUED"]


async def test_a_batch_of_another_product_or_issuer_is_counterfeit(world: World) -> None:
    mine, theirs = await world.lot(), await world.lot(world.other)
    await mine.issue(1)
    await theirs.issue(1)
    for code in (
        forged(world, theirs.gtin, theirs.number, 0, Profile.SIGNED),
        forged(world, theirs.gtin, mine.number, 0, Profile.SIGNED),
    ):
        verdict = await world.verify(code)
        assert (outcome(verdict), reasons(verdict)) == ("COUNTERFEIT", ["NOT_ISSUED"])


async def test_a_product_that_is_not_registered_is_unknown(world: World) -> None:
    code = forged(world, gtin_of(99980), 2**33 - 5, 0, Profile.SIGNED)
    verdict = await world.verify(code)
    assert (outcome(verdict), reasons(verdict)) == ("UNKNOWN", ["UNKNOWN_PRODUCT"])
    assert verdict.gtin == gtin_of(99980)


async def test_a_key_that_was_never_made_is_unknown(world: World) -> None:
    import base64

    _, code = await one(world)
    head, _, token = code.partition("?91=")
    raw = bytearray(base64.urlsafe_b64decode(token + "=="))
    raw[1:3] = (65000).to_bytes(2, "big")
    other = f"{head}?91={base64.urlsafe_b64encode(raw).decode().rstrip('=')}"
    verdict = await world.verify(other)
    assert (outcome(verdict), reasons(verdict)) == ("UNKNOWN", ["UNKNOWN_KEY"])


async def test_a_revoked_key_is_a_caution_from_its_moment_on(world: World) -> None:
    lot = await world.lot(world.other)
    (code,) = await lot.issue(1)
    assert outcome(await world.verify(code.uri)) == "GENUINE"
    parent = f"parties/{world.other.gln}"
    used = world.app.keyring.current(world.other.gln).record.key_id
    await world.other.admin.CreateIssuerKey(
        admin_pb2.CreateIssuerKeyRequest(parent=parent, request_id="after revocation")
    )
    await world.operator.admin.RevokeIssuerKey(
        admin_pb2.RevokeIssuerKeyRequest(name=f"{parent}/keys/{used}", reason="leaked")
    )
    verdict = await world.verify(code.uri)
    assert names(verdict)[:2] == ("CAUTION", "ISSUED")
    assert "KEY_REVOKED" in reasons(verdict)
    (new,) = await lot.issue(1, "new")
    assert outcome(await world.verify(new.uri)) == "GENUINE"


async def test_a_key_is_not_revoked_in_the_future(world: World) -> None:
    key_id = world.app.keyring.current(world.other.gln).record.key_id
    request = admin_pb2.RevokeIssuerKeyRequest(name=f"parties/{world.other.gln}/keys/{key_id}")
    request.revoke_time.FromJsonString("2099-01-01T00:00:00Z")
    error = await refused(world.other.admin.RevokeIssuerKey(request))
    assert error.violations == (("revoke_time", "TIME_IN_FUTURE"),)


# --- state


async def test_a_stolen_label_is_not_activated_until_the_commissioning(world: World) -> None:
    lot = await world.lot(activation_required=True)
    a, b, c = await lot.issue(3)
    verdict = await world.verify(a.uri)
    assert names(verdict)[:3] == ("CAUTION", "ISSUED", "NOT_ACTIVATED")
    assert reasons(verdict)[0] == "NOT_ACTIVATED"
    await world.issuer.accepted(made(0, [lot.epc(a)]))
    assert names(await world.verify(a.uri))[:3] == ("GENUINE", "ISSUED", "ACTIVE")
    assert reasons(await world.verify(b.uri))[0] == "NOT_ACTIVATED"
    await world.issuer.accepted(made(1, code_ranges=[lot.range(1, 1)]))
    assert outcome(await world.verify(b.uri)) == "GENUINE"
    assert reasons(await world.verify(c.uri))[0] == "NOT_ACTIVATED"


async def test_nobody_but_the_issuer_activates(world: World) -> None:
    lot = await world.lot(activation_required=True)
    (code,) = await lot.issue(1)
    await world.shop.capture(made(0, [lot.epc(code)]))
    assert reasons(await world.verify(code.uri))[0] == "NOT_ACTIVATED"


@pytest.mark.parametrize(
    ("step", "disposition", "state", "word"),
    [
        ("retail_selling", "retail_sold", "SOLD", "CAUTION"),
        ("retail_selling", "", "SOLD", "CAUTION"),
        ("dispensing", "dispensed", "CONSUMED", "CAUTION"),
        ("consuming", "", "CONSUMED", "CAUTION"),
        ("exporting", "", "EXPORTED", "CAUTION"),
        ("destroying", "destroyed", "DESTROYED", "COUNTERFEIT"),
        ("urn:epcglobal:cbv:bizstep:destroying", "", "DESTROYED", "COUNTERFEIT"),
        ("", "https://ref.gs1.org/cbv/Disp-stolen", "STOLEN", "CAUTION"),
        ("other", "stolen", "STOLEN", "CAUTION"),
    ],
)
async def test_the_state_of_a_unit_follows_its_events(
    world: World, step: str, disposition: str, state: str, word: str
) -> None:
    lot = await world.lot()
    a, b = await lot.issue(2)
    await world.verify(a.uri)
    await world.issuer.accepted(event(10, step, [lot.epc(a)], disposition=disposition))
    verdict = await world.verify(a.uri)
    assert names(verdict)[:3] == (word, "ISSUED", state)
    assert reasons(verdict)[0] == state
    assert outcome(await world.verify(b.uri)) == "GENUINE"


async def test_a_unit_in_a_stolen_pallet_is_stolen(world: World) -> None:
    lot = await world.lot(quantity=100)
    codes = await lot.issue(20)
    case, pallet = world.container(), world.container()
    await world.issuer.accepted(
        packed(0, case, code_ranges=[lot.range(0, 10)]), packed(1, pallet, [case])
    )
    assert outcome(await world.verify(codes[3].uri)) == "GENUINE"
    await world.issuer.accepted(event(2, "", [pallet], disposition="stolen"))
    assert reasons(await world.verify(codes[3].uri))[0] == "STOLEN"
    assert outcome(await world.verify(codes[10].uri)) == "GENUINE"


async def test_a_stranger_changes_no_state(world: World) -> None:
    lot, code = await one(world)
    unit = f"https://id.gs1.org/01/{lot.gtin}/21/{code.partition('/21/')[2].partition('?')[0]}"
    results = await world.shop.capture(
        event(1, "destroying", [unit], disposition="destroyed"),
        event(2, "retail_selling", [unit], disposition="retail_sold"),
        event(3, "", [unit], disposition="stolen"),
    )
    assert all(result.conflicts for result in results)
    assert outcome(await world.verify(code)) == "GENUINE"


async def test_a_shop_sells_what_it_received(world: World) -> None:
    lot, code = await one(world)
    unit = f"https://id.gs1.org/01/{lot.gtin}/21/{code.partition('/21/')[2].partition('?')[0]}"
    await world.issuer.accepted(shipped(1, world.issuer, world.shop, [unit]))
    await world.shop.accepted(
        received(2, world.shop, [unit]),
        event(3, "retail_selling", [unit], disposition="retail_sold"),
    )
    assert reasons(await world.verify(code))[0] == "SOLD"


async def test_expired_from_the_day_after_its_last(world: World) -> None:
    _, code = await one(world, expiration_date="2026-01-06")
    verdict = await world.verify(code)
    assert (outcome(verdict), reasons(verdict)[0]) == ("CAUTION", "EXPIRED")


# --- recalls


@pytest.mark.parametrize(
    ("fields", "hit", "missed"),
    [
        ({}, {0: "RECALLED_BATCH", 5: "RECALLED_BATCH"}, []),
        ({"ranges": [(2, 3)]}, {2: "RECALLED_RANGE", 4: "RECALLED_RANGE"}, [1, 5]),
        ({"units": [4]}, {4: "RECALLED_UNIT"}, [3, 5]),
        ({"kind": supervision_pb2.RECALL_KIND_BLOCK}, {0: "BLOCKED"}, []),
    ],
)
async def test_recalls_show_at_the_next_scan_and_lift_again(
    world: World, fields: dict[str, Any], hit: dict[int, str], missed: list[int]
) -> None:
    lot = await world.lot()
    codes = await lot.issue(6)
    for code in codes:
        assert outcome(await world.verify(code.uri)) == "GENUINE"
    if "units" in fields:
        fields = {"units": [codes[i].uri for i in fields["units"]]}
    recall = await lot.recall(**fields)
    for index, reason in hit.items():
        verdict = await world.verify(codes[index].uri)
        assert (outcome(verdict), reasons(verdict)[0]) == ("CAUTION", reason)
        assert verdict.notice.zh == "请停止食用"
    for index in missed:
        verdict = await world.verify(codes[index].uri)
        assert outcome(verdict) == "GENUINE"
        assert not verdict.HasField("notice")
    await world.issuer.supervision.LiftRecall(
        supervision_pb2.LiftRecallRequest(name=recall.name, reason="tested again")
    )
    for index in hit:
        assert outcome(await world.verify(codes[index].uri)) == "GENUINE"


async def test_the_weightiest_reason_comes_first(world: World) -> None:
    lot = await world.lot(expiration_date="2026-01-06")
    (code,) = await lot.issue(1)
    await world.issuer.accepted(event(1, "destroying", [lot.epc(code)]))
    await lot.recall()
    await world.verify(code.uri, "a")
    assert reasons(await world.verify(code.uri, "a")) == [
        "DESTROYED", "RECALLED_BATCH", "EXPIRED", "SCANNED_BEFORE",
    ]  # fmt: skip


# --- forms


async def test_the_batch_form_answers_in_order_also_for_garbage(world: World) -> None:
    lot = await world.lot()
    codes = [code.uri for code in await lot.issue(40)]
    asked = [*codes[:20], "garbage", *codes[20:], codes[0]]
    answer = await world.nobody.verification.BatchVerifyCodes(
        pb.BatchVerifyCodesRequest(requests=[pb.VerifyCodeRequest(code=code) for code in asked])
    )
    assert len(answer.verdicts) == len(asked)
    for code, verdict in zip(asked, answer.verdicts, strict=True):
        assert verdict.serial in code
        assert bool(verdict.serial) == (code != "garbage")
    assert outcome(answer.verdicts[20]) == "UNKNOWN"


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_of_none_or_too_many_is_refused(world: World, count: int) -> None:
    error = await refused(
        world.nobody.verification.BatchVerifyCodes(
            pb.BatchVerifyCodesRequest(requests=[pb.VerifyCodeRequest(code="x")] * count)
        )
    )
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "LIST_TOO_LONG")


async def test_a_wrong_scan_in_a_batch_is_named(world: World) -> None:
    bad = pb.VerifyCodeRequest(code="x", context=pb.ScanContext(region="99"))
    error = await refused(
        world.nobody.verification.BatchVerifyCodes(
            pb.BatchVerifyCodesRequest(requests=[pb.VerifyCodeRequest(code="x"), bad])
        )
    )
    assert error.violations == (("requests[1].context.region", "INVALID_REGION"),)


async def test_a_batch_that_is_refused_has_scanned_nothing(world: World) -> None:
    _, code = await one(world)
    bad = pb.VerifyCodeRequest(code=code, context=pb.ScanContext(region="99"))
    await refused(
        world.nobody.verification.BatchVerifyCodes(
            pb.BatchVerifyCodesRequest(requests=[pb.VerifyCodeRequest(code=code), bad])
        )
    )
    assert reasons(await world.verify(code)) == ["FIRST_SCAN"]


async def test_who_sends_and_does_not_read_is_not_read_for_ever(world: World) -> None:
    servicer = next(s for s in world.app.servicers if isinstance(s, VerificationServicer))
    sent = 0

    async def requests() -> AsyncIterator[pb.StreamVerifyCodesRequest]:
        nonlocal sent
        while sent < 2000:
            sent += 1
            yield pb.StreamVerifyCodesRequest(request=pb.VerifyCodeRequest(code="garbage"))

    answers = servicer.StreamVerifyCodes(requests())
    await anext(answers)
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert sent < 300
    assert len([answer async for answer in answers]) == 1999


async def test_a_defect_in_one_scan_of_a_stream_ends_it_and_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(world.app.scanning, "verify", broken)

    async def requests() -> AsyncIterator[pb.StreamVerifyCodesRequest]:
        yield pb.StreamVerifyCodesRequest(request=pb.VerifyCodeRequest(code="x"))
        await asyncio.sleep(60)

    error = await refused(world.nobody.verification.StreamVerifyCodes(requests()))
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")


async def test_the_stream_form_answers_each_by_its_number(world: World) -> None:
    lot = await world.lot(quantity=600)
    codes = [code.uri for code in await lot.issue(600)]

    async def asked() -> AsyncIterator[pb.StreamVerifyCodesRequest]:
        for i, code in enumerate(codes):
            yield pb.StreamVerifyCodesRequest(sequence=i, request=pb.VerifyCodeRequest(code=code))
        yield pb.StreamVerifyCodesRequest(
            sequence=1000, request=pb.VerifyCodeRequest(code="x" * 2049)
        )

    answers = [a async for a in world.nobody.verification.StreamVerifyCodes(asked())]
    assert len(answers) == 601
    by_number = {answer.sequence: answer for answer in answers}
    assert by_number.pop(1000).error_reason == "TEXT_TOO_LONG"
    for i, code in enumerate(codes):
        assert by_number[i].verdict.serial in code
        assert outcome(by_number[i].verdict) == "GENUINE"


async def test_a_stream_is_answered_while_it_is_open(world: World) -> None:
    _, code = await one(world)
    call = world.nobody.verification.StreamVerifyCodes()
    for sequence in range(3):
        request = pb.StreamVerifyCodesRequest(
            sequence=sequence, request=pb.VerifyCodeRequest(code=code)
        )
        await call.write(request)
        answer = await asyncio.wait_for(call.read(), TIMEOUT)
        assert (answer.sequence, answer.verdict.previous_scans) == (sequence, sequence)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("request_", "field", "reason"),
    [
        (pb.VerifyCodeRequest(), "code", "MISSING_FIELD"),
        (pb.VerifyCodeRequest(code="x" * 2049), "code", "TEXT_TOO_LONG"),
        (
            pb.VerifyCodeRequest(code="x", context=pb.ScanContext(device_id="d" * 129)),
            "context.device_id",
            "TEXT_TOO_LONG",
        ),
        (
            pb.VerifyCodeRequest(code="x", context=pb.ScanContext(region="123")),
            "context.region",
            "INVALID_REGION",
        ),
        (pb.VerifyCodeRequest(code="x", request_id="r" * 65), "request_id", "TEXT_TOO_LONG"),
    ],
)
async def test_a_wrong_request_is_no_verdict(
    world: World, request_: pb.VerifyCodeRequest, field: str, reason: str
) -> None:
    error = await refused(world.nobody.verification.VerifyCode(request_))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations == ((field, reason),)


# --- claims


async def claim(world: World, code: str, pin: str, device: str) -> tuple[str, int]:
    """What becomes of a claim, and the tries left."""
    answer = await world.nobody.verification.ClaimUnit(
        pb.ClaimUnitRequest(code=code, pin=pin, context=pb.ScanContext(device_id=device))
    )
    return pb.ClaimStatus.Name(answer.status).removeprefix("CLAIM_STATUS_"), answer.tries_left


async def test_the_first_right_pin_claims_however_it_is_typed(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    typed = f" {code.pin[:4].lower()}-{code.pin[4:]} "
    assert await claim(world, code.uri, typed, "a") == ("CLAIMED", 5)
    assert (await claim(world, code.uri, code.pin, "a"))[0] == "CLAIMED_BY_YOU"
    assert (await claim(world, code.uri, code.pin, "b"))[0] == "CLAIMED_BEFORE"
    verdict = await world.verify(code.uri, "b")
    assert "CLAIMED" in reasons(verdict)
    assert verdict.claim_time.seconds > 0


async def test_wrong_pins_are_limited_for_the_one_who_guesses_alone(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    wrong = "00000000" if code.pin != "00000000" else "11111111"
    tries = [await claim(world, code.uri, wrong, "guesser") for _ in range(6)]
    assert tries == [("WRONG_PIN", left) for left in (4, 3, 2, 1, 0)] + [("TOO_MANY_TRIES", 0)]
    # The right PIN does not help the one who guessed, and nobody else is locked out.
    assert await claim(world, code.uri, code.pin, "guesser") == ("TOO_MANY_TRIES", 0)
    assert await claim(world, code.uri, code.pin, "owner") == ("CLAIMED", 5)


async def test_many_guesses_at_once_are_limited_too(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    wrong = "00000000" if code.pin != "00000000" else "11111111"
    answers = await asyncio.gather(*(claim(world, code.uri, wrong, "g") for _ in range(30)))
    assert sum(status == "WRONG_PIN" for status, _ in answers) == 5


async def test_two_who_claim_at_once_are_not_both_first(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    answers = await asyncio.gather(
        *(claim(world, code.uri, code.pin, f"device {i}") for i in range(10))
    )
    assert sorted(status for status, _ in answers) == ["CLAIMED"] + ["CLAIMED_BEFORE"] * 9


async def test_what_was_never_issued_is_not_claimed(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    beyond = forged(world, lot.gtin, lot.number, 1, Profile.SIGNED)
    for text in ("garbage", beyond, code.uri[:-1]):
        assert await claim(world, text, code.pin, "a") == ("NOT_ISSUED", 0)


async def test_a_claim_needs_a_device(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    for context in (pb.ScanContext(), pb.ScanContext(region="210102")):
        error = await refused(
            world.nobody.verification.ClaimUnit(
                pb.ClaimUnitRequest(code=code.uri, pin=code.pin, context=context)
            )
        )
        assert error.violations == (("context.device_id", "MISSING_FIELD"),)


async def test_a_claim_from_no_place_that_there_is_is_refused(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1, include_pins=True)
    error = await refused(
        world.nobody.verification.ClaimUnit(
            pb.ClaimUnitRequest(
                code=code.uri,
                pin=code.pin,
                context=pb.ScanContext(device_id="a", region="nowhere"),
            )
        )
    )
    assert error.violations == (("context.region", "INVALID_REGION"),)
    assert await claim(world, code.uri, code.pin, "b") == ("CLAIMED", 5)
