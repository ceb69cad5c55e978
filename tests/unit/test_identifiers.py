"""GS1 keys, the social credit code, and the canonical spelling of EPCs (CBV 2.0 section 8.9)."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain import identifiers as ids
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import EpcKind, canonical_uri, parse_epc

CSET_82 = string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_"
URN_ESCAPED = {c: f"%{ord(c):02X}" for c in '"%&/<>?'}
digits = st.text("0123456789", min_size=12, max_size=12)
serials = st.text(CSET_82, min_size=1, max_size=20)


def reason(call: object, *args: object) -> str:
    with pytest.raises(InvalidArgument) as caught:
        call(*args)  # type: ignore[operator]
    return caught.value.reason


def urn(text: str) -> str:
    return "".join(URN_ESCAPED.get(c, c) for c in text)


def link(text: str) -> str:
    return "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in text)


def test_check_digits() -> None:
    assert ids.gs1_check_digit("629104150021") == "3"  # GS1 General Specifications 7.9.1
    assert ids.gs1_check_digit("37610425002123456") == "9"
    with pytest.raises(ValueError, match="ASCII digits"):
        ids.gs1_check_digit("12a")


@given(digits)
def test_check_digit_is_the_weighted_sum(body: str) -> None:
    full = body + ids.gs1_check_digit(body)
    weighted = sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(reversed(full)))
    assert weighted % 10 == 0


def test_gtin() -> None:
    assert ids.gtin14("96385074") == "00000096385074"
    assert ids.gtin14("036000291452") == "00036000291452"
    assert ids.gtin14("6291041500213") == "06291041500213"
    assert ids.gtin14("09506000134352") == "09506000134352"
    for bad in ("", "123456789", "0950600013435a", "０９５０６０００１３４３５２", "²²²²²²²²"):
        assert reason(ids.gtin14, bad) == "INVALID_GTIN"
    assert reason(ids.gtin14, "09506000134353") == "INVALID_GTIN_CHECK_DIGIT"
    with pytest.raises(InvalidArgument) as caught:
        ids.gtin14("1", "products[2].gtin")
    assert caught.value.violations[0].field == "products[2].gtin"


def test_gln_sscc_lot_serial() -> None:
    assert ids.gln("4012345000054") == "4012345000054"
    assert reason(ids.gln, "401234500005") == "INVALID_GLN"
    assert reason(ids.gln, "4012345000055") == "INVALID_GLN_CHECK_DIGIT"
    assert ids.sscc("040123451111111110") == "040123451111111110"
    assert reason(ids.sscc, "04012345111111111x") == "INVALID_SSCC"
    assert reason(ids.sscc, "040123451111111111") == "INVALID_SSCC_CHECK_DIGIT"
    assert ids.lot("L-2024/07") == "L-2024/07"
    assert ids.serial(CSET_82[-20:]) == CSET_82[-20:]
    for bad in ("", "x" * 21, "批次", "a b", "a#b", "a~b", "a\n"):
        assert reason(ids.lot, bad) == "INVALID_LOT"
        assert reason(ids.serial, bad) == "INVALID_SERIAL"


def test_social_credit_code() -> None:
    assert ids.uscc("91350100M000100Y43") == "91350100M000100Y43"  # GB 32100-2015, annex
    assert reason(ids.uscc, "91350100M000100Y44") == "INVALID_USCC_CHECK_CHARACTER"
    for bad in ("", "91350100M000100Y4", "91350100m000100y43", "9135010OM000100Y43",
                "91３50100M000100Y43", "91A50100M000100Y43"):  # fmt: skip
        assert reason(ids.uscc, bad) == "INVALID_USCC"


@pytest.mark.parametrize(
    ("kind", "uri", "canonical"),
    [
        ("SGTIN", "urn:epc:id:sgtin:4012345.011111.9876", "01/04012345111118/21/9876"),
        ("SGTIN", "urn:epc:id:sgtin:4012345.011111.a.b%2Fc:d", "01/04012345111118/21/a.b%2Fc%3Ad"),
        ("SGTIN", "URN:EPC:id:sgtin:4012345.011111.9876", "01/04012345111118/21/9876"),
        ("LGTIN", "urn:epc:class:lgtin:4012345.011111.2014-02", "01/04012345111118/10/2014-02"),
        ("GTIN", "urn:epc:idpat:sgtin:4012345.066666.*", "01/04012345666663"),
        ("GRAI", "urn:epc:idpat:grai:4012345.55555.*", "8003/04012345555554"),
        ("GDTI", "urn:epc:idpat:gdti:4012345.55555.*", "253/4012345555554"),
        ("GCN", "urn:epc:idpat:sgcn:4012345.55555.*", "255/4012345555554"),
        ("CPI", "urn:epc:idpat:cpi:4012345.AB1.*", "8010/4012345AB1"),
        ("ITIP", "urn:epc:idpat:itip:4012345.011111.01.02.*", "8006/040123451111180102"),
        ("GTIN", "urn:epc:idpat:upui:4012345.011111.*", "01/04012345111118"),
        ("SSCC", "urn:epc:id:sscc:4012345.0111111111", "00/040123451111111110"),
        ("SGLN", "urn:epc:id:sgln:4012345.00005.0", "414/4012345000054"),
        ("SGLN", "urn:epc:id:sgln:4012345.00024.1", "414/4012345000245/254/1"),
        ("SGLN", "urn:epc:id:sgln:401234500005..0", "414/4012345000054"),
        ("PGLN", "urn:epc:id:pgln:4012345.00000", "417/4012345000009"),
        ("GRAI", "urn:epc:id:grai:4012345.55555.987", "8003/04012345555554987"),
        ("GIAI", "urn:epc:id:giai:4000001.111", "8004/4000001111"),
        ("GSRN", "urn:epc:id:gsrn:0614141.0000010253", "8018/061414100000102534"),
        ("GSRNP", "urn:epc:id:gsrnp:0614141.0000010253", "8017/061414100000102534"),
        ("GDTI", "urn:epc:id:gdti:4012345.55555.1234", "253/40123455555541234"),
        ("GCN", "urn:epc:id:sgcn:4012345.55555.1234", "255/40123455555541234"),
        ("CPI", "urn:epc:id:cpi:4012345.AB%2F1.12", "8010/4012345AB%2F1/8011/12"),
        ("ITIP", "urn:epc:id:itip:4012345.011111.01.02.9", "8006/040123451111180102/21/9"),
        ("UPUI", "urn:epc:id:upui:4012345.011111.AbC", "01/04012345111118/235/AbC"),
        ("GINC", "urn:epc:id:ginc:4012345.xyz47%2F11", "401/4012345xyz47%2F11"),
        ("GSIN", "urn:epc:id:gsin:4012345.123456789", "402/40123451234567894"),
        ("GRAI", "https://id.example.com/8003/040123450007718765", "8003/040123450007718765"),
        ("GIAI", "https://example.org/8004/4000001-20190402", "8004/4000001-20190402"),
        ("SGTIN", "https://b.example/a/b/01/09506000134352/21/x?17=1#f", "01/09506000134352/21/x"),
        ("SGTIN", "HTTP://b.example:80/01/9506000134352/22/a/10/b/21/x", "01/09506000134352/21/x"),
        ("LGTIN", "https://b.example/01/09506000134352/22/a/10/b", "01/09506000134352/10/b"),
        ("GTIN", "https://b.example/01/09506000134352/22/a", "01/09506000134352"),
        ("UPUI", "https://b.example/01/09506000134352/235/a%62", "01/09506000134352/235/ab"),
        ("SGLN", "https://b.example/414/4012345000054/254/0", "414/4012345000054"),
        ("SGTIN", "https://b.example/01/09506000134352/21/10", "01/09506000134352/21/10"),
        ("LGTIN", "https://b.example/01/09506000134352/10/01", "01/09506000134352/10/01"),
        ("ITIP", "https://b.example/8006/040123451111180102/10/L1",
         "8006/040123451111180102/10/L1"),
        ("ITIP", "https://b.example/8006/040123451111180102/22/v", "8006/040123451111180102"),
    ],
)  # fmt: skip
def test_canonical_form(kind: str, uri: str, canonical: str) -> None:
    epc = parse_epc(uri)
    assert (epc.kind, epc.uri) == (EpcKind(kind), f"https://id.gs1.org/{canonical}")
    assert parse_epc(epc.uri) == epc


@pytest.mark.parametrize(
    "uri",
    [
        "http://transaction.acme.com/po/12345678",
        "https://acme.example/401/unauthorised",
        "https://acme.example/01/123",
        "https://acme.example/01/09506000134352/21/123456789012345678901",
        "https://acme.example/01/09506000134352/21/a/10/b",
        "https://acme.example/01/09506000134352/21/",
        "https://acme.example/01/09506000134352/21/%zz",
        "https://acme.example/01/09506000134352/99/1",
        "https://acme.example/00/123456",
        "https://acme.example/8003/14012345000771",
        "https:///01/09506000134352",
        "https://acme.example",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "urn:epcglobal:cbv:bt:0614141073467:1152",
        "urn:epc:tag:sgtin-96:3.0614141.812345.6789",
        "urn:epc:id:gid:95100000.12345.400",
        "example:x",
        "geo:50.947573340894124,6.922120147375441",
        "ni:///sha-256;00e1?ver=CBV2.0",
    ],
)
def test_what_is_no_gs1_identity_stays_as_it_is(uri: str) -> None:
    epc = parse_epc(uri)
    assert (epc.kind, epc.uri, epc.gtin) == (EpcKind.OTHER, uri, None)


def test_identities_without_a_link_keep_their_urn() -> None:
    assert parse_epc("urn:epc:id:bic:CSQU3054383").kind is EpcKind.BIC
    assert parse_epc("urn:epc:id:imovn:9176187").kind is EpcKind.IMOVN


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", "INVALID_EPC"),
        ("lot 4711", "INVALID_EPC"),
        ("/01/09506000134352", "INVALID_EPC"),
        ("example:", "INVALID_EPC"),
        ("example:a b", "INVALID_EPC"),
        ("urn:epc:id", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.11111.9", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.011111", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.011111.", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.011111.a/b", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.011111.a%2", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.011111.a%+f", "INVALID_EPC"),
        ("urn:epc:id:sgtin:40123.0111111.9", "INVALID_EPC"),
        ("urn:epc:id:sgtin:٤012345.011111.9", "INVALID_EPC"),
        ("urn:epc:id:sgcn:4012345.55555.a", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.011111.é", "INVALID_EPC"),
        ("urn:epc:id:sgtin:4012345.011111.a%C3%A9", "INVALID_EPC"),
        ("urn:epc:id:itip:4012345.011111.1.02.9", "INVALID_EPC"),
        ("urn:epc:id:itip:4012345.011111.01.0x.9", "INVALID_EPC"),
        ("urn:epc:id:cpi:4012345.AB1.1234567890123", "INVALID_EPC"),
        ("urn:epc:id:cpi:4012345.AB1.x", "INVALID_EPC"),
        ("urn:epc:idpat:sgtin:4012345.*.*", "INVALID_EPC"),
        ("https://a.example/01/09506000134353", "INVALID_GTIN_CHECK_DIGIT"),
        ("https://id.gs1.org/01/09506000134353/21/a", "INVALID_GTIN_CHECK_DIGIT"),
        ("https://a.example/8006/095060001343530101", "INVALID_GTIN_CHECK_DIGIT"),
        ("https://a.example/414/4012345000055", "INVALID_GLN_CHECK_DIGIT"),
        ("https://a.example/00/040123451111111111", "INVALID_SSCC_CHECK_DIGIT"),
        ("https://a.example/8018/061414100000102535", "INVALID_EPC"),
    ],
)
def test_refused(uri: str, expected: str) -> None:
    assert reason(parse_epc, uri) == expected
    assert canonical_uri(uri) == uri


@given(digits, serials, st.integers(6, 12))
def test_all_spellings_of_a_unit_meet(body: str, number: str, cut: int) -> None:
    gtin = (raw := body + "3") + ids.gs1_check_digit(raw)
    spelled = f"urn:epc:id:sgtin:{gtin[1 : 1 + cut]}.{gtin[0]}{gtin[1 + cut : 13]}.{urn(number)}"
    epc = parse_epc(spelled)
    assert (epc.gtin, epc.serial, epc.lot) == (gtin, number, None)
    assert epc == parse_epc(f"https://b.example/x/01/{gtin}/10/L/21/{link(number)}?91=x")
    assert epc == parse_epc(epc.uri)


@given(st.text() | st.builds("urn:epc:{}:{}:{}".format, st.sampled_from(["id", "class", "idpat"]),
       st.sampled_from(["sgtin", "cpi", "itip", "sscc", "giai", "sgcn", "lgtin"]),
       st.text("0123456789.%*aF/é", max_size=24))
       | st.builds("https://a/{}/{}".format, st.sampled_from(["01", "8010", "8004", "253", "00"]),
                   st.text("0123456789/%2", max_size=30)))  # fmt: skip
def test_nothing_else_is_raised_and_canonical_is_a_fixed_point(uri: str) -> None:
    try:
        epc = parse_epc(uri)
    except InvalidArgument:
        assert canonical_uri(uri) == uri
    else:
        assert parse_epc(epc.uri) == epc
