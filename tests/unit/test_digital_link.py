"""Every spelling of a Digital Link that the standard allows is one link; all else says what."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.digital_link import parse_link
from tracechain.domain.errors import InvalidArgument, NotFound

GTIN = "06901234000016"
SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCXYZ_abcxyz"
values = st.text(SET_82, min_size=1, max_size=20)


@pytest.mark.parametrize(
    "path",
    [
        f"/01/{GTIN}/21/AB12",
        f"/01/{GTIN[1:]}/21/AB12",
        f"/01/{GTIN}/21/AB12/",
        f"/some/stem/01/{GTIN}/21/AB12",
        f"/01/01/01/{GTIN}/21/AB12",
        f"/%30%31/{GTIN}/21/AB12".replace("%30%31", "01"),
        f"/01/{GTIN}/21/%41%42%31%32",
    ],
)
def test_spellings_of_one_unit(path: str) -> None:
    link = parse_link(path)
    assert (link.key, link.value, link.qualifiers) == ("01", GTIN, {"21": "AB12"})
    assert link.path == f"/01/{GTIN}/21/AB12"
    assert link.is_unit


@given(lot=values, serial=values, variant=values, order=st.permutations(("22", "10", "21")))
def test_qualifiers_stand_in_any_order(
    lot: str, serial: str, variant: str, order: list[str]
) -> None:
    given_ = {"22": variant, "10": lot, "21": serial}
    pairs = "".join(f"/{name}/{quote(given_[name], safe='')}" for name in order)
    link = parse_link(f"/01/{GTIN}{pairs}")
    assert link.qualifiers == given_
    assert parse_link(link.path) == link


@pytest.mark.parametrize(
    ("gtin", "padded"),
    [("12345670", "00000012345670"), ("614141123452", "00614141123452"),
     ("6901234000016", GTIN)],
)  # fmt: skip
def test_shorter_gtins_are_padded(gtin: str, padded: str) -> None:
    assert parse_link(f"/01/{gtin}").value == padded


def test_attributes_are_read_beside_the_token() -> None:
    link = parse_link(f"/01/{GTIN}/21/A", "91=t-_k&linkType=gs1%3Apip&lang=zh&x=1&x=2;11=260105")
    assert link.token == "t-_k"
    assert link.attributes == {"linkType": "gs1:pip", "lang": "zh", "x": "1", "11": "260105"}
    assert link.code("id.example") == f"https://id.example/01/{GTIN}/21/A?91=t-_k"


def test_keys_of_containers_and_places() -> None:
    assert parse_link("/00/069012345000000028").key == "00"
    assert parse_link("/414/6901234000023/254/a%2Fb").qualifiers == {"254": "a/b"}
    assert parse_link("/417/6901234000023").path == "/417/6901234000023"


@pytest.mark.parametrize(
    ("path", "query", "reason"),
    [
        ("/", "", "PAGE_NOT_FOUND"),
        ("/nothing/here", "", "PAGE_NOT_FOUND"),
        ("/01", "", "PAGE_NOT_FOUND"),
        (f"/01/{GTIN}/21", "", "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN}/99/x", "", "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN}/21/a/21/b", "", "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN}/254/a", "", "INVALID_DIGITAL_LINK"),
        ("/00/069012345000000028/21/a", "", "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN[:-1]}9", "", "INVALID_GTIN_CHECK_DIGIT"),
        ("/01/123", "", "INVALID_GTIN"),
        ("/01/٠٦٩٠١٢٣٤٠٠٠٠١٦", "", "INVALID_GTIN"),
        (f"/01/{GTIN}/21/{'x' * 21}", "", "INVALID_SERIAL"),
        (f"/01/{GTIN}/21/%E7%94%B2", "", "INVALID_SERIAL"),
        (f"/01/{GTIN}/10/{'x' * 21}", "", "INVALID_LOT"),
        (f"/01/{GTIN}/22/", "", "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN}/21/%FF", "", "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN}/21/%00", "", "INVALID_DIGITAL_LINK"),
        ("/414/6901234000024", "", "INVALID_GLN_CHECK_DIGIT"),
        ("/00/1", "", "INVALID_SSCC"),
        (f"/01/{GTIN}/21/A", "91=a&91=b", "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN}/21/A", "&".join(f"a{n}=1" for n in range(65)), "INVALID_DIGITAL_LINK"),
        (f"/01/{GTIN}/21/A", "x=" + "y" * 5000, "INVALID_DIGITAL_LINK"),
    ],
)  # fmt: skip
def test_what_is_no_link_says_why(path: str, query: str, reason: str) -> None:
    with pytest.raises((InvalidArgument, NotFound)) as refused:
        parse_link(path, query)
    assert refused.value.reason == reason


@given(path=st.text(max_size=80), query=st.text(max_size=80))
def test_any_text_is_a_link_or_is_refused(path: str, query: str) -> None:
    try:
        link = parse_link("/" + path, query)
    except (InvalidArgument, NotFound):
        return
    assert parse_link(link.path) == replace(link, token="", attributes={})
