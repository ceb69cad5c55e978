"""The scan history of one unit: a small summary that every scan folds into.

The summary answers "scanned before? by whom? does it look like a copy?" in constant space,
however often a copied code is scanned. Marks are salted hashes of devices that rotate monthly;
places are divisions, never positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

MARK_BYTES = 8
_MAX_MARKS = 16
_MINUTE = 60_000_000


class Suspicion(IntFlag):
    """What a history has shown; never taken back, since a copy stays a copy."""

    NONE = 0
    IMPOSSIBLE_TRAVEL = 1
    MANY_DEVICES = 2


@dataclass(frozen=True, slots=True)
class ScanRules:
    """When a history looks like a copied code. Times in minutes.

    Two devices that scan one unit in two prefectures within `same_province_minutes`, or in two
    provinces within `other_province_minutes`, cannot both hold it. More than `max_devices`
    devices are more than one unit meets on its way through a household.
    """

    same_province_minutes: int = 30
    other_province_minutes: int = 90
    max_devices: int = 5


# These three are made thousands of times a second and travel between processes: as tuples they
# cost a fifth.
class Scan(NamedTuple):
    """One scan of one unit. `scan_id` is 8 bytes: the same again is the same scan."""

    batch_key: int
    unit: int
    time: int
    scan_id: bytes
    device: bytes
    region: str


class ScanSummary(NamedTuple):
    """All scans of one unit so far. Times in microseconds; `devices` are marks, joined."""

    first_time: int
    first_device: bytes
    first_region: str
    first_id: bytes
    last_time: int
    last_device: bytes
    last_region: str
    last_id: bytes
    count: int  # type: ignore[assignment]  # hides a method of tuples that nobody needs here
    devices: bytes
    suspicion: Suspicion


class ScanHistory(NamedTuple):
    """What a scan finds: the summary before it (None for a first scan) and what it shows now."""

    before: ScanSummary | None
    suspicion: Suspicion


def fold_scan(before: ScanSummary | None, scan: Scan, rules: ScanRules) -> ScanSummary:
    """The summary after `scan`. A scan that repeats the first or the last id changes nothing."""
    if before is None:
        return ScanSummary(
            scan.time, scan.device, scan.region, scan.scan_id,
            scan.time, scan.device, scan.region, scan.scan_id,
            1, scan.device, Suspicion.NONE,
        )  # fmt: skip
    if scan.scan_id in (before.last_id, before.first_id):
        return before
    suspicion = before.suspicion
    if _too_far(before, scan, rules):
        suspicion |= Suspicion.IMPOSSIBLE_TRAVEL
    devices = before.devices
    if scan.device and not _known(devices, scan.device):
        if len(devices) < _MAX_MARKS * MARK_BYTES:
            devices += scan.device
        if len(devices) > rules.max_devices * MARK_BYTES:
            suspicion |= Suspicion.MANY_DEVICES
    return ScanSummary(
        before.first_time, before.first_device, before.first_region, before.first_id,
        scan.time, scan.device, scan.region, scan.scan_id,
        before.count + 1, devices, suspicion,
    )  # fmt: skip


def without_last(summary: ScanSummary, scan_id: bytes) -> ScanSummary | None:
    """What a repeated scan found when it came first: None for the unit's first scan, else the
    summary without it. Only the first and the last scan are known to be repeated."""
    if summary.first_id == scan_id:
        return None
    return summary._replace(count=summary.count - 1)


def _known(marks: bytes, mark: bytes) -> bool:
    return any(marks[i : i + MARK_BYTES] == mark for i in range(0, len(marks), MARK_BYTES))


def _too_far(before: ScanSummary, scan: Scan, rules: ScanRules) -> bool:
    here, there = scan.region, before.last_region
    if not here or not there or here[:4] == there[:4] or "00" in (here[2:4], there[2:4]):
        return False
    if scan.device and scan.device == before.last_device:
        return False
    minutes = rules.same_province_minutes if here[:2] == there[:2] else rules.other_province_minutes
    return abs(scan.time - before.last_time) < minutes * _MINUTE
