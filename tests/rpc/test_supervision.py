"""Recalls and blocks: what they reach, when they show, who decides and who takes them back."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tests.support.service import (
    Caller,
    Lot,
    World,
    outcome,
    reasons,
    refused,
)
from tracechain.v1 import party_pb2
from tracechain.v1 import supervision_pb2 as pb

BLOCK = pb.RECALL_KIND_BLOCK


async def lifted(by: Caller, recall: pb.Recall, reason: str = "tested again") -> pb.Recall:
    """A recall after somebody took it back."""
    answer: pb.Recall = await by.supervision.LiftRecall(
        pb.LiftRecallRequest(name=recall.name, reason=reason)
    )
    return answer


async def listed(by: Caller, lot: Lot) -> list[pb.Recall]:
    """The recalls of a batch as somebody is told them."""
    answer = await by.supervision.ListRecalls(pb.ListRecallsRequest(parent=lot.name))
    return list(answer.recalls)


def order(lot: Lot, request_id: str = "r", **fields: Any) -> pb.CreateRecallRequest:
    """A recall of a whole batch, but for `fields`."""
    given = {
        "kind": pb.RECALL_KIND_RECALL,
        "notice": party_pb2.LocalizedText(zh="请停止食用"),
        **fields,
    }
    return pb.CreateRecallRequest(parent=lot.name, recall=pb.Recall(**given), request_id=request_id)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ["RECALLED_BATCH"] * 6),
        (
            {"ranges": [(1, 2), (4, 2)]},
            ["", "RECALLED_RANGE", "RECALLED_RANGE", "", "RECALLED_RANGE", "RECALLED_RANGE"],
        ),
        ({"units": [0, 3]}, ["RECALLED_UNIT", "", "", "RECALLED_UNIT", "", ""]),
        ({"kind": BLOCK}, ["BLOCKED"] * 6),
        ({"kind": BLOCK, "ranges": [(0, 2)]}, ["BLOCKED", "BLOCKED", "", "", "", ""]),
        (
            {"ranges": [(0, 2)], "units": [5]},
            ["RECALLED_RANGE", "RECALLED_RANGE", "", "", "", "RECALLED_UNIT"],
        ),
    ],
    ids=["batch", "ranges", "units", "block", "block of a range", "range and unit"],
)
async def test_a_recall_reaches_what_it_names_at_the_very_next_scan(
    world: World, fields: dict[str, Any], shown: list[str]
) -> None:
    lot = await world.lot()
    codes = await lot.issue(6)
    before = await asyncio.gather(*(world.verify(code.uri) for code in codes))
    assert {outcome(verdict) for verdict in before} == {"GENUINE"}
    if "units" in fields:
        fields = {**fields, "units": [lot.epc(codes[i]) for i in fields["units"]]}
    recall = await lot.recall(**fields)
    after = await asyncio.gather(*(world.verify(code.uri) for code in codes))
    for verdict, reason in zip(after, shown, strict=True):
        assert outcome(verdict) == ("CAUTION" if reason else "GENUINE")
        assert (reason in reasons(verdict)) is bool(reason)
        assert verdict.notice.zh == ("请停止食用" if reason else "")
    assert not recall.by_regulator
    assert recall.decider_gln == world.issuer.gln
    assert not recall.HasField("lift_time")
    assert recall.create_time.seconds > 0


async def test_a_recall_reaches_codes_that_are_issued_after_it(world: World) -> None:
    lot = await world.lot(quantity=10)
    await lot.recall(ranges=[(2, 4)])
    codes = await lot.issue(4)
    verdicts = [reasons(await world.verify(code.uri))[0] for code in codes]
    assert verdicts == ["FIRST_SCAN", "FIRST_SCAN", "RECALLED_RANGE", "RECALLED_RANGE"]


async def test_a_unit_is_named_by_its_code_its_urn_or_its_link(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(4)
    urn = f"urn:epc:id:sgtin:{lot.gtin[1:8]}.{lot.gtin[0]}{lot.gtin[8:13]}.{codes[2].serial}"
    recall = await lot.recall(units=[codes[0].uri, lot.epc(codes[1]), urn])
    assert [(item.first_index, item.count) for item in recall.ranges] == [(0, 1), (1, 1), (2, 1)]
    assert [reasons(await world.verify(code.uri))[0] for code in codes] == [
        "RECALLED_UNIT", "RECALLED_UNIT", "RECALLED_UNIT", "FIRST_SCAN",
    ]  # fmt: skip


async def test_lifting_one_of_two_recalls_leaves_the_other(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    first = await lot.recall(request_id="a", notice="一")
    second = await lot.recall(world.liaoning, kind=BLOCK, request_id="b", notice="二")
    assert {"RECALLED_BATCH", "BLOCKED"} <= set(reasons(await world.verify(code.uri)))
    await lifted(world.issuer, first)
    verdict = await world.verify(code.uri)
    assert "BLOCKED" in reasons(verdict)
    assert "RECALLED_BATCH" not in reasons(verdict)
    assert verdict.notice.zh == "二"
    await lifted(world.liaoning, second)
    assert outcome(await world.verify(code.uri)) == "GENUINE"


async def test_recalls_are_listed_oldest_first_and_lifted_ones_stay(world: World) -> None:
    lot = await world.lot()
    made = [await lot.recall(request_id=name, notice=name) for name in ("a", "b", "c")]
    taken_back = await lifted(world.issuer, made[1])
    assert taken_back.lift_time.ToMicroseconds() >= taken_back.create_time.ToMicroseconds()
    assert await listed(world.issuer, lot) == [made[0], taken_back, made[2]]
    got = await world.operator.supervision.GetRecall(pb.GetRecallRequest(name=made[1].name))
    assert got == taken_back


async def test_a_recall_is_lifted_once(world: World) -> None:
    lot = await world.lot()
    recall = await lot.recall()
    first = await lifted(world.issuer, recall, "first")
    assert await lifted(world.issuer, recall, "second") == first


async def test_a_request_id_is_one_recall(world: World) -> None:
    lot = await world.lot()
    recalls = await asyncio.gather(*(lot.recall(request_id="same") for _ in range(8)))
    assert all(recall == recalls[0] for recall in recalls)
    assert await listed(world.issuer, lot) == [recalls[0]]
    for other in ({"kind": BLOCK}, {"ranges": [pb.IndexRange(count=1)]}):
        error = await refused(world.issuer.supervision.CreateRecall(order(lot, "same", **other)))
        assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED")
    # A request id is its caller's own: the regulator's is another recall.
    theirs = await lot.recall(world.liaoning, request_id="same")
    assert theirs.name != recalls[0].name


async def test_a_repeated_request_does_not_bring_a_lifted_recall_back(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    recall = await lot.recall()
    taken_back = await lifted(world.issuer, recall)
    assert await lot.recall() == taken_back
    assert outcome(await world.verify(code.uri)) == "GENUINE"


# --- who may


async def test_what_a_regulator_decided_only_a_regulator_takes_back(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    recall = await lot.recall(world.liaoning)
    assert recall.by_regulator
    assert recall.decider_gln == world.liaoning.gln
    request = pb.LiftRecallRequest(name=recall.name, reason="we think it is fine")
    error = await refused(world.issuer.supervision.LiftRecall(request))
    assert (error.code, error.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "DECIDED_BY_REGULATOR",
    )
    assert reasons(await world.verify(code.uri))[0] == "RECALLED_BATCH"
    assert (await lifted(world.liaoning, recall)).HasField("lift_time")
    assert outcome(await world.verify(code.uri)) == "GENUINE"


async def test_a_regulator_lifts_what_an_issuer_decided(world: World) -> None:
    lot = await world.lot()
    recall = await lot.recall()
    assert (await lifted(world.liaoning, recall)).HasField("lift_time")


async def test_another_province_neither_recalls_nor_lifts_nor_sees(world: World) -> None:
    lot = await world.lot()
    recall = await lot.recall()
    calls = [
        (world.jilin.supervision.CreateRecall, order(lot), "BATCH_NOT_FOUND"),
        (
            world.jilin.supervision.LiftRecall,
            pb.LiftRecallRequest(name=recall.name, reason="x"),
            "BATCH_NOT_FOUND",
        ),
        (
            world.jilin.supervision.GetRecall,
            pb.GetRecallRequest(name=recall.name),
            "BATCH_NOT_FOUND",
        ),
        (
            world.jilin.supervision.ListRecalls,
            pb.ListRecallsRequest(parent=lot.name),
            "BATCH_NOT_FOUND",
        ),
    ]
    for call, request, reason in calls:
        error = await refused(call(request))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, reason)
    assert await listed(world.issuer, lot) == [recall]


@pytest.mark.parametrize("name", ["distributor", "shop", "auditor", "operator"])
async def test_who_neither_made_nor_supervises_goods_recalls_none(world: World, name: str) -> None:
    lot = await world.lot()
    error = await refused(getattr(world, name).supervision.CreateRecall(order(lot)))
    assert (error.code, error.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "ROLE_NOT_ALLOWED",
    )
    assert await listed(world.issuer, lot) == []


# --- what is no recall


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"kind": 0}, "recall.kind", "MISSING_FIELD"),
        ({"kind": 9}, "recall.kind", "INVALID_ENUM_VALUE"),
        ({"notice": None}, "recall.notice", "MISSING_FIELD"),
        ({"notice": party_pb2.LocalizedText(en="x")}, "recall.notice.zh", "MISSING_FIELD"),
        ({"notice": party_pb2.LocalizedText(zh="长" * 501)}, "recall.notice.zh", "TEXT_TOO_LONG"),
        ({"ranges": [pb.IndexRange()]}, "recall.ranges[0]", "INVALID_RANGE"),
        (
            {"ranges": [pb.IndexRange(first_index=2**32 - 1, count=2)]},
            "recall.ranges[0]",
            "INVALID_RANGE",
        ),
        ({"ranges": [pb.IndexRange(count=1)] * 1001}, "recall.ranges", "LIST_TOO_LONG"),
        ({"units": ["x"] * 1001}, "recall.units", "LIST_TOO_LONG"),
        ({"units": ["no epc"]}, "recall.units[0]", "INVALID_EPC"),
        (
            {"units": ["https://id.gs1.org/01/04012345678901/21/X"]},
            "recall.units[0]",
            "UNIT_NOT_OF_BATCH",
        ),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, dict) else None,
)
async def test_a_wrong_recall_names_its_field_and_recalls_nothing(
    world: World, fields: dict[str, Any], field: str, reason: str
) -> None:
    lot = await world.lot()
    error = await refused(world.issuer.supervision.CreateRecall(order(lot, **fields)))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations == ((field, reason),)
    assert await listed(world.issuer, lot) == []


async def test_a_unit_of_another_batch_or_the_batch_itself_is_no_unit_of_it(world: World) -> None:
    lot = await world.lot()
    sister = await world.lot(gtin=lot.gtin)
    (theirs,) = await sister.issue(1)
    for unit in (theirs.uri, sister.epc(theirs), lot.uri):
        error = await refused(world.issuer.supervision.CreateRecall(order(lot, units=[unit])))
        assert error.violations == (("recall.units[0]", "UNIT_NOT_OF_BATCH"),)


async def test_a_thousand_units_are_recalled_at_once(world: World) -> None:
    lot = await world.lot(quantity=1001)
    codes = await lot.issue(1001)
    recall = await lot.recall(units=[lot.epc(code) for code in codes[:1000]])
    assert len(recall.ranges) == 1000
    assert reasons(await world.verify(codes[999].uri))[0] == "RECALLED_UNIT"
    assert reasons(await world.verify(codes[1000].uri))[0] == "FIRST_SCAN"


async def test_a_recall_is_lifted_with_a_reason_that_is_one(world: World) -> None:
    lot = await world.lot()
    recall = await lot.recall()
    for reason, wrong in (("", "MISSING_FIELD"), ("x" * 501, "TEXT_TOO_LONG")):
        error = await refused(
            world.issuer.supervision.LiftRecall(
                pb.LiftRecallRequest(name=recall.name, reason=reason)
            )
        )
        assert error.violations == (("reason", wrong),)
    absent = pb.LiftRecallRequest(name=recall.name[:-4] + "0000", reason="x")
    error = await refused(world.issuer.supervision.LiftRecall(absent))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "RECALL_NOT_FOUND")
