"""Bundles: whole ones are accepted, and whatever is done to one is refused by its name."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tests.support.bundles import (
    TAMPERINGS,
    Made,
    Tampering,
    made_bundle,
    policy_text,
)
from tests.support.service import gtin_of
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.evidence.verification import verify_bundle
from tracechain.domain.log.policy import Policy

DATA = Path(__file__).parents[2] / "data" / "evidence"
POLICY = Policy.parse(policy_text().encode())


@pytest.fixture(scope="module")
def made() -> Made:
    return made_bundle()


def test_a_whole_bundle_is_accepted(made: Made) -> None:
    found = verify_bundle(made.data, POLICY)
    assert found.export_index == made.export
    counts = [(c.leaves, c.sealed, c.without_text, c.late) for c in found.chains]
    assert counts == [(1, 0, 0, 0), (8, 1, 1, 1), (2, 0, 1, 0)]
    assert dict(found.accepted.witnessed).keys() == {"w0", "w1", "w2"}
    assert [one.kind.value for one in found.story] == [
        "key", "batch", "quantity", "recall", "event", "event", "event", "event", "evidence",
    ]  # fmt: skip
    assert [one.about for one in found.story[1:3]] == [f"{gtin_of(1)}/L1", "≤ 1000"]
    assert [one.step for one in found.story[4:8]] == ["shipping", "shipping", "shipping", ""]


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda one: one.name)
def test_what_forgers_do_is_named(made: Made, tampering: Tampering) -> None:
    data = tampering.tamper(made)
    assert data != made.data
    with pytest.raises(InvalidArgument) as refused:
        verify_bundle(data, POLICY)
    (violation,) = refused.value.violations
    assert (refused.value.reason, violation.field) == (tampering.reason, tampering.member(made))


def test_a_bundle_of_the_first_release_is_accepted_for_ever() -> None:
    policy = Policy.parse((DATA / "policy").read_bytes())
    found = verify_bundle((DATA / "v1.zip").read_bytes(), policy)
    assert [(one.index, one.kind.value) for one in found.story] == [
        (0, "key"), (1, "batch"), (2, "recall"), (3, "event"), (5, "event"), (7, "event"),
        (10, "evidence"),
    ]  # fmt: skip
    assert found.story[1].about.endswith("/L1 ≤ 1000")


def test_other_programs_read_the_archive(made: Made) -> None:
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == made.members


def test_every_byte_counts(made: Made) -> None:
    for at in range(0, len(made.data), 7):
        data = bytearray(made.data)
        data[at] ^= 1 << at % 8
        with pytest.raises(InvalidArgument):
            verify_bundle(bytes(data), POLICY)
