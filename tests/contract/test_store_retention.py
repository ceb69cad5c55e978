"""What is old is dropped and nothing else, by one process at a time, wherever it is cut off."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Open
from tests.support.stores import Backend, audit_record, mark, scan
from tracechain.adapters.postgres.retention import LIST_MONTHS
from tracechain.app.ports import DropStep, Store
from tracechain.app.retaining import Retaining
from tracechain.domain.audit import AuditQuery
from tracechain.domain.batch_key import derived
from tracechain.domain.claim import ClaimAttempt
from tracechain.domain.errors import Unavailable
from tracechain.domain.report import Report, ReportKind
from tracechain.domain.retention import DAY, Kept, Retention

KEEP = Retention(scans=100, reports=200, audit=300)
NOW = int(datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC).timestamp()) * 1_000_000


def report(number: int, time: int) -> Report:
    return Report(f"{number:032}", "210102", ReportKind.OTHER, "t", "x", "", "", time)


async def filled(store: Store) -> None:
    """Of everything something old and something that is just young enough."""
    for number, days in enumerate((99, 101, 150, 5000)):
        await store.record_scans([scan(1, number, number, NOW - days * DAY)])
        await store.claim(
            ClaimAttempt(1, number, mark("d"), NOW - days * DAY, pin_is_right=number == 3)
        )
    for number, days in enumerate((199, 201)):
        await store.put_report(derived("urn:x"), report(number, NOW - days * DAY), b"photo")
    for number, days in enumerate((0, 299, 301, 5000)):
        await store.append_audit([audit_record(number, time=NOW - days * DAY)])


async def audit_days(store: Store) -> list[int]:
    found = await store.list_audit(AuditQuery(0, NOW + 1), 100)
    return [(NOW - record.time) // DAY for record in found]


async def test_what_is_old_is_dropped_and_what_a_verdict_rests_on_is_not(store: Store) -> None:
    await filled(store)
    dropped = await Retaining(store, KEEP, lambda: NOW).run()
    assert dropped is not None
    assert dropped[Kept.REPORT] == 1
    assert dropped[Kept.AUDIT] == 2
    assert dropped[Kept.SCAN] == 3
    assert dropped[Kept.CLAIM_TRY] == 2
    assert await audit_days(store) == [299, 0]
    kept = await store.list_reports(derived("urn:x"), "21", "", 10)
    assert [r.report_id for r in kept] == [f"{0:032}"]
    # The oldest scan is gone, and the unit knows nevertheless that it was scanned, and claimed.
    (again,) = await store.record_scans([scan(1, 3, "later", NOW)])
    assert again.history.before is not None
    assert again.history.before.first_time == NOW - 5000 * DAY
    assert again.claim_time == NOW - 5000 * DAY


async def test_there_is_nothing_more_to_drop_and_nobody_else_tries(
    store: Store, open_another: Open
) -> None:
    await filled(store)
    assert await Retaining(store, KEEP, lambda: NOW).run() is not None
    other = await open_another()
    hour = 3600 * 1_000_000
    assert await Retaining(other, KEEP, lambda: NOW + hour).run() is None
    again = await Retaining(other, KEEP, lambda: NOW + 7 * hour).run()
    assert again == dict.fromkeys(Kept, 0)


class _Dying:
    """A store that fails at its third step."""

    def __init__(self, store: Store) -> None:
        self._store, self._steps = store, 0
        self.take_turn, self.pass_turn = store.take_turn, store.pass_turn

    async def drop_old(self, what: Kept, before: int, after: tuple[object, ...]) -> DropStep:
        self._steps += 1
        if self._steps == 3:
            raise Unavailable("STORE_UNAVAILABLE", "injected")
        return await self._store.drop_old(what, before, after)


async def test_another_goes_on_where_one_died_once_its_turn_is_over(store: Store) -> None:
    await filled(store)
    with pytest.raises(Unavailable):
        await Retaining(_Dying(store), KEEP, lambda: NOW).run()
    assert await Retaining(store, KEEP, lambda: NOW + 200_000_000).run() is None
    rest = await Retaining(store, KEEP, lambda: NOW + 301_000_000).run()
    assert rest is not None
    assert rest[Kept.AUDIT] == 2
    assert await audit_days(store) == [299, 0]


async def test_a_turn_is_one_processs(store: Store, open_another: Open) -> None:
    other = await open_another()
    assert await store.take_turn(1000, 2000)
    assert not await other.take_turn(1999, 3000)
    assert await store.pass_turn(2000, 2500)
    assert not await store.pass_turn(2000, 9000)
    assert not await other.take_turn(2499, 3000)
    assert await other.take_turn(2500, 3000)
    assert not await store.pass_turn(2500, 4000)


async def test_many_rows_go_by_small_steps(store: Store) -> None:
    scans = [scan(7, n, n, NOW - (500 if n % 2 else 1) * DAY) for n in range(2500)]
    await store.record_scans(scans)
    steps, after = [], ()
    while after is not None:
        step = await store.drop_old(Kept.SCAN, NOW - 100 * DAY, after)  # type: ignore[arg-type]
        steps.append(step.dropped)
        after = step.after  # type: ignore[assignment]
    assert sum(steps) == 1250
    assert max(steps) <= 1000
    assert (await store.drop_old(Kept.SCAN, NOW - 100 * DAY, ())).dropped == 0


async def test_in_postgresql_a_month_that_is_over_goes_whole(
    backend: Backend, open_another: Open, tmp_path: Path
) -> None:
    if backend.name != "postgres":
        return
    store: Any = await open_another()
    session = store._session
    before = [row[0] for row in await session.fetch(LIST_MONTHS, "scan")]
    months = sorted(name for name in before if name != "scan_default")
    assert len(months) >= 4
    # As if the second of the months that there are had ended just so long ago.
    year, month = int(months[1][6:10]), int(months[1][11:])
    end = datetime.datetime(year + month // 12, month % 12 + 1, 1, tzinfo=datetime.UTC)
    moment = int(end.timestamp()) * 1_000_000
    await store.record_scans([scan(1, 0, "a", moment - 1), scan(1, 1, "b", moment)])
    await store.drop_old(Kept.SCAN, moment, ())
    left = [row[0] for row in await session.fetch(LIST_MONTHS, "scan")]
    assert sorted(left) == sorted({"scan_default", *months[2:]})
    (again,) = await store.record_scans([scan(1, 0, "later", moment + 5)])
    assert again.history.before is not None
