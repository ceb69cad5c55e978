"""Parties by their numbers, and which roles they may have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.identifiers import gln, gs1_check_digit, uscc
from tracechain.domain.party import (
    ROLES_OF_KIND,
    Party,
    PartyKind,
    Principal,
    Role,
    check_role,
)
from tracechain.domain.text import LocalizedText

USCC = "91350100M000100Y43"  # GB 32100-2015, annex
PARTY = Party(
    "6901234000115", USCC, "210102", PartyKind.ISSUER, LocalizedText("沈水示例酒厂", "Distillery")
)
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def refused(call: Any, *args: Any) -> tuple[str, str]:
    """Where and why something is refused."""
    with pytest.raises(InvalidArgument) as caught:
        call(*args)
    return caught.value.violations[0].field, caught.value.reason


def test_a_party_is_checked_and_keeps_its_spelling() -> None:
    assert PARTY.checked() == PARTY
    named = replace(PARTY, display_name=LocalizedText(" 厂 ", " "))
    assert named.checked().display_name == LocalizedText("厂", "")


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"gln": "690123400011"}, "gln", "INVALID_GLN"),
        ({"gln": "6901234000116"}, "gln", "INVALID_GLN_CHECK_DIGIT"),
        ({"uscc": USCC.lower()}, "uscc", "INVALID_USCC"),
        ({"uscc": USCC[:-1] + "5"}, "uscc", "INVALID_USCC_CHECK_CHARACTER"),
        ({"region": "99"}, "region", "INVALID_REGION"),
        ({"region": ""}, "region", "INVALID_REGION"),
        ({"display_name": LocalizedText("", "x")}, "display_name.zh", "MISSING_FIELD"),
        ({"display_name": LocalizedText("酒" * 201)}, "display_name.zh", "TEXT_TOO_LONG"),
    ],
)
def test_a_party_that_is_none(changes: dict[str, Any], field: str, reason: str) -> None:
    assert refused(replace(PARTY, **changes).checked) == (f"party.{field}", reason)
    assert refused(replace(PARTY, **changes).checked, "p[1]") == (f"p[1].{field}", reason)


# --- the numbers themselves: what their check characters catch


@given(
    st.text(USCC_ALPHABET, min_size=9, max_size=9),
    st.text("0123456789", min_size=6, max_size=6),
    st.integers(0, 17),
    st.sampled_from(USCC_ALPHABET),
)
def test_a_social_credit_code_shows_one_wrong_character(
    tail: str, digits: str, at: int, other: str
) -> None:
    body = f"91{digits}{tail}"
    (right,) = [body + c for c in USCC_ALPHABET if _accepted(uscc, body + c)]
    changed = right[:at] + other + right[at + 1 :]
    assert _accepted(uscc, changed) is (changed == right)


@given(
    st.text("0123456789", min_size=12, max_size=12),
    st.integers(0, 12),
    st.sampled_from("0123456789"),
)
def test_a_location_number_shows_one_wrong_digit(body: str, at: int, other: str) -> None:
    right = body + gs1_check_digit(body)
    changed = right[:at] + other + right[at + 1 :]
    assert _accepted(gln, changed) is (changed == right)


def _accepted(check: Any, text: str) -> bool:
    try:
        return bool(check(text) == text)
    except InvalidArgument:
        return False


# --- roles


@pytest.mark.parametrize("kind", PartyKind)
@pytest.mark.parametrize("role", Role)
def test_a_party_has_the_roles_of_its_kind(kind: PartyKind, role: Role) -> None:
    region = "210000" if role is Role.INSPECTOR else ""
    if role in ROLES_OF_KIND[kind]:
        check_role(kind, role, region)
    else:
        assert refused(check_role, kind, role, region) == ("credential.role", "INVALID_ROLE")


def test_only_the_authorities_supervise_and_operate() -> None:
    for role in (Role.INSPECTOR, Role.AUDITOR, Role.OPERATOR):
        assert [kind for kind, roles in ROLES_OF_KIND.items() if role in roles] == [
            PartyKind.REGULATOR
        ]
    assert [kind for kind, roles in ROLES_OF_KIND.items() if Role.ISSUER in roles] == [
        PartyKind.ISSUER
    ]
    assert set(ROLES_OF_KIND) == set(PartyKind)


def test_an_inspector_has_a_region_and_nobody_else_has() -> None:
    where = ("credential.region", "INVALID_REGION")
    assert refused(check_role, PartyKind.REGULATOR, Role.INSPECTOR, "") == where
    assert refused(check_role, PartyKind.REGULATOR, Role.INSPECTOR, "2101") == where
    assert refused(check_role, PartyKind.REGULATOR, Role.AUDITOR, "210000") == where
    assert refused(check_role, PartyKind.ISSUER, Role.ISSUER, "210000") == where


@pytest.mark.parametrize(
    ("role", "own", "region", "expected"),
    [
        (Role.INSPECTOR, "210000", "210102", True),
        (Role.INSPECTOR, "210100", "210102", True),
        (Role.INSPECTOR, "210102", "210102", True),
        (Role.INSPECTOR, "210200", "210102", False),
        (Role.INSPECTOR, "210102", "210100", False),
        (Role.INSPECTOR, "220000", "210102", False),
        (Role.AUDITOR, "", "210102", False),
        (Role.OPERATOR, "", "210102", False),
        (Role.ISSUER, "210000", "210102", False),
    ],
)
def test_an_inspector_supervises_its_division(
    role: Role, own: str, region: str, expected: bool
) -> None:
    assert Principal("6901234000115", role, own).supervises(region) is expected
