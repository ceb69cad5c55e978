"""Codes: streamed, resumed, bounded by what is authorised, in both profiles and algorithms."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.support.service import (
    RESOLVER,
    Lot,
    World,
    gtin_of,
    outcome,
    reasons,
    refused,
)
from tracechain.domain.code import Algorithm, Profile, VerifyingKey, parse_code
from tracechain.v1 import admin_pb2, issuance_pb2, party_pb2, verification_pb2

COMPACT = issuance_pb2.CODE_PROFILE_COMPACT


def order(lot: Lot, quantity: int, request_id: str, **fields: object) -> object:
    request = issuance_pb2.IssueCodesRequest(
        parent=lot.name,
        request_id=request_id,
        quantity=quantity,
        **fields,  # type: ignore[arg-type]
    )
    return lot.owner.issuance.IssueCodes(request)


async def issued(world: World, lot: Lot) -> int:
    batch = await world.operator.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=lot.name))
    return int(batch.issued_quantity)


async def test_codes_come_in_order_unlike_each_other_and_right(world: World) -> None:
    lot = await world.lot(quantity=3000)
    request = issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="a", quantity=2500)
    parts = [part async for part in lot.owner.issuance.IssueCodes(request)]
    assert len(parts) > 1
    offsets = [part.offset for part in parts]
    sizes = [len(part.codes) for part in parts]
    assert offsets == [sum(sizes[:i]) for i in range(len(sizes))]
    codes = [code for part in parts for code in part.codes]
    assert [code.index for code in codes] == list(range(2500))
    assert len({code.serial for code in codes}) == 2500
    assert all(
        code.uri.startswith(f"https://{RESOLVER}/01/{lot.gtin}/21/{code.serial}?91=")
        for code in codes
    )
    assert not any(code.pin for code in codes)
    assert await issued(world, lot) == 2500
    assert outcome(await world.verify(codes[2499].uri)) == "GENUINE"


async def test_an_order_resumes_at_any_offset_with_the_same_codes(world: World) -> None:
    lot = await world.lot(quantity=2100)
    codes = await lot.issue(2100, "x")
    for offset in (0, 1, 999, 1000, 1001, 2099, 2100):
        assert await lot.issue(2100, "x", offset=offset) == codes[offset:], offset
    assert await issued(world, lot) == 2100


async def test_a_second_order_goes_on_behind_the_first(world: World) -> None:
    lot = await world.lot(quantity=20)
    first, second = await lot.issue(7, "first"), await lot.issue(5, "second")
    assert [code.index for code in first + second] == list(range(12))
    assert await lot.issue(7, "first") == first


async def test_orders_at_once_never_share_an_index(world: World) -> None:
    lot = await world.lot(quantity=200)
    answers = await asyncio.gather(*(lot.issue(10, f"order {i}") for i in range(20)))
    assert sorted(code.index for codes in answers for code in codes) == list(range(200))


async def test_the_same_order_twice_at_once_is_one_order(world: World) -> None:
    lot = await world.lot(quantity=200)
    answers = await asyncio.gather(*(lot.issue(10, "same") for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert await issued(world, lot) == 10


async def test_more_than_authorised_is_refused_recorded_and_takes_nothing(world: World) -> None:
    lot = await world.lot(quantity=10)
    await lot.issue(8, "a")
    error = await refused(order(lot, 3, "b"))
    assert (error.code, error.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "QUANTITY_EXCEEDED",
    )
    assert error.metadata["left"] == "2"
    assert await issued(world, lot) == 8
    refusals = await world.app.store.list_refusals(lot.number)
    assert [(request_id, count) for _, request_id, count in refusals] == [("b", 3)]
    assert len(await lot.issue(2, "c")) == 2


async def test_raising_lets_more_be_issued_and_is_idempotent(world: World) -> None:
    lot = await world.lot(quantity=5)
    await lot.issue(5, "a")
    request = issuance_pb2.RaiseBatchQuantityRequest(
        name=lot.name, authorized_quantity=9, reason="second shift", request_id="raise"
    )
    raised = await lot.owner.issuance.RaiseBatchQuantity(request)
    assert (raised.authorized_quantity, raised.issued_quantity) == (9, 5)
    assert await lot.owner.issuance.RaiseBatchQuantity(request) == raised
    codes = await lot.issue(4, "b")
    assert [code.index for code in codes] == [5, 6, 7, 8]
    # The code is good at once: no cache holds the old quantity.
    assert outcome(await world.verify(codes[3].uri)) == "GENUINE"
    for quantity in (9, 8):
        request.authorized_quantity, request.request_id = quantity, f"lower {quantity}"
        error = await refused(lot.owner.issuance.RaiseBatchQuantity(request))
        assert (error.code, error.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "QUANTITY_NOT_RAISED",
        )


async def test_a_request_id_of_another_raise_is_refused(world: World) -> None:
    lot = await world.lot(quantity=5)
    request = issuance_pb2.RaiseBatchQuantityRequest(
        name=lot.name, authorized_quantity=9, reason="r", request_id="same"
    )
    await lot.owner.issuance.RaiseBatchQuantity(request)
    request.authorized_quantity = 12
    error = await refused(lot.owner.issuance.RaiseBatchQuantity(request))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED")
    batch = await lot.owner.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=lot.name))
    assert batch.authorized_quantity == 9


@pytest.mark.parametrize(
    ("quantity", "profile"), [(4, 0), (5, COMPACT)], ids=["quantity", "profile"]
)
async def test_a_request_id_with_other_content_is_refused(
    world: World, quantity: int, profile: int
) -> None:
    lot = await world.lot()
    await lot.issue(5, "same")
    error = await refused(order(lot, quantity, "same", profile=profile))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED")
    assert await issued(world, lot) == 5


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"quantity": 0}, "quantity", "MISSING_FIELD"),
        ({"quantity": -1}, "quantity", "INVALID_QUANTITY"),
        ({"quantity": 2**32}, "quantity", "INVALID_QUANTITY"),
        ({"quantity": 5, "offset": 6}, "offset", "INVALID_OFFSET"),
        ({"quantity": 5, "offset": -1}, "offset", "INVALID_OFFSET"),
        ({"quantity": 5, "profile": 9}, "profile", "INVALID_ENUM_VALUE"),
        ({"quantity": 5, "request_id": ""}, "request_id", "MISSING_FIELD"),
        ({"quantity": 5, "request_id": "x" * 65}, "request_id", "TEXT_TOO_LONG"),
    ],
)
async def test_a_wrong_order_names_its_field(
    world: World, fields: dict[str, object], field: str, reason: str
) -> None:
    lot = await world.lot()
    request = issuance_pb2.IssueCodesRequest(
        **{"parent": lot.name, "request_id": "w", **fields}  # type: ignore[arg-type]
    )
    error = await refused(lot.owner.issuance.IssueCodes(request))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations == ((field, reason),)
    assert await issued(world, lot) == 0


async def test_the_compact_profile_verifies_at_the_service_and_only_there(world: World) -> None:
    lot = await world.lot()
    signed, compact = await lot.issue(1, "s"), await lot.issue(1, "c", profile=COMPACT)
    assert len(compact[0].uri.partition("?91=")[2]) == 16
    assert len(signed[0].uri.partition("?91=")[2]) == 90
    assert outcome(await world.verify(compact[0].uri)) == "GENUINE"
    assert parse_code(compact[0].uri, RESOLVER).profile is Profile.COMPACT
    # A unit was issued in one profile; the other's token on its serial was never printed.
    token = compact[0].uri.partition("?91=")[2]
    swapped = f"{signed[0].uri.partition('?91=')[0]}?91={token}"
    assert reasons(await world.verify(swapped)) == ["TOKEN_FALSE"]


async def test_ed25519_codes_and_a_rotation_of_keys(world: World) -> None:
    lot = await world.lot(world.other)
    old = await lot.issue(1, "old")
    key = await world.other.admin.CreateIssuerKey(
        admin_pb2.CreateIssuerKeyRequest(
            parent=f"parties/{world.other.gln}",
            algorithm=party_pb2.ALGORITHM_ED25519,
            request_id="rotation",
        )
    )
    new = await lot.issue(1, "new")
    code = parse_code(new[0].uri, RESOLVER)
    assert code.key_id == key.key_id
    assert VerifyingKey.from_der(key.key_id, Algorithm.ED25519, key.public_key).verify(code)
    for item in (old[0], new[0]):
        assert outcome(await world.verify(item.uri)) == "GENUINE"
    # An order that was begun under the old key goes on under it.
    assert await lot.issue(1, "old") == old


async def test_codes_verify_offline_against_the_published_keys(world: World) -> None:
    lot = await world.lot()
    (item,) = await lot.issue(1)
    request = verification_pb2.ListVerificationKeysRequest(page_size=1)
    keys: dict[int, party_pb2.IssuerKey] = {}
    while True:
        page = await world.nobody.verification.ListVerificationKeys(request)
        keys |= {key.key_id: key for key in page.keys}
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    code = parse_code(item.uri, RESOLVER)
    published = keys[code.key_id]
    assert published.issuer_gln == world.issuer.gln
    assert VerifyingKey.from_der(code.key_id, Algorithm.ES256, published.public_key).verify(code)


async def test_pins_are_given_where_they_are_asked_for_and_are_always_the_same(
    world: World,
) -> None:
    lot = await world.lot()
    codes = await lot.issue(50, "p", include_pins=True)
    assert len({code.pin for code in codes}) == 50
    assert all(len(code.pin) == 8 for code in codes)
    assert await lot.issue(50, "p", include_pins=True, offset=20) == codes[20:]
    assert not any(code.pin for code in await lot.issue(50, "p"))


async def test_a_cancelled_stream_leaves_the_order_resumable(world: World) -> None:
    lot = await world.lot(quantity=20_000)
    call = order(lot, 20_000, "cut off")
    first = await call.read()  # type: ignore[attr-defined]
    call.cancel()  # type: ignore[attr-defined]
    assert await issued(world, lot) == 20_000
    rest = await lot.issue(20_000, "cut off", offset=len(first.codes))
    indices = [code.index for code in (*first.codes, *rest)]
    assert indices == list(range(20_000))
    assert (await lot.issue(20_000, "cut off"))[: len(first.codes)] == list(first.codes)


async def test_an_issuer_without_a_good_key_issues_nothing(world: World) -> None:
    gln = world.other.gln
    lot = await world.lot(world.other)
    keys = await world.other.admin.ListIssuerKeys(
        admin_pb2.ListIssuerKeysRequest(parent=f"parties/{gln}")
    )
    for key in keys.keys:
        await world.other.admin.RevokeIssuerKey(admin_pb2.RevokeIssuerKeyRequest(name=key.name))
    try:
        error = await refused(order(lot, 1, "no key"))
        assert (error.code, error.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "NO_SIGNING_KEY",
        )
    finally:
        await world.other.admin.CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{gln}", request_id="after all")
        )
    assert outcome(await world.verify((await lot.issue(1, "with key"))[0].uri)) == "GENUINE"


async def test_a_batch_of_another_product_does_not_take_the_order(world: World) -> None:
    lot = await world.lot()
    stranger = Lot(world.issuer, gtin_of(99990), lot.lot, 0)
    error = await refused(order(stranger, 1, "x"))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "BATCH_NOT_FOUND")
