"""How large a QR code is: its version, its level of error correction, its modules in print.

Promises that a symbol chosen here holds its text, that its modules are whole dots of the printer
(a module of two and a half dots is printed now two, now three wide, and readers stumble), and
that whoever asks for less than a reader needs is warned. Were a size wrong here, ten thousand
labels would be printed before anybody tries to scan one.

ISO/IEC 18004:2024 (capacities, table 7; quiet zone, 6.3.8); GS1 General Specifications, QR Code
with GS1 Digital Link at the point of sale (X-dimension 0.396 to 0.990 mm, target 0.495 mm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tracechain.domain.errors import InvalidArgument

QUIET_ZONE = 4
X_MIN_MM = 0.396
X_TARGET_MM = 0.495
X_MAX_MM = 0.990
MM_PER_INCH = 25.4
DPI = range(72, 2401)
MODULE_MM = (0.1, 10.0)


class ErrorCorrection(StrEnum):
    """How much of a symbol may be lost: about 7, 15, 25 and 30 % of its codewords."""

    L = "L"
    M = "M"
    Q = "Q"
    H = "H"


# Data codewords by version from 1, in the order L, M, Q, H. The largest code of ours, under a
# host name of 253 characters, has 390 bytes.
_CODEWORDS = (
    (19, 16, 13, 9), (34, 28, 22, 16), (55, 44, 34, 26), (80, 64, 48, 36), (108, 86, 62, 46),
    (136, 108, 76, 60), (156, 124, 88, 66), (194, 154, 110, 86), (232, 182, 132, 100),
    (274, 216, 154, 122), (324, 254, 180, 140), (370, 290, 206, 158), (428, 334, 244, 180),
    (461, 365, 261, 197), (523, 415, 295, 223), (589, 453, 325, 253), (647, 507, 367, 283),
    (721, 563, 397, 313), (795, 627, 445, 341), (861, 669, 485, 385), (932, 714, 512, 406),
)  # fmt: skip
# From version 10 on the length of a text in bytes takes two bytes; four bits tell its mode.
_LONG_FROM = 10


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol as it will be printed: `dots` of the printer for each module."""

    version: int
    level: ErrorCorrection
    dots: int
    dpi: int

    @property
    def modules(self) -> int:
        """Modules of a side, without the quiet zone."""
        return 17 + 4 * self.version

    @property
    def module_mm(self) -> float:
        """Width of a module (the X-dimension)."""
        return self.dots * MM_PER_INCH / self.dpi

    @property
    def side_mm(self) -> float:
        """Width of the whole, the quiet zone on both sides included."""
        return (self.modules + 2 * QUIET_ZONE) * self.module_mm

    @property
    def is_small(self) -> bool:
        """True where modules are below what GS1 asks for at the point of sale."""
        return self.module_mm < X_MIN_MM


def least_version(length: int, level: ErrorCorrection) -> int:
    """The smallest version that holds `length` bytes. Raises InvalidArgument TEXT_TOO_LONG."""
    column = tuple(ErrorCorrection).index(level)
    for version, codewords in enumerate(_CODEWORDS, 1):
        if length + (3 if version >= _LONG_FROM else 2) <= codewords[column]:
            return version
    raise InvalidArgument.of("code", "TEXT_TOO_LONG", f"{length} bytes are too many for a label")


def free_symbol(
    length: int, level: ErrorCorrection | None, module_mm: float | None, dpi: int
) -> Symbol:
    """The symbol of a text where nothing bounds its size: the level M unless one is set, modules
    of the size that is set or else GS1's target, made whole dots.

    Raises InvalidArgument as `check_print` does.
    """
    check_print(module_mm, dpi)
    dots = round((module_mm or X_TARGET_MM) * dpi / MM_PER_INCH)
    level = level or ErrorCorrection.M
    return Symbol(least_version(length, level), level, dots, dpi)


def fitting_symbol(
    length: int,
    level: ErrorCorrection | None,
    module_mm: float | None,
    dpi: int,
    box_mm: float,
) -> Symbol:
    """The symbol of a text for a square of `box_mm`, quiet zone included.

    Modules are as large as the square and GS1 allow, or of the size that is set. Where no level
    is set it is the highest whose modules are still as large as GS1 asks for; where none is, the
    lowest, which has the largest modules. Raises InvalidArgument LABEL_TOO_SMALL, or as
    `check_print` does.
    """
    check_print(module_mm, dpi)
    levels: Sequence[ErrorCorrection] = [level] if level else tuple(reversed(ErrorCorrection))
    symbol: Symbol | None = None
    for each in levels:
        version = least_version(length, each)
        # A hair is forgiven: what was computed from dots must fit again.
        most = math.floor(box_mm * dpi / MM_PER_INCH / (17 + 4 * version + 2 * QUIET_ZONE) + 1e-6)
        largest = max(1, int(X_MAX_MM * dpi / MM_PER_INCH))
        dots = round(module_mm * dpi / MM_PER_INCH) if module_mm else min(most, largest)
        if not 1 <= dots <= most:
            continue
        symbol = Symbol(version, each, dots, dpi)
        if module_mm or not symbol.is_small:
            return symbol
    if symbol is None:
        size = f"with modules of {module_mm} mm " if module_mm else f"at {dpi} dpi "
        raise InvalidArgument.of(
            "layout",
            "LABEL_TOO_SMALL",
            f"the QR code {size}does not fit into {max(box_mm, 0):.1f} mm, what the label leaves "
            "for it; take a larger label, compact codes, or less text",
        )
    return symbol


def check_print(module_mm: float | None, dpi: int) -> None:
    """Raises InvalidArgument INVALID_PRINT_SIZE for a resolution or a module out of bounds, and
    for a module that is narrower than the printer's dot."""
    if dpi not in DPI:
        raise InvalidArgument.of(
            "dpi", "INVALID_PRINT_SIZE", f"is {dpi}, must be {DPI.start} to {DPI.stop - 1}"
        )
    if module_mm is None:
        return
    low, high = MODULE_MM
    if not low <= module_mm <= high:
        raise InvalidArgument.of(
            "module_mm", "INVALID_PRINT_SIZE", f"is {module_mm:g}, must be {low} to {high} mm"
        )
    if round(module_mm * dpi / MM_PER_INCH) < 1:
        raise InvalidArgument.of(
            "module_mm",
            "INVALID_PRINT_SIZE",
            f"{module_mm:g} mm is narrower than a dot at {dpi} dpi ({MM_PER_INCH / dpi:.3f} mm)",
        )
