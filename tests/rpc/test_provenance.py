"""Stories of goods over the socket: where they were, in what, made of what, and who holds them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.support.service import (
    Caller,
    Lot,
    World,
    conflicts,
    declared_wrong,
    event,
    gtin_of,
    made,
    micros,
    packed,
    received,
    refused,
    shipped,
    unpacked,
)
from tracechain.v1 import event_pb2, verification_pb2
from tracechain.v1 import provenance_pb2 as pb

TRANSFORMATION = event_pb2.EVENT_TYPE_TRANSFORMATION


async def unit_of(caller: Caller, epc: str) -> pb.Trace:
    """The story of a unit as a caller is told it."""
    answer: pb.Trace = await caller.provenance.TraceUnit(pb.TraceUnitRequest(epc=epc))
    return answer


async def batch_of(caller: Caller, batch: str) -> pb.Trace:
    """The story of a batch."""
    answer: pb.Trace = await caller.provenance.TraceBatch(pb.TraceBatchRequest(batch=batch))
    return answer


async def container_of(caller: Caller, container: str) -> pb.Trace:
    """The story of a container."""
    request = pb.TraceContainerRequest(container=container)
    answer: pb.Trace = await caller.provenance.TraceContainer(request)
    return answer


async def assessed(caller: Caller, batch: str) -> pb.AssessRecallResponse:
    """What a recall would reach."""
    request = pb.AssessRecallRequest(batch=batch)
    answer: pb.AssessRecallResponse = await caller.provenance.AssessRecall(request)
    return answer


def steps(story: pb.Trace) -> list[str]:
    """The business steps of a story in their order."""
    return [step.biz_step for step in story.steps]


def state(story: pb.Trace) -> str:
    """The state that a story leads to."""
    return verification_pb2.UnitState.Name(story.state).removeprefix("UNIT_STATE_")


def stays(story: pb.Trace) -> list[tuple[str, int, int, int | None]]:
    """Containers as (URI, level, from, until) with times in microseconds."""
    return [
        (
            stay.container,
            stay.level,
            stay.start_time.ToMicroseconds(),
            stay.end_time.ToMicroseconds() if stay.HasField("end_time") else None,
        )
        for stay in story.containers
    ]


def transformed(
    minutes: float, into: Any = (), of: Any = (), step: str = "commissioning", **fields: Any
) -> event_pb2.Event:
    """Things turned into others."""
    return event(
        minutes, step, type=TRANSFORMATION, input_epc_list=list(of),
        output_epc_list=list(into), **fields,
    )  # fmt: skip


class Journey:
    """A lot of ten bottles: made, packed, put on a pallet, shipped, received, unpacked, sold."""

    def __init__(self, world: World, lot: Lot, codes: list[Any]) -> None:
        self.world, self.lot, self.codes = world, lot, codes
        self.case, self.pallet = world.container(), world.container()

    @classmethod
    async def made_in(cls, world: World) -> Journey:
        lot = await world.lot()
        journey = cls(world, lot, await lot.issue(10))
        issuer, carrier, shop = world.issuer, world.distributor, world.shop
        case, pallet, sold = journey.case, journey.pallet, lot.epc(journey.codes[2])
        await issuer.accepted(
            made(0, code_ranges=[lot.range(0, 10)], biz_location=issuer.place),
            packed(10, case, code_ranges=[lot.range(0, 6)], biz_location=issuer.place),
            packed(20, pallet, [case], biz_location=issuer.place),
            shipped(30, issuer, carrier, [pallet]),
        )
        await carrier.accepted(
            received(40, carrier, [pallet]), shipped(50, carrier, shop, [pallet])
        )
        await shop.accepted(
            received(60, shop, [pallet]),
            unpacked(70, pallet, [case], biz_location=shop.place),
            unpacked(80, case, [sold], biz_location=shop.place),
            event(90, "retail_selling", [sold], disposition="retail_sold", biz_location=shop.place),
        )
        return journey


async def test_a_bottle_from_the_factory_to_its_buyer(world: World) -> None:
    journey = await Journey.made_in(world)
    issuer, carrier, shop = world.issuer, world.distributor, world.shop
    story = await unit_of(shop, journey.codes[2].uri)
    assert [
        (s.biz_step, s.recorder.en, s.read_point or s.biz_location, s.holder_gln)
        for s in story.steps
    ] == [
        ("commissioning", "issuer", issuer.place, issuer.gln),
        ("packing", "issuer", issuer.place, issuer.gln),
        ("packing", "issuer", issuer.place, issuer.gln),
        ("shipping", "issuer", issuer.place, issuer.gln),
        ("receiving", "distributor", carrier.place, carrier.gln),
        ("shipping", "distributor", carrier.place, carrier.gln),
        ("receiving", "shop", shop.place, shop.gln),
        ("unpacking", "shop", shop.place, shop.gln),
        ("unpacking", "shop", shop.place, shop.gln),
        ("retail_selling", "shop", shop.place, shop.gln),
    ]
    assert [s.event_time.ToMicroseconds() for s in story.steps] == [
        micros(10 * i) for i in range(10)
    ]
    assert [s.region for s in story.steps][::3] == ["210102", "210102", "220203", "220203"]
    assert [s.via for s in story.steps[3:5]] == [journey.pallet, journey.pallet]
    assert [s.link for s in story.steps] == [
        pb.LINK_DIRECT, pb.LINK_DIRECT, pb.LINK_CONTAINER, *[pb.LINK_CONTAINER] * 5,
        pb.LINK_DIRECT, pb.LINK_DIRECT,
    ]  # fmt: skip
    assert (story.location, story.holder_gln, story.addressee_gln) == (shop.place, shop.gln, "")
    assert (state(story), story.batch, story.product.zh) == ("SOLD", journey.lot.name, "白酒")
    assert stays(story) == [
        (journey.case, 1, micros(10), micros(80)),
        (journey.pallet, 2, micros(20), micros(70)),
    ]
    assert conflicts(story) == []
    assert not story.truncated
    assert not any(s.erroneous for s in story.steps)


async def test_units_that_parted_have_stories_of_their_own(world: World) -> None:
    journey = await Journey.made_in(world)
    still_in_case = await unit_of(world.issuer, journey.codes[5].uri)
    assert steps(still_in_case)[-1] == "unpacking"
    assert state(still_in_case) == "ACTIVE"
    assert (still_in_case.location, still_in_case.holder_gln) == (
        world.shop.place,
        world.shop.gln,
    )
    # The case is off the pallet, and the unit is in it still.
    assert stays(still_in_case) == [
        (journey.case, 1, micros(10), None),
        (journey.pallet, 2, micros(20), micros(70)),
    ]
    never_packed = await unit_of(world.issuer, journey.codes[6].uri)
    assert steps(never_packed) == ["commissioning"]
    assert (never_packed.location, never_packed.holder_gln) == (
        world.issuer.place,
        world.issuer.gln,
    )
    assert stays(never_packed) == []


async def test_goods_under_way_are_nowhere_and_on_their_way_to_somebody(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    case = world.container()
    await world.issuer.accepted(
        packed(1, case, [lot.epc(code)], biz_location=world.issuer.place),
        shipped(2, world.issuer, world.shop, [case]),
    )
    story = await unit_of(world.issuer, code.uri)
    assert (story.location, story.holder_gln, story.addressee_gln) == (
        "",
        world.issuer.gln,
        world.shop.gln,
    )


async def test_a_unit_sees_of_a_container_only_the_time_that_it_was_in_it(world: World) -> None:
    lot = await world.lot()
    early, late, never = await lot.issue(3)
    box = world.container()
    await world.issuer.accepted(
        event(1, "cycle_counting", [box]),
        packed(10, box, [lot.epc(early)]),
        event(11, "loading", [box]),
        unpacked(20, box, [lot.epc(early)]),
        event(25, "storing", [box]),
        packed(30, box, [lot.epc(late)]),
        event(31, "unloading", [box]),
        unpacked(40, box, [lot.epc(late)]),
        event(41, "inspecting", [box]),
    )
    assert steps(await unit_of(world.issuer, early.uri)) == ["packing", "loading", "unpacking"]
    assert steps(await unit_of(world.issuer, late.uri)) == ["packing", "unloading", "unpacking"]
    assert steps(await unit_of(world.issuer, never.uri)) == []
    box_story = await container_of(world.issuer, box)
    assert steps(box_story) == [
        "cycle_counting", "packing", "loading", "unpacking", "storing", "packing", "unloading",
        "unpacking", "inspecting",
    ]  # fmt: skip
    assert [
        (c.epc, c.count, c.start_time.ToMicroseconds(), c.end_time.ToMicroseconds())
        for c in box_story.contents
    ] == [
        (lot.epc(early), 1, micros(10), micros(20)),
        (lot.epc(late), 1, micros(30), micros(40)),
    ]


async def test_a_unit_leaves_the_pallet_with_its_case_and_comes_back_on_another(
    world: World,
) -> None:
    unit, case, first, second = world.foreign(), *(world.container() for _ in range(3))
    await world.shop.accepted(
        packed(1, case, [unit]),
        packed(2, first, [case]),
        event(3, "loading", [first]),
        unpacked(4, first, [case]),
        event(5, "storing", [first]),
        packed(6, second, [case]),
        event(7, "unloading", [second]),
        unpacked(8, case, [unit]),
        event(9, "storing", [second]),
    )
    story = await unit_of(world.shop, unit)
    assert steps(story) == [
        "packing", "packing", "loading", "unpacking", "packing", "unloading", "unpacking",
    ]  # fmt: skip
    assert stays(story) == [
        (case, 1, micros(1), micros(8)),
        (first, 2, micros(2), micros(4)),
        (second, 2, micros(6), micros(8)),
    ]


async def test_emptying_a_container_ends_every_stay_in_it(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(4)
    box = world.container()
    await world.issuer.accepted(
        packed(1, box, code_ranges=[lot.range(0, 3)]),
        unpacked(5, box),
        event(6, "storing", [box]),
    )
    for code in codes[:3]:
        story = await unit_of(world.issuer, code.uri)
        assert stays(story) == [(box, 1, micros(1), micros(5))]
        assert "storing" not in steps(story)
    (content,) = (await container_of(world.issuer, box)).contents
    assert (content.first_index, content.count) == (0, 3)
    assert content.end_time.ToMicroseconds() == micros(5)


async def test_a_container_is_named_by_its_sscc_in_any_spelling(world: World) -> None:
    box, unit = world.container(), world.foreign()
    await world.shop.accepted(packed(1, box, [unit]))
    sscc = box.rpartition("/")[2]
    urn = f"urn:epc:id:sscc:{sscc[1:8]}.{sscc[0]}{sscc[8:17]}"
    stories = [await container_of(world.shop, name) for name in (box, sscc, urn)]
    assert stories[0] == stories[1] == stories[2]
    assert stories[0].epc == box
    error = await refused(
        world.shop.provenance.TraceContainer(
            pb.TraceContainerRequest(container=sscc[:-1] + str((int(sscc[-1]) + 1) % 10))
        )
    )
    assert error.violations == (("container", "INVALID_SSCC_CHECK_DIGIT"),)


async def test_a_story_forgets_what_was_declared_wrong_and_shows_it(world: World) -> None:
    unit, box = world.foreign(), world.container()
    wrong = packed(1, box, [unit])
    await world.shop.accepted(wrong, event(2, "loading", [box]))
    assert steps(await unit_of(world.shop, unit)) == ["packing", "loading"]
    await world.shop.capture(declared_wrong(wrong, 3))
    story = await unit_of(world.shop, unit)
    assert [(s.biz_step, s.erroneous) for s in story.steps] == [("packing", True)] * 2
    assert stays(story) == []
    assert list((await container_of(world.shop, box)).contents) == []


# --- foreign goods, and one unit under two names


async def test_foreign_goods_are_traced_by_urn_and_by_link_alike(world: World) -> None:
    number = next(world.numbers)
    urn = f"urn:epc:id:sgtin:4012345.067890.X{number}"
    link = f"https://id.gs1.org/01/04012345678901/21/X{number}"
    elsewhere = f"https://shop.example/p/01/4012345678901/10/LOT/21/X{number}?17=301231"
    await world.distributor.accepted(
        event(1, "storing", [urn], biz_location=world.distributor.place),
        shipped(2, world.distributor, world.shop, [link]),
    )
    await world.shop.accepted(received(3, world.shop, [elsewhere]))
    stories = [await unit_of(world.operator, name) for name in (urn, link, elsewhere)]
    assert stories[0] == stories[1] == stories[2]
    story = stories[0]
    assert steps(story) == ["storing", "shipping", "receiving"]
    assert story.epc == link
    assert (story.holder_gln, story.location) == (world.shop.gln, world.shop.place)
    assert (story.batch, story.product.zh) == ("", "")
    assert conflicts(story) == []


@pytest.mark.parametrize(
    ("epc", "field", "reason"),
    [
        ("https://id.gs1.org/01/04012345678902/21/X", "epc", "INVALID_GTIN_CHECK_DIGIT"),
        ("no epc", "epc", "INVALID_EPC"),
        ("https://id.gs1.org/01/04012345678901/10/L", "epc", "NOT_A_UNIT"),
        ("https://id.gs1.org/01/04012345678901", "epc", "NOT_A_UNIT"),
        ("", "epc", "MISSING_FIELD"),
    ],
)
async def test_what_names_no_unit_is_refused(
    world: World, epc: str, field: str, reason: str
) -> None:
    error = await refused(world.shop.provenance.TraceUnit(pb.TraceUnitRequest(epc=epc)))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.violations == ((field, reason),)


async def test_a_unit_is_no_batch(world: World) -> None:
    for batch in ("https://id.gs1.org/01/04012345678901/21/X", world.container()):
        for call, request in (
            (world.issuer.provenance.TraceBatch, pb.TraceBatchRequest(batch=batch)),
            (world.issuer.provenance.AssessRecall, pb.AssessRecallRequest(batch=batch)),
        ):
            assert (await refused(call(request))).violations == (("batch", "NOT_A_BATCH"),)


# --- batches


async def test_a_batch_is_named_by_resource_urn_or_link(world: World) -> None:
    lot = await world.lot()
    await lot.issue(2)
    await world.issuer.accepted(made(0, code_ranges=[lot.range(0, 2)]))
    urn = f"urn:epc:class:lgtin:{lot.gtin[1:8]}.{lot.gtin[0]}{lot.gtin[8:13]}.{lot.lot}"
    stories = [await batch_of(world.issuer, name) for name in (lot.name, lot.uri, urn)]
    assert stories[0] == stories[1] == stories[2]
    assert (stories[0].epc, stories[0].batch) == (lot.uri, lot.name)
    assert steps(stories[0]) == ["commissioning"]


async def test_the_story_of_a_batch_holds_that_of_all_its_units(world: World) -> None:
    journey = await Journey.made_in(world)
    story = await batch_of(world.issuer, journey.lot.name)
    assert steps(story) == [
        "commissioning", "packing", "packing", "shipping", "receiving", "shipping", "receiving",
        "unpacking", "unpacking", "retail_selling",
    ]  # fmt: skip
    assert state(story) == "UNSPECIFIED"
    assert conflicts(story) == []


async def test_a_batch_whose_units_part_is_in_no_conflict_with_itself(world: World) -> None:
    """One unit goes to the shop, one stays, one is destroyed: each fits, so the batch does."""
    lot = await world.lot()
    gone, kept, broken = (lot.epc(code) for code in await lot.issue(3))
    await world.issuer.accepted(
        made(0, code_ranges=[lot.range(0, 3)]),
        shipped(1, world.issuer, world.shop, [gone]),
        event(2, "destroying", [broken], disposition="destroyed"),
    )
    await world.shop.accepted(received(3, world.shop, [gone]))
    await world.issuer.accepted(event(4, "storing", [kept], biz_location=world.issuer.place))
    story = await batch_of(world.issuer, lot.name)
    assert steps(story) == ["commissioning", "shipping", "destroying", "receiving", "storing"]
    assert conflicts(story) == []
    assert [conflicts(step) for step in story.steps] == [[]] * 5
    # Its units are in several hands, so the batch is in nobody's.
    assert (story.holder_gln, story.location) == ("", "")


async def test_what_does_not_fit_a_unit_does_not_fit_its_batch(world: World) -> None:
    lot = await world.lot()
    kept, other = (lot.epc(code) for code in await lot.issue(2))
    await world.issuer.accepted(made(0, code_ranges=[lot.range(0, 2)]))
    await world.shop.capture(event(1, "storing", [other]))
    await world.issuer.accepted(event(2, "storing", [kept], biz_location=world.issuer.place))
    story = await batch_of(world.issuer, lot.name)
    assert [conflicts(step) for step in story.steps] == [[], ["NOT_HOLDER"], []]
    assert conflicts(story) == ["NOT_HOLDER"]
    assert story.holder_gln == world.issuer.gln


async def test_a_lot_that_was_counted_before_it_was_registered_keeps_its_past(
    world: World,
) -> None:
    gtin = gtin_of(next(world.numbers))
    uri = f"https://id.gs1.org/01/{gtin}/10/OLD"
    wine = f"https://id.gs1.org/01/04012345678901/21/W{next(world.numbers)}"
    await world.issuer.accepted(
        transformed(
            1, [wine], input_quantity_list=[event_pb2.QuantityElement(epc_class=uri, quantity=3)]
        )
    )
    assert [item.epc for item in (await batch_of(world.issuer, uri)).downstream] == [wine]


# --- what was made of what


async def test_ingredients_upstream_and_results_downstream(world: World) -> None:
    grain, water, spirit = (world.foreign() for _ in range(3))
    lot = await world.lot()
    codes = await lot.issue(3)
    flask = event_pb2.QuantityElement(
        epc_class="https://id.gs1.org/01/04012345678901/10/YEAST", quantity=2.5, uom="KGM"
    )
    gift = world.foreign()
    await world.issuer.accepted(
        transformed(1, [spirit], [grain, water], input_quantity_list=[flask]),
        transformed(2, of=[spirit], output_code_ranges=[lot.range(0, 2)]),
        transformed(3, [gift], [lot.epc(codes[1])]),
    )
    story = await unit_of(world.issuer, codes[1].uri)
    assert [(item.epc, item.depth) for item in story.upstream] == [
        (spirit, 1), (grain, 2), (water, 2), (flask.epc_class, 2),
    ]  # fmt: skip
    assert (story.upstream[3].quantity, story.upstream[3].uom) == (2.5, "KGM")
    assert [(item.epc, item.depth) for item in story.downstream] == [(gift, 1)]
    assert story.downstream[0].event_time.ToMicroseconds() == micros(3)
    assert state(story) == "CONSUMED"
    other = await unit_of(world.issuer, codes[0].uri)
    assert [item.epc for item in other.downstream] == []
    assert len(other.upstream) == 4
    from_grain = await unit_of(world.issuer, grain)
    assert (from_grain.downstream[0].epc, from_grain.downstream[0].depth) == (spirit, 1)
    assert from_grain.downstream[-1].epc == gift
    never_made = await unit_of(world.issuer, codes[2].uri)
    assert list(never_made.upstream) == []


async def test_what_is_in_a_container_goes_where_the_container_goes_in(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(5)
    units = [lot.epc(code) for code in codes]
    case, pallet = world.container(), world.container()
    dish, menu = world.foreign(), world.foreign()
    await world.issuer.accepted(
        made(0, code_ranges=[lot.range(0, 5)]),
        packed(1, case, units[:2]),
        packed(1, case, code_ranges=[lot.range(2, 1)]),
        packed(2, pallet, [case]),
        unpacked(3, case, [units[1]]),
        transformed(4, [dish], [pallet]),
        transformed(5, [menu], [dish]),
    )
    for unit, results in ((units[0], [dish, menu]), (units[1], []), (units[3], [])):
        story = await unit_of(world.issuer, unit)
        assert [item.epc for item in story.downstream] == results
    assert [item.epc for item in (await unit_of(world.issuer, units[2])).downstream] == [dish, menu]
    reach = await assessed(world.issuer, lot.name)
    assert [(item.epc, item.depth) for item in reach.downstream] == [(dish, 1), (menu, 2)]
    assert not reach.truncated
    upstream = [(item.epc, item.depth) for item in (await unit_of(world.issuer, menu)).upstream]
    assert upstream[0] == (dish, 1)
    assert sorted(upstream[1:]) == sorted((epc, 2) for epc in (pallet, case, units[0], lot.uri))


async def test_a_transformation_that_was_declared_wrong_made_nothing(world: World) -> None:
    a, b = world.foreign(), world.foreign()
    wrong = transformed(1, [b], [a])
    await world.issuer.accepted(wrong)
    assert [item.epc for item in (await unit_of(world.issuer, b)).upstream] == [a]
    await world.issuer.capture(declared_wrong(wrong, 2))
    assert list((await unit_of(world.issuer, b)).upstream) == []


@pytest.mark.parametrize("length", [1, 2, 3, 7])
async def test_things_made_of_each_other_in_a_circle_are_told_and_end(
    world: World, length: int
) -> None:
    ring = [world.foreign() for _ in range(length)]
    for i, thing in enumerate(ring):
        await world.issuer.capture(transformed(i, [ring[(i + 1) % length]], [thing]))
    for thing in ring:
        story = await unit_of(world.issuer, thing)
        assert "TRANSFORMATION_CYCLE" in conflicts(story)
        assert {item.epc for item in story.upstream} == set(ring) - {thing}
        assert {item.epc for item in story.downstream} == set(ring) - {thing}
        assert not story.truncated


async def test_a_chain_longer_than_is_followed_says_that_it_was_cut(world: World) -> None:
    chain = [world.foreign() for _ in range(12)]
    await world.issuer.accepted(
        *(transformed(i, [chain[i + 1]], [chain[i]]) for i in range(len(chain) - 1))
    )
    story = await unit_of(world.issuer, chain[-1])
    assert [item.epc for item in story.upstream] == list(reversed(chain[:-1]))[:8]
    assert story.truncated
    short = await unit_of(world.issuer, chain[4])
    assert [item.epc for item in short.upstream] == list(reversed(chain[:4]))


async def test_a_container_in_itself_is_told_and_ends(world: World) -> None:
    box = world.container()
    await world.shop.capture(packed(1, box, [box]))
    story = await container_of(world.shop, box)
    assert "CONTAINMENT_CYCLE" in conflicts(story)
    assert steps(story) == ["packing"]


async def test_containers_in_a_circle_are_told_for_what_is_in_them(world: World) -> None:
    unit, a, b, c = world.foreign(), *(world.container() for _ in range(3))
    await world.shop.capture(
        packed(1, a, [unit]), packed(2, b, [a]), packed(3, c, [b]), packed(4, a, [c])
    )
    story = await unit_of(world.shop, unit)
    assert "CONTAINMENT_CYCLE" in conflicts(story)
    assert [(stay[0], stay[1]) for stay in stays(story)] == [(a, 1), (b, 2), (c, 3), (a, 4)]


async def test_a_tower_of_containers_is_climbed_as_far_as_it_is_followed(world: World) -> None:
    unit, tower = world.foreign(), [world.container() for _ in range(12)]
    await world.shop.accepted(
        packed(1, tower[0], [unit]),
        *(packed(2 + i, outer, [tower[i]]) for i, outer in enumerate(tower[1:])),
    )
    story = await unit_of(world.shop, unit)
    assert [stay[0] for stay in stays(story)] == tower[:8]
    assert story.truncated


# --- what a recall would reach


async def test_a_recall_reaches_units_places_containers_and_what_was_made_of_them(
    world: World,
) -> None:
    lot = await world.lot()
    codes = await lot.issue(10)
    case, gift, basket = world.container(), world.foreign(), world.foreign()
    await world.issuer.accepted(
        made(0, code_ranges=[lot.range(0, 10)], biz_location=world.issuer.place),
        packed(1, case, code_ranges=[lot.range(0, 4)], biz_location=world.issuer.place),
        shipped(2, world.issuer, world.shop, [case]),
        transformed(3, [gift], [lot.epc(codes[9])], biz_location=world.issuer.place),
        transformed(4, [basket], [gift]),
        event(5, "destroying", code_ranges=[lot.range(7, 2)], disposition="destroyed"),
    )
    await world.shop.accepted(received(6, world.shop, [case]))
    for name in (lot.name, lot.uri):
        found = await assessed(world.issuer, name)
        assert (found.batch, found.issued_units, found.ended_units) == (lot.name, 10, 3)
        assert [(item.epc, item.depth) for item in found.downstream] == [(gift, 1), (basket, 2)]
        assert list(found.containers) == [case]
        places = [(p.place, p.party_gln, p.region, p.current) for p in found.places]
        assert places[0] == (world.shop.place, world.shop.gln, "220203", True)
        assert (world.issuer.place, world.issuer.gln, "210102", True) in places
        assert found.places[0].party.en == "shop"
        assert found.places[0].last_time.ToMicroseconds() == micros(6)
        assert not found.truncated
        assert conflicts(found) == []


async def test_a_place_that_all_goods_have_left_held_them_and_holds_them_no_more(
    world: World,
) -> None:
    lot = await world.lot()
    await lot.issue(3)
    whole = [lot.range(0, 3)]
    await world.issuer.accepted(
        made(0, code_ranges=whole, biz_location=world.issuer.place),
        shipped(1, world.issuer, world.shop, code_ranges=whole),
    )
    await world.shop.accepted(received(2, world.shop, code_ranges=whole))
    found = await assessed(world.issuer, lot.name)
    assert [(p.place, p.current) for p in found.places] == [
        (world.shop.place, True),
        (world.issuer.place, False),
    ]


async def test_who_took_goods_without_naming_a_place_has_them(world: World) -> None:
    lot = await world.lot()
    await lot.issue(1)
    whole = [lot.range(0, 1)]
    await world.issuer.accepted(
        made(0, code_ranges=whole, biz_location=world.issuer.place),
        shipped(1, world.issuer, world.shop, code_ranges=whole),
    )
    await world.shop.accepted(event(2, "receiving", code_ranges=whole))
    # A laboratory looks at a sample; the goods are not there.
    await world.other.accepted(
        event(3, "inspecting", code_ranges=whole, read_point=world.other.place)
    )
    found = await assessed(world.issuer, lot.name)
    assert {(p.place, p.current) for p in found.places} == {
        (world.shop.party, True),
        (world.other.place, False),
        (world.issuer.place, False),
    }


async def test_what_was_sold_or_destroyed_is_nowhere_any_more(world: World) -> None:
    lot = await world.lot()
    await lot.issue(2)
    here: dict[str, Any] = {"biz_location": world.issuer.place}
    await world.issuer.accepted(
        made(0, code_ranges=[lot.range(0, 2)], **here),
        event(1, "retail_selling", code_ranges=[lot.range(0, 1)], **here),
    )
    assert [p.current for p in (await assessed(world.issuer, lot.name)).places] == [True]
    await world.issuer.accepted(event(2, "destroying", code_ranges=[lot.range(1, 1)], **here))
    found = await assessed(world.issuer, lot.name)
    assert [p.current for p in found.places] == [False]
    assert found.ended_units == 2


async def test_what_strangers_say_of_a_batch_hides_nobody_from_a_recall(world: World) -> None:
    lot = await world.lot()
    await lot.issue(100)
    whole = [lot.range(0, 100)]
    await world.distributor.capture(event(0, "storing", code_ranges=whole, read_point="urn:x:y"))
    await world.issuer.capture(
        event(1, "storing", code_ranges=whole, biz_location=world.issuer.place),
        shipped(2, world.issuer, world.shop, code_ranges=whole),
    )
    await world.shop.capture(received(3, world.shop, code_ranges=whole))
    await world.distributor.capture(
        event(4, "destroying", code_ranges=whole, disposition="destroyed")
    )
    found = await assessed(world.issuer, lot.name)
    assert [p.party_gln for p in found.places if p.current] == [world.shop.gln]
    assert {p.party_gln for p in found.places} == {
        world.shop.gln, world.issuer.gln, world.distributor.gln
    }  # fmt: skip
    assert found.ended_units == 0
    # An inspector of the shop's province sees the same, though the issuer is in another one.
    assert await assessed(world.jilin, lot.name) == found


async def test_units_ended_in_a_container_are_counted_and_those_declared_wrong_are_not(
    world: World,
) -> None:
    lot = await world.lot()
    await lot.issue(100)
    case = world.container()
    sale = event(3, "retail_selling", code_ranges=[lot.range(50, 10)])
    await world.issuer.accepted(
        made(0, code_ranges=[lot.range(0, 100)], biz_location=world.issuer.place),
        packed(1, case, code_ranges=[lot.range(0, 40)]),
        event(2, "destroying", [case], disposition="destroyed"),
        sale,
    )
    assert (await assessed(world.issuer, lot.name)).ended_units == 50
    await world.issuer.capture(declared_wrong(sale, 4))
    assert (await assessed(world.issuer, lot.name)).ended_units == 40


async def test_a_batch_of_which_nothing_happened_is_assessed_all_the_same(world: World) -> None:
    lot = await world.lot()
    found = await assessed(world.issuer, lot.name)
    assert (found.batch, found.issued_units, found.ended_units) == (lot.name, 0, 0)
    assert not found.places
    assert not found.downstream


async def test_a_foreign_lot_is_assessed_by_those_who_handled_it(world: World) -> None:
    lot = f"https://id.gs1.org/01/04012345678901/10/F{next(world.numbers)}"
    amount = event_pb2.QuantityElement(epc_class=lot, quantity=12.0)
    dish = world.foreign()
    await world.issuer.accepted(
        event(1, "receiving", quantity_list=[amount], biz_location=world.issuer.place),
        transformed(2, [dish], input_quantity_list=[amount]),
    )
    found = await assessed(world.issuer, lot)
    assert (found.batch, found.issued_units) == (lot, 0)
    assert [item.epc for item in found.downstream] == [dish]
    # The kitchen did not say where; the party stands for the place.
    assert [(p.place, p.party_gln) for p in found.places if p.current] == [
        (world.issuer.place, world.issuer.gln)
    ]
    assert {p.place for p in found.places} == {world.issuer.place, world.issuer.party}
    error = await refused(world.other.provenance.AssessRecall(pb.AssessRecallRequest(batch=lot)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOTHING_KNOWN")


async def test_a_batch_made_of_itself_is_assessed_and_told(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(2)
    between = world.foreign()
    await world.issuer.capture(
        transformed(1, [between], [lot.epc(codes[0])]),
        transformed(2, [lot.epc(codes[1])], [between]),
    )
    found = await assessed(world.issuer, lot.name)
    assert between in [item.epc for item in found.downstream]
    assert not found.truncated


# --- what capture says of things that share a request


async def test_a_lot_and_its_first_unit_in_one_request_are_judged_apart(world: World) -> None:
    lot = await world.lot()
    first, second = (lot.epc(code) for code in await lot.issue(2))
    amount = event_pb2.QuantityElement(epc_class=lot.uri, quantity=1)
    results = await world.issuer.capture(
        event(1, "destroying", [second], disposition="destroyed"),
        event(2, "storing", [first]),
        event(3, "cycle_counting", quantity_list=[amount]),
    )
    assert [conflicts(result) for result in results] == [[], [], []]
    assert conflicts(await unit_of(world.issuer, first)) == []
