"""Sizes of QR codes: capacities against an encoder's, and what is chosen for a square."""

from __future__ import annotations

import math

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from tests.support.labels import outcome
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.qr import (
    X_MAX_MM,
    X_MIN_MM,
    ErrorCorrection,
    Symbol,
    fitting_symbol,
    free_symbol,
    least_version,
)

LEVELS = st.sampled_from(tuple(ErrorCorrection))


@pytest.mark.parametrize("level", tuple(ErrorCorrection))
def test_capacities_are_those_of_an_encoder(level: ErrorCorrection) -> None:
    length, version = 1, 1
    while version < 21:
        # On from the first length of a version to the first of the next.
        while least_version(length, level) == version:
            length += 1
        for text, expected in ((length - 1, version), (length, version + 1)):
            made = segno.make_qr(
                "a" * text, error=level.value, mode="byte", boost_error=False, mask=0
            )
            assert made.version == expected, (level, text)
        version += 1


def test_what_no_label_holds_is_refused() -> None:
    with pytest.raises(InvalidArgument) as error:
        least_version(5000, ErrorCorrection.L)
    assert error.value.reason == "TEXT_TOO_LONG"


@given(
    st.integers(60, 390), st.none() | LEVELS, st.sampled_from([203, 300, 600]), st.floats(5, 120)
)
def test_a_fitting_symbol_fits_and_is_the_best_that_does(
    length: int, level: ErrorCorrection | None, dpi: int, box: float
) -> None:
    def largest(each: ErrorCorrection) -> int:
        modules = 25 + 4 * least_version(length, each)
        return min(math.floor(box * dpi / 25.4 / modules + 1e-6), int(X_MAX_MM * dpi / 25.4))

    found = outcome(lambda: fitting_symbol(length, level, None, dpi, box))
    if isinstance(found, InvalidArgument):
        assert found.reason == "LABEL_TOO_SMALL"
        assert largest(level or ErrorCorrection.L) < 1
        return
    assert found.side_mm <= box + 1e-6
    assert found.module_mm <= X_MAX_MM
    assert found.dots == largest(found.level)
    if level is not None:
        assert found.level is level
        return
    good = [each for each in ErrorCorrection if largest(each) * 25.4 / dpi >= X_MIN_MM]
    assert found.level is (good[-1] if good else ErrorCorrection.L)
    assert found.is_small is not bool(good)


@given(st.floats(0.2, 2.0), st.sampled_from([203, 300, 600]), st.floats(20, 120))
def test_a_module_that_is_set_is_kept_to_half_a_dot(module: float, dpi: int, box: float) -> None:
    found = outcome(lambda: fitting_symbol(158, None, module, dpi, box))
    if isinstance(found, InvalidArgument):
        assert found.reason == "LABEL_TOO_SMALL"
        return
    assert abs(found.module_mm - module) <= 25.4 / dpi / 2 + 1e-9
    assert found.side_mm <= box + 1e-6


def test_without_bounds_modules_are_what_gs1_aims_at() -> None:
    found = free_symbol(158, None, None, 600)
    assert found == Symbol(9, ErrorCorrection.M, 12, 600)
    assert found.modules == 53
    assert found.side_mm == pytest.approx(61 * 12 * 25.4 / 600)
    assert not found.is_small
    assert free_symbol(158, ErrorCorrection.H, 0.35, 600).is_small


@pytest.mark.parametrize(
    ("module", "dpi", "field"),
    [
        (None, 71, "dpi"), (None, 2401, "dpi"), (None, -1, "dpi"), (0.09, 600, "module_mm"),
        (10.1, 600, "module_mm"), (-1.0, 600, "module_mm"), (math.nan, 600, "module_mm"),
        (math.inf, 600, "module_mm"), (0.1, 72, "module_mm"),
    ],
)  # fmt: skip
def test_sizes_out_of_bounds_are_named(module: float | None, dpi: int, field: str) -> None:
    for choose in (
        lambda: free_symbol(158, None, module, dpi),
        lambda: fitting_symbol(158, None, module, dpi, 30.0),
    ):
        with pytest.raises(InvalidArgument) as error:
            choose()
        assert [(v.field, v.reason) for v in error.value.violations] == [
            (field, "INVALID_PRINT_SIZE")
        ]
