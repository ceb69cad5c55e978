"""The scan history of a unit: a summary of constant size that tells a copy from a household."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.scan import (
    MARK_BYTES,
    Scan,
    ScanRules,
    ScanSummary,
    Suspicion,
    fold_scan,
)

RULES = ScanRules()
MINUTE = 60_000_000
SHENYANG, HEPING, DALIAN, CHANGCHUN = "210100", "210102", "210200", "220100"
LIAONING, JILIN = "210000", "220000"


def mark(number: int) -> bytes:
    """The mark of a device."""
    return number.to_bytes(MARK_BYTES, "big") if number else b""


def scan(number: int, minute: float = 0, device: int = 1, region: str = HEPING) -> Scan:
    """A scan of the unit; device 0 is one that did not say."""
    return Scan(5, 7, int(minute * MINUTE), mark(number), mark(device), region)


def folded(*scans: Scan, rules: ScanRules = RULES) -> ScanSummary:
    """The summary after these scans."""
    summary = None
    for one in scans:
        summary = fold_scan(summary, one, rules)
    assert summary is not None
    return summary


def test_the_first_scan() -> None:
    first = scan(1, 3)
    summary = folded(first)
    assert (summary.first_time, summary.last_time, summary.count) == (first.time, first.time, 1)
    assert (summary.first_device, summary.devices) == (mark(1), mark(1))
    assert summary.suspicion is Suspicion.NONE


def test_later_scans_are_counted_and_the_first_is_kept() -> None:
    summary = folded(scan(1, 0), scan(2, 10, region=""), scan(3, 20, 2, SHENYANG))
    assert (summary.first_time, summary.first_device, summary.first_region) == (0, mark(1), HEPING)
    assert (summary.first_id, summary.last_id) == (mark(1), mark(3))
    assert (summary.last_time, summary.last_device) == (20 * MINUTE, mark(2))
    assert (summary.last_region, summary.count) == (SHENYANG, 3)
    assert summary.devices == mark(1) + mark(2)
    assert summary.suspicion is Suspicion.NONE


@pytest.mark.parametrize("again", [1, 3])
def test_a_scan_that_is_sent_again_is_the_same_scan(again: int) -> None:
    before = folded(scan(1, 0), scan(2, 10), scan(3, 20))
    repeated = scan(again, 500, 9, CHANGCHUN)
    assert fold_scan(before, repeated, RULES) is before


@pytest.mark.parametrize(
    ("there", "here", "minutes", "expected"),
    [
        (HEPING, DALIAN, 29.99, True),
        (HEPING, DALIAN, 30, False),
        (HEPING, CHANGCHUN, 89.99, True),
        (HEPING, CHANGCHUN, 90, False),
        (HEPING, SHENYANG, 0, False),
        (HEPING, "210103", 0, False),
        (HEPING, "", 0, False),
        ("", HEPING, 0, False),
        # A province alone says too little: its border may be next door.
        (HEPING, JILIN, 0, False),
        (LIAONING, CHANGCHUN, 0, False),
        # Clocks of two nodes may differ: what counts is the time between.
        (HEPING, DALIAN, -29.99, True),
        (HEPING, DALIAN, -30, False),
    ],
)
def test_nobody_is_in_two_places(there: str, here: str, minutes: float, expected: bool) -> None:
    summary = folded(scan(1, 1000, 1, there), scan(2, 1000 + minutes, 2, here))
    assert (summary.suspicion is Suspicion.IMPOSSIBLE_TRAVEL) is expected
    # The same device has not been in two places: its region was told wrong.
    same = folded(scan(1, 1000, 1, there), scan(2, 1000 + minutes, 1, here))
    assert same.suspicion is Suspicion.NONE


def test_a_device_that_does_not_say_which_it_is_can_be_another() -> None:
    far = folded(scan(1, 0, 0, HEPING), scan(2, 5, 0, CHANGCHUN))
    assert far.suspicion is Suspicion.IMPOSSIBLE_TRAVEL
    assert far.devices == b""


def test_the_rules_say_how_long_a_journey_takes() -> None:
    rules = ScanRules(same_province_minutes=0, other_province_minutes=1)
    near, far = scan(2, 0.5, 2, DALIAN), scan(2, 0.5, 2, CHANGCHUN)
    assert folded(scan(1), near, rules=rules).suspicion is Suspicion.NONE
    assert folded(scan(1), far, rules=rules).suspicion is Suspicion.IMPOSSIBLE_TRAVEL


def test_a_copy_stays_a_copy() -> None:
    scans = [scan(1, 0, 1, HEPING), scan(2, 1, 2, CHANGCHUN)]
    scans += [scan(3 + n, 10_000 * (n + 1), 1, HEPING) for n in range(50)]
    assert folded(*scans).suspicion is Suspicion.IMPOSSIBLE_TRAVEL


@pytest.mark.parametrize("limit", [1, 5, 15])
def test_more_devices_than_a_household_has(limit: int) -> None:
    rules = ScanRules(max_devices=limit)
    scans = [scan(n, 100 * n, n) for n in range(1, limit + 1)]
    scans += [scan(50 + n, 10_000 + n, 1 + n % limit) for n in range(20)]
    scans.append(scan(99, 20_000, 0))  # one that did not say is no device more
    assert folded(*scans, rules=rules).suspicion is Suspicion.NONE
    one_more = scan(100, 30_000, limit + 1)
    assert folded(*scans, one_more, rules=rules).suspicion is Suspicion.MANY_DEVICES


def test_a_mark_is_known_as_a_whole_only() -> None:
    """Half of one mark and half of the next are no mark that was seen."""
    first, second = b"abcdefgh", b"ijklmnop"
    scans = [scan(n, 100 * n)._replace(device=d) for n, d in enumerate((first, second), 1)]
    across = scan(3, 300)._replace(device=b"efghijkl")
    assert folded(*scans, across).devices == first + second + b"efghijkl"


def test_a_summary_does_not_grow_for_ever() -> None:
    summary = folded(*(scan(n, 100 * n, n) for n in range(1, 500)))
    assert len(summary.devices) == 16 * MARK_BYTES
    assert summary.count == 499
    assert summary.suspicion is Suspicion.MANY_DEVICES


scans_ = st.lists(
    st.builds(
        scan,
        st.integers(1, 12),
        st.integers(0, 300),
        st.integers(0, 20),
        st.sampled_from(["", HEPING, DALIAN, CHANGCHUN, LIAONING]),
    ),
    min_size=1,
    max_size=30,
)


@given(scans_, st.builds(ScanRules, st.integers(0, 60), st.integers(0, 120), st.integers(1, 15)))
def test_whatever_is_scanned_the_summary_holds_what_it_promises(
    scans: list[Scan], rules: ScanRules
) -> None:
    summary = fold_scan(None, scans[0], rules)
    taken = [scans[0]]
    for one in scans[1:]:
        after = fold_scan(summary, one, rules)
        repeated = one.scan_id in (summary.first_id, summary.last_id)
        assert (after is summary) is repeated
        assert after.suspicion & summary.suspicion == summary.suspicion
        assert after.devices.startswith(summary.devices)
        if not repeated:
            taken.append(one)
        summary = after
    marks = [
        summary.devices[i : i + MARK_BYTES] for i in range(0, len(summary.devices), MARK_BYTES)
    ]
    seen = list(dict.fromkeys(one.device for one in taken if one.device))
    assert marks == seen[:16]
    assert (summary.count, summary.first_id) == (len(taken), scans[0].scan_id)
    assert bool(summary.suspicion & Suspicion.MANY_DEVICES) is (
        len(seen) > rules.max_devices and len(taken) > 1
    )
