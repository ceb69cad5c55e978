"""The mask of a QR code: the pictures are segno's, the penalty is the standard's."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.labels import codes_in, made_labels, svg_image
from tracechain.adapters.labels.masking import MASKS, masked_rows, penalty
from tracechain.adapters.labels.symbol import svg
from tracechain.domain.qr import ErrorCorrection, Symbol, least_version

FINDER = "1011101"


def plainly(rows: list[str]) -> int:
    """ISO/IEC 18004:2024, 7.8.3.1, read word by word."""
    columns = ["".join(column) for column in zip(*rows, strict=True)]
    total = 0
    for line in rows + columns:
        for _, run in groupby(line):
            length = len(list(run))
            total += length - 2 if length >= 5 else 0
        wide = f"0000{line}0000"
        for at in range(4, len(wide) - 10):
            if wide[at : at + 7] == FINDER:
                beside = (wide[at - 4 : at], wide[at + 7 : at + 11])
                total += 40 if "0000" in beside else 0
    for upper, lower in pairwise(rows):
        for at in range(len(rows) - 1):
            total += 3 * (len({*upper[at : at + 2], *lower[at : at + 2]}) == 1)
    share = 100 * sum(row.count("1") for row in rows) / len(rows) ** 2
    return total + 10 * int(abs(share - 50) / 5)


def packed(rows: list[str]) -> int:
    return int("".join(row + "0000" for row in rows), 2)


@given(st.integers(7, 25), st.sampled_from([0.1, 0.5, 0.9]), st.randoms(use_true_random=False))
def test_the_penalty_is_that_of_the_standard(size: int, dark: float, chance: object) -> None:
    rows = [
        "".join("1" if chance.random() < dark else "0" for _ in range(size))  # type: ignore[attr-defined]
        for _ in range(size)
    ]
    assert penalty(packed(rows), size) == plainly(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [FINDER] * 7, ["1" * 9] * 9, ["0" * 9] * 9, [FINDER + "000"] * 10, ["000" + FINDER] * 10,
        ["10111010000", *["0" * 11] * 10], ["00001011101", *["1" * 11] * 10],
        ["110111011", *["010101010"] * 8], [f"{FINDER}011101", *["0" * 13] * 12],
    ],
)  # fmt: skip
def test_the_penalty_at_edges_is_that_of_the_standard(rows: list[str]) -> None:
    assert penalty(packed(rows), len(rows)) == plainly(rows)


@settings(max_examples=8)
@given(st.sampled_from(tuple(ErrorCorrection)), st.integers(1, 10**6), st.sampled_from([16, 90]))
def test_the_code_is_what_segno_draws_and_its_mask_the_best(
    level: ErrorCorrection, seed: int, token: int
) -> None:
    (label,) = made_labels(1, seed, token)
    symbol = Symbol(least_version(len(label.uri), level), level, 10, 600)
    drawn = {}
    for mask in MASKS:
        made = segno.make_qr(
            label.uri, version=symbol.version, error=level.value, mask=mask, boost_error=False
        )
        drawn[mask] = ["".join(map(str, row)) for row in made.matrix]
    best, rows = masked_rows(label.uri, symbol)
    assert rows == drawn[best]
    assert plainly(rows) == min(map(plainly, drawn.values()))
    assert codes_in(svg_image(svg(label.uri, symbol))) == [label.uri]
