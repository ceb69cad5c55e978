"""What anybody may see of a story: no names, no places finer than a prefecture, no hours."""

from __future__ import annotations

from dataclasses import replace

from tracechain.domain.conflict import Conflict
from tracechain.domain.custody import Happening, Step
from tracechain.domain.journey import MAX_HOPS, Hop, glns, journey
from tracechain.domain.party import Party, PartyKind
from tracechain.domain.text import LocalizedText
from tracechain.domain.touch import EventDigest, TouchRole

MAKER = Party("6901234000023", "", "210102", PartyKind.ISSUER, LocalizedText("酒厂", "Maker"))
SHOP = Party("6901234000054", "", "220203", PartyKind.RETAILER, LocalizedText("店", "Shop"))
PARTIES = {party.gln: party for party in (MAKER, SHOP)}
# 2026-01-05 23:30 in China, still the 5th there and in UTC.
TIME = 1_767_627_000_000_000


def step(name: str, recorder: str = MAKER.gln, time: int = TIME, place: str = "") -> Step:
    digest = EventDigest(
        name.encode(), b"", time, time, "ObjectEvent", "OBSERVE", name, "", recorder, "", "",
        place, "",
    )  # fmt: skip
    return Step(Happening(digest, TouchRole.ITEM, "u"), recorder, (), False)


def test_a_hop_has_the_day_in_china_the_prefecture_and_the_kind() -> None:
    late = TIME + 3_600_000_000
    place = f"https://id.gs1.org/414/{SHOP.gln}/254/backdoor"
    hops = journey([step("commissioning"), step("shipping", time=late, place=place)], PARTIES.get)
    assert hops == (
        Hop("2026-01-05", "commissioning", "210100", PartyKind.ISSUER),
        Hop("2026-01-06", "shipping", "220200", PartyKind.ISSUER),
    )


def test_what_was_not_believed_and_what_is_inner_business_is_left_out() -> None:
    good = step("shipping")
    steps = [
        good,
        replace(step("receiving"), erroneous=True),
        replace(step("receiving"), conflicts=(next(iter(Conflict)),)),
        replace(step("packing"), happening=replace(step("packing").happening, is_class=True)),
        step("cycle_counting"),
        step(""),
    ]
    assert [hop.step for hop in journey(steps, PARTIES.get)] == ["shipping"]
    assert glns([good]) == {MAKER.gln}


def test_a_stranger_has_neither_kind_nor_place_and_repetitions_are_one() -> None:
    steps = [step("receiving", "9999999999994")] * 3
    assert journey(steps, PARTIES.get) == (Hop("2026-01-05", "receiving", "", None),)


def test_of_a_long_story_the_end_is_kept() -> None:
    day = 86_400_000_000
    hops = journey([step("storing", time=TIME + n * day) for n in range(50)], PARTIES.get)
    assert len(hops) == MAX_HOPS
    assert hops[-1].day == "2026-02-23"
