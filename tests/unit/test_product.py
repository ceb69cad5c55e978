"""Products and batches are checked when they come in, and codes are issued in runs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.code import Profile
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.product import (
    MAX_LIST,
    Allocation,
    Batch,
    IssuedRun,
    License,
    Product,
    check_quantity,
    merge_runs,
)
from tracechain.domain.text import LocalizedText

PRODUCT = Product(
    "6901234501018",
    "6901234000115",
    LocalizedText(" 示例白酒 ", "Liquor"),
    (License("SC", " SC11521010000123 "),),
    ("GB/T 10781.1",),
)
BATCH = Batch(
    "06901234501018", "SY20250304", "2025-03-04", "2045-03-03", "6901234000115", 100, True
)


def refused(call: Any, *args: Any, **more: Any) -> tuple[str, str]:
    """Where and why something is refused."""
    with pytest.raises(InvalidArgument) as caught:
        call(*args, **more)
    return caught.value.violations[0].field, caught.value.reason


def test_a_product_gets_its_canonical_spelling() -> None:
    made = PRODUCT.checked()
    assert made.gtin == "06901234501018"
    assert made.display_name == LocalizedText("示例白酒", "Liquor")
    assert made.licenses == (License("SC", "SC11521010000123"),)
    assert made.checked() == made


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"gtin": "6901234501019"}, "product.gtin", "INVALID_GTIN_CHECK_DIGIT"),
        ({"gtin": "x"}, "product.gtin", "INVALID_GTIN"),
        ({"display_name": LocalizedText("", "Liquor")}, "product.display_name.zh",
         "MISSING_FIELD"),
        ({"display_name": LocalizedText("酒", "x" * 201)}, "product.display_name.en",
         "TEXT_TOO_LONG"),
        ({"display_name": LocalizedText("酒\x00")}, "product.display_name.zh", "INVALID_TEXT"),
        ({"licenses": (License("SC", "1"), License("", "2"))}, "product.licenses[1].kind",
         "MISSING_FIELD"),
        ({"licenses": (License("SC", " "),)}, "product.licenses[0].number", "MISSING_FIELD"),
        ({"licenses": (License("SC", "1" * 61),)}, "product.licenses[0].number",
         "TEXT_TOO_LONG"),
        ({"licenses": (License("SC", "1"),) * (MAX_LIST + 1)}, "product.licenses",
         "LIST_TOO_LONG"),
        ({"standards": ("GB 1", "")}, "product.standards[1]", "MISSING_FIELD"),
        ({"standards": ("GB 1",) * (MAX_LIST + 1)}, "product.standards", "LIST_TOO_LONG"),
    ],
)  # fmt: skip
def test_a_product_that_is_none(changes: dict[str, Any], field: str, reason: str) -> None:
    assert refused(replace(PRODUCT, **changes).checked) == (field, reason)
    below = field.replace("product", "products[3]", 1)
    assert refused(replace(PRODUCT, **changes).checked, "products[3]") == (below, reason)


def test_lists_as_long_as_they_may_be() -> None:
    full = replace(
        PRODUCT, licenses=(License("SC", "1"),) * MAX_LIST, standards=("GB 1",) * MAX_LIST
    )
    assert len(full.checked().licenses) == len(full.checked().standards) == MAX_LIST


def test_a_batch_may_leave_out_its_last_day_and_its_plant() -> None:
    assert BATCH.checked() == BATCH
    short = replace(BATCH, expiration_date="", plant_gln="")
    assert short.checked() == short
    one_day = replace(BATCH, expiration_date=BATCH.production_date)
    assert one_day.checked() == one_day


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"lot": ""}, "lot", "INVALID_LOT"),
        ({"lot": "批次"}, "lot", "INVALID_LOT"),
        ({"production_date": ""}, "production_date", "INVALID_DATE"),
        ({"production_date": "2025-02-29"}, "production_date", "INVALID_DATE"),
        ({"production_date": "20250304"}, "production_date", "INVALID_DATE"),
        ({"production_date": "2025-3-4"}, "production_date", "INVALID_DATE"),
        ({"production_date": "2025-W10-2"}, "production_date", "INVALID_DATE"),
        ({"production_date": "2025-03-04T00:00"}, "production_date", "INVALID_DATE"),
        ({"production_date": "２０２５-03-04"}, "production_date", "INVALID_DATE"),
        ({"expiration_date": "soon"}, "expiration_date", "INVALID_DATE"),
        ({"expiration_date": "2045-W10-2"}, "expiration_date", "INVALID_DATE"),
        ({"expiration_date": "2025-03-03"}, "expiration_date", "INVALID_DATE"),
        ({"plant_gln": "6901234000111"}, "plant_gln", "INVALID_GLN_CHECK_DIGIT"),
        ({"authorized_quantity": 0}, "authorized_quantity", "INVALID_QUANTITY"),
        ({"authorized_quantity": 1 << 32}, "authorized_quantity", "INVALID_QUANTITY"),
    ],
)
def test_a_batch_that_is_none(changes: dict[str, Any], field: str, reason: str) -> None:
    assert refused(replace(BATCH, **changes).checked) == (f"batch.{field}", reason)


@given(st.dates())
def test_a_day_is_written_in_one_way(day: Any) -> None:
    made = replace(BATCH, production_date=day.isoformat(), expiration_date="")
    assert made.checked() == made
    year, week, weekday = day.isocalendar()
    wrong = replace(made, production_date=f"{year:04}-W{week:02}-{weekday}")
    assert refused(wrong.checked) == ("batch.production_date", "INVALID_DATE")


def test_quantities() -> None:
    for right in (1, (1 << 32) - 1):
        assert check_quantity(right, "quantity") == right
    for wrong in (-1, 0, 1 << 32):
        assert refused(check_quantity, wrong, "q") == ("q", "INVALID_QUANTITY")


# --- runs


def allocation(
    first: int, count: int, key: int = 7, profile: Profile = Profile.SIGNED
) -> Allocation:
    """Codes taken from the batch."""
    return Allocation(5, f"r{first}", first, count, profile, key, 0)


def test_neighbours_of_one_key_and_profile_are_one_run() -> None:
    assert merge_runs([]) == ()
    assert merge_runs([allocation(10, 5), allocation(0, 10)]) == (
        IssuedRun(0, 15, Profile.SIGNED, 7),
    )
    assert merge_runs([allocation(0, 10), allocation(10, 5, 8), allocation(15, 1)]) == (
        IssuedRun(0, 10, Profile.SIGNED, 7),
        IssuedRun(10, 15, Profile.SIGNED, 8),
        IssuedRun(15, 16, Profile.SIGNED, 7),
    )
    compact = merge_runs([allocation(0, 10), allocation(10, 5, profile=Profile.COMPACT)])
    assert [run.profile for run in compact] == [Profile.SIGNED, Profile.COMPACT]
    assert len(merge_runs([allocation(0, 10), allocation(11, 5)])) == 2


@st.composite
def allocations(draw: st.DrawFn) -> list[Allocation]:
    """What a batch issued, one after the other, in any order; here and there with a gap."""
    found: list[Allocation] = []
    at = 0
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.sampled_from([0, 0, 0, 2]))
        count = draw(st.integers(1, 4))
        found.append(allocation(at, count, draw(st.integers(7, 8)), draw(st.sampled_from(Profile))))
        at += count
    return draw(st.permutations(found))


@given(allocations())
def test_runs_hold_exactly_what_was_issued_and_are_as_few_as_can_be(
    issued: list[Allocation],
) -> None:
    runs = merge_runs(issued)
    codes = {
        (index, a.key_id, a.profile)
        for a in issued
        for index in range(a.first_index, a.first_index + a.count)
    }
    for index in range(60):
        for key in (6, 7, 8):
            for profile in Profile:
                held = [run for run in runs if run.holds(index, key, profile)]
                assert len(held) == ((index, key, profile) in codes)
    for a, b in pairwise(runs):
        assert a.end_index <= b.first_index
        assert (a.end_index, a.key_id, a.profile) != (b.first_index, b.key_id, b.profile)
