"""The mask of a QR code with the lowest penalty, for all eight masks at once.

segno draws one mask in two milliseconds and weighs eight in ten. But the pictures of one text
under two masks differ by the same modules whatever the text is: so one is drawn, the other seven
are that one with a known picture over it, and a picture is one long number, weighed by shifts.

ISO/IEC 18004:2024, 7.8.3.1: runs (N1 = 3), blocks (N2 = 3), what looks like a finder pattern
(N3 = 40), and the share of dark modules (N4 = 10).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import segno

from tracechain.domain.qr import Symbol

MASKS = range(8)
_DIGITS = bytes.maketrans(b"\x00\x01", b"01")
# Light modules between the rows: the quiet zone, as far as it is looked at.
_GUARD = 4


def masked_rows(uri: str, symbol: Symbol) -> tuple[int, list[str]]:
    """The best mask of a QR code, and the code under it row by row, `1` for a dark module."""
    first = _packed(_drawn(uri, symbol, 0).matrix)
    pictures = [first ^ over for over in _differences(symbol.version, symbol.level.value)]
    modules = symbol.modules
    best = min(MASKS, key=lambda mask: penalty(pictures[mask], modules))
    stride = modules + _GUARD
    digits = f"{pictures[best]:0{stride * modules}b}"
    return best, [digits[at : at + modules] for at in range(0, len(digits), stride)]


def masked(uri: str, symbol: Symbol) -> segno.QRCode:
    """A QR code under its best mask."""
    best, _ = masked_rows(uri, symbol)
    return _drawn(uri, symbol, best)


def _drawn(uri: str, symbol: Symbol, mask: int) -> segno.QRCode:
    return segno.make_qr(
        uri,
        version=symbol.version,
        error=symbol.level.value,
        mode="byte",
        mask=mask,
        boost_error=False,
    )


@cache
def _differences(version: int, level: str) -> tuple[int, ...]:
    """What lies between mask 0 and each mask, the format information included."""
    drawn = [
        _packed(
            segno.make_qr(
                "x", version=version, error=level, mode="byte", mask=mask, boost_error=False
            ).matrix
        )
        for mask in MASKS
    ]
    return tuple(drawn[0] ^ each for each in drawn)


def _packed(rows: Iterable[bytes | bytearray]) -> int:
    """A picture as a number: row after row, each followed by light modules."""
    return int(b"".join(bytes(row).translate(_DIGITS) + b"0" * _GUARD for row in rows), 2)


@cache
def _field(modules: int) -> int:
    """The places of a picture that are modules."""
    row = (1 << modules) - 1 << _GUARD
    return sum(row << (modules + _GUARD) * y for y in range(modules))


def penalty(picture: int, modules: int) -> int:
    """How badly a picture may be read; lower is better."""
    stride, field = modules + _GUARD, _field(modules)
    # Outside it is light, as far as a finder pattern is looked for.
    everything = (1 << stride * (modules + 2 * _GUARD)) - 1
    dark = picture << _GUARD * stride
    light = everything & ~dark
    total = 0
    for plane in (picture, field & ~picture):
        for step in (1, stride):
            pairs = plane & plane >> step
            fives = pairs & pairs >> 2 * step & plane >> 4 * step
            starts = fives & ~(fives << step)
            total += fives.bit_count() + 2 * starts.bit_count()
        pairs = plane & plane >> 1
        total += 3 * (pairs & pairs >> stride).bit_count()
    for step in (1, stride):
        finders = dark & light >> step & dark >> 2 * step & dark >> 3 * step & dark >> 4 * step
        finders &= light >> 5 * step & dark >> 6 * step
        pairs = light & light >> step
        fours = pairs & pairs >> 2 * step
        # Four light modules behind it, or before it.
        total += 40 * (finders & (fours >> 7 * step | fours << 4 * step)).bit_count()
    share = 100 * picture.bit_count() / modules**2
    return total + 10 * int(abs(share - 50) / 5)
