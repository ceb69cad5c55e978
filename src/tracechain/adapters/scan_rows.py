"""How a scan and a unit's history lie in rows, for every store: exact both ways.

Marks and scan ids are eight bytes and are kept as integers; a mark that is empty is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracechain.domain.scan import Scan, ScanSummary, Suspicion

SUMMARY_COLUMNS = (
    "batch_key", "unit",
    "first_time", "first_device", "first_region", "first_id",
    "last_time", "last_device", "last_region", "last_id",
    "count", "devices", "suspicion",
)  # fmt: skip
# Those that a further scan of the unit changes.
CHANGING_COLUMNS = SUMMARY_COLUMNS[6:]
SCAN_COLUMNS = ("batch_key", "unit", "time", "scan_id", "device", "region")


def scan_row(scan: Scan) -> tuple[Any, ...]:
    """A scan as SCAN_COLUMNS."""
    return (
        scan.batch_key, scan.unit, scan.time,
        _number(scan.scan_id), _number(scan.device), scan.region,
    )  # fmt: skip


def summary_row(unit: tuple[int, int], s: ScanSummary) -> tuple[Any, ...]:
    """The history of a unit, given as (batch key, unit), as SUMMARY_COLUMNS."""
    return (
        *unit,
        s.first_time, _number(s.first_device), s.first_region, _number(s.first_id),
        s.last_time, _number(s.last_device), s.last_region, _number(s.last_id),
        s.count, s.devices.hex(), int(s.suspicion),
    )  # fmt: skip


def read_summary(row: Sequence[Any]) -> ScanSummary:
    """The history in a row of SUMMARY_COLUMNS."""
    return ScanSummary(
        row[2], _mark(row[3]), row[4], _mark(row[5]),
        row[6], _mark(row[7]), row[8], _mark(row[9]),
        row[10], bytes.fromhex(row[11]), Suspicion(row[12]),
    )  # fmt: skip


def _number(mark: bytes) -> int:
    return int.from_bytes(mark, "big", signed=True)


def _mark(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True) if number else b""
