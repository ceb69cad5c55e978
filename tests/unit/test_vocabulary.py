"""The CBV's three spellings, and what is not of it."""

from __future__ import annotations

import pytest

from tracechain.domain.epcis import vocabulary
from tracechain.domain.epcis.vocabulary import Vocabulary

LISTS = [
    vocabulary.BIZ_STEP,
    vocabulary.DISPOSITION,
    vocabulary.BIZ_TRANSACTION_TYPE,
    vocabulary.SOURCE_DEST_TYPE,
    vocabulary.ERROR_REASON,
    vocabulary.COMPONENT,
    vocabulary.MEASUREMENT_TYPE,
    vocabulary.SENSOR_ALERT,
]


@pytest.mark.parametrize("known", LISTS)
def test_every_spelling_of_every_value_is_one(known: Vocabulary) -> None:
    for name in known.names:
        for prefix in {"", known.web, known.curie, known.urn}:
            assert known.name(prefix + name) == name
            assert known.uri(prefix + name) == known.web + name


def test_the_sizes_of_the_lists_are_those_of_the_schema() -> None:
    assert [len(known.names) for known in LISTS] == [41, 33, 13, 3, 2, 14, 72, 2]


@pytest.mark.parametrize(
    "text",
    [
        "shipping",
        "urn:epcglobal:cbv:bizstep:shipping",
        "https://ref.gs1.org/cbv/BizStep-shipping",
        "cbv:BizStep-shipping",
    ],
)
def test_biz_step_in_its_spellings(text: str) -> None:
    assert vocabulary.biz_step_name(text) == "shipping"
    assert vocabulary.biz_step_uri(text) == "https://ref.gs1.org/cbv/BizStep-shipping"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Shipping",
        " shipping",
        "in_transit",
        "urn:epcglobal:cbv:disp:shipping",
        "http://epcis.example.com/user/vocab/bizstep/exampling",
        "urn:epcglobal:cbv:bizstep:exampling",
        "https://ref.gs1.org/cbv/BizStep-exampling",
    ],
)
def test_an_unknown_step_keeps_its_name(text: str) -> None:
    assert vocabulary.biz_step_name(text) == text


def test_an_unknown_urn_or_curie_is_rewritten_by_its_prefix() -> None:
    expected = "https://ref.gs1.org/cbv/BizStep-exampling"
    assert vocabulary.biz_step_uri("urn:epcglobal:cbv:bizstep:exampling") == expected
    assert vocabulary.biz_step_uri("cbv:BizStep-exampling") == expected
    assert vocabulary.biz_step_uri("exampling") == "exampling"


def test_the_uris_that_the_hash_needs() -> None:
    cbv, voc = "https://ref.gs1.org/cbv/", "https://gs1.org/voc/"
    assert vocabulary.disposition_name("urn:epcglobal:cbv:disp:in_transit") == "in_transit"
    assert vocabulary.disposition_uri("in_transit") == f"{cbv}Disp-in_transit"
    assert vocabulary.biz_transaction_type_uri("po") == f"{cbv}BTT-po"
    assert vocabulary.source_dest_type_uri("owning_party") == f"{cbv}SDT-owning_party"
    assert vocabulary.error_reason_uri("incorrect_data") == f"{cbv}ER-incorrect_data"
    assert vocabulary.component_uri("cbv:Comp-latitude") == f"{cbv}Comp-latitude"
    assert vocabulary.measurement_type_uri("gs1:Temperature") == f"{voc}Temperature"
    assert vocabulary.sensor_alert_uri("ALARM_CONDITION") == f"{voc}ALARM_CONDITION"


def test_a_urn_names_its_own_list() -> None:
    urn_to_uri = vocabulary.urn_to_uri
    assert urn_to_uri("urn:epcglobal:cbv:sdt:location") == "https://ref.gs1.org/cbv/SDT-location"
    for kept in ("urn:epcglobal:cbv:bt:4012345000009:ASN1", "urn:uuid:1", "location"):
        assert urn_to_uri(kept) == kept


def test_prefixes_are_those_of_the_document() -> None:
    known = vocabulary.prefixes(
        '["https://remote.example/c.jsonld", {"a": "https://a.example/", "@version": 1.1},'
        ' {"b": {"@id": "https://b.example/b#"}, "c": {"@type": "@id"}, "t": "https://a.example/t"}]'
    )
    assert vocabulary.qualified_name("a:x", known) == "{https://a.example/}x"
    assert vocabulary.qualified_name("https://a.example/x", known) == "{https://a.example/}x"
    assert vocabulary.qualified_name("t", known) == "{https://a.example/}t"
    assert vocabulary.qualified_name("b:x:y", known) == "{https://b.example/b#}x:y"
    assert (
        vocabulary.qualified_name("cbvmda:lotNumber", known) == "{urn:epcglobal:cbv:mda:}lotNumber"
    )
    assert (
        vocabulary.qualified_name("urn:epcglobal:cbv:mda:lotNumber", known)
        == "{urn:epcglobal:cbv:mda:}lotNumber"
    )
    for undeclared in ("c:x", "z:x", "x"):
        assert vocabulary.qualified_name(undeclared, known) == undeclared


def test_an_object_is_a_context_too_and_the_later_declaration_wins() -> None:
    assert vocabulary.prefixes('{"a": "https://a.example/"}')["a"] == "https://a.example/"
    assert vocabulary.prefixes('[{"a": "x:"}, {"a": "y:"}]')["a"] == "y:"
    assert vocabulary.prefixes("")["gs1"] == "https://gs1.org/voc/"
