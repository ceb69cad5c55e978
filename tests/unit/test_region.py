"""Divisions nest by their digits and reach no further (GB/T 2260)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.region import Region, RegionLevel

LIAONING, SHENYANG, HEPING = Region("210000"), Region("210100"), Region("210102")


def test_levels_and_parents() -> None:
    assert [r.level for r in (LIAONING, SHENYANG, HEPING)] == list(RegionLevel)
    assert HEPING.province == LIAONING
    assert HEPING.prefecture == SHENYANG == SHENYANG.prefecture
    assert LIAONING.prefecture is None
    assert str(HEPING) == "210102"
    assert [r.prefix for r in (LIAONING, SHENYANG, HEPING)] == ["21", "2101", "210102"]


def test_covers_itself_and_below_only() -> None:
    for outer, inner in ((LIAONING, SHENYANG), (LIAONING, HEPING), (SHENYANG, HEPING)):
        assert outer.covers(inner)
        assert outer.covers(outer)
        assert not inner.covers(outer)
    assert not SHENYANG.covers(Region("211000"))
    assert not Region("211000").covers(SHENYANG)
    assert not LIAONING.covers(Region("220000"))
    assert not HEPING.covers(Region("210103"))
    assert Region("211000").level is RegionLevel.PREFECTURE


@pytest.mark.parametrize(
    "bad", ["", "21", "2101020", "21010a", "990000", "000000", "210001", "２１００００"]
)
def test_refused(bad: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Region.parse(bad, "party.region")
    violation = caught.value.violations[0]
    assert (violation.field, violation.reason) == ("party.region", "INVALID_REGION")


def test_display() -> None:
    assert LIAONING.display() == "辽宁省"
    assert SHENYANG.display("zh") == "辽宁省沈阳市"
    assert SHENYANG.display("en") == "Shenyang, Liaoning"
    assert HEPING.display("en") == "210102, Shenyang, Liaoning"
    assert Region("211400").display() == "辽宁省葫芦岛市"
    assert Region("110101").display() == "北京市110101"
    assert Region("440300").display("en") == "440300, Guangdong"


def test_tables_are_complete() -> None:
    named = [Region(f"{n:02}0000").name() for n in range(100) if _is_province(f"{n:02}0000")]
    assert len(named) == 34 == len(set(named))
    cities = [Region(f"21{n:02}00").name("en") for n in range(1, 15)]
    assert len(set(cities)) == 14
    assert None not in cities


def _is_province(code: str) -> bool:
    try:
        Region(code)
    except InvalidArgument:
        return False
    return True


codes = st.from_regex(r"\A2[123](00|0[1-9]|1[0-9])[0-9]{2}\Z").filter(_is_province).map(Region)


@given(codes, codes, codes)
def test_cover_is_a_partial_order(a: Region, b: Region, c: Region) -> None:
    assert a.covers(a)
    assert a.province.covers(a)
    if a.covers(b) and b.covers(a):
        assert a == b
    if a.covers(b) and b.covers(c):
        assert a.covers(c)
