"""Scans and claims in PostgreSQL: the ScanStore port.

Nobody holds a lock while he thinks: histories are read, folded here, and written back where their
`count`, which grows with every scan, is still the one that was read. Units whose count is another
by then were scanned at another node at the same moment; they are read and folded again. So of all
scans of a unit, at any number of nodes, exactly one finds nothing before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tracechain.adapters.postgres.events import overlapping
from tracechain.adapters.postgres.session import Session, Transaction
from tracechain.adapters.postgres.statements import by_keys, columns, rows, statement
from tracechain.adapters.scan_rows import (
    CHANGING_COLUMNS,
    SCAN_COLUMNS,
    SUMMARY_COLUMNS,
    read_summary,
    scan_row,
    summary_row,
)
from tracechain.adapters.touch_rows import LEVELS, TOUCH_COLUMNS, read_touch
from tracechain.app.ports import ScanAnswer
from tracechain.domain.claim import Claim, ClaimAttempt, Tries, judge
from tracechain.domain.scan import (
    Scan,
    ScanHistory,
    ScanRules,
    ScanSummary,
    fold_scan,
    without_last,
)
from tracechain.domain.touch import Touch

Unit = tuple[int, int]
_UNITS = rows("q", ("batch_key", "unit"), 2)


def _of_each_unit(table: str, found: tuple[str, ...]) -> str:
    # Grouped by its own key, so that each is looked up by it; see `overlapping`.
    return f"""
    SELECT u.* FROM {_UNITS} CROSS JOIN LATERAL (
        SELECT {", ".join(found)} FROM {table}
        WHERE batch_key = q.batch_key AND batch_key = ANY($1::bigint[]) AND unit = q.unit
        GROUP BY batch_key, unit
    ) AS u
    """


GET_SUMMARIES = statement("GET_SUMMARIES", _of_each_unit("unit_scan", SUMMARY_COLUMNS))
GET_CLAIMS = statement("GET_CLAIMS", _of_each_unit("claim", ("batch_key", "unit", "time")))
# Goods have runs of one or two sizes, most that are scanned of none: asking for each key once
# spares each unit the others.
LEVELS_OF = statement(
    "LEVELS_OF",
    f"""
    SELECT q.batch_key, q.level FROM {rows("q", ("batch_key", "level"), 2)} CROSS JOIN LATERAL (
        SELECT level FROM touch
        WHERE batch_key = q.batch_key AND batch_key = ANY($1::bigint[]) AND level = q.level LIMIT 1
    ) AS t
    """,
)
# Each touch once, with the units that it covers: those of one pallet share what they have.
COVERING = statement(
    "COVERING",
    f"""
    SELECT array_agg(q.first) AS units, {", ".join(f"t.{c}" for c in TOUCH_COLUMNS)}
    FROM {rows("q", ("batch_key", "first", "last", "level", "width"), 2)} {overlapping("q")}
    GROUP BY {", ".join(f"t.{c}" for c in TOUCH_COLUMNS)}
    """,
)
# For units that grow by the same number of scans ($14). In the order of their keys, so that two
# nodes do not wait for each other.
PUT_SUMMARIES = statement(
    "PUT_SUMMARIES",
    f"INSERT INTO unit_scan ({', '.join(SUMMARY_COLUMNS)}) "
    f"SELECT {', '.join(SUMMARY_COLUMNS)} FROM {rows('n', SUMMARY_COLUMNS)} "
    "ORDER BY batch_key, unit ON CONFLICT (batch_key, unit) DO UPDATE "
    f"SET {', '.join(f'{c} = excluded.{c}' for c in CHANGING_COLUMNS)} "
    "WHERE unit_scan.count = excluded.count - $14::bigint RETURNING batch_key, unit",
)
PUT_SCANS = statement(
    "PUT_SCANS",
    f"INSERT INTO scan ({', '.join(SCAN_COLUMNS)}) "
    f"SELECT {', '.join(SCAN_COLUMNS)} FROM {rows('n', SCAN_COLUMNS)} ON CONFLICT DO NOTHING",
)
GET_TRIES = statement(
    "GET_TRIES",
    "SELECT window_start, count FROM claim_try WHERE batch_key = $1 AND unit = $2 AND device = $3",
)
# Only over the tries that were looked at; $6 and $7 are no tries' where there were none.
PUT_TRIES = statement(
    "PUT_TRIES",
    "INSERT INTO claim_try (batch_key, unit, device, window_start, count) "
    "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (batch_key, unit, device) DO UPDATE "
    "SET window_start = excluded.window_start, count = excluded.count "
    "WHERE claim_try.window_start = $6 AND claim_try.count = $7 RETURNING unit",
)
GET_CLAIM = statement(
    "GET_CLAIM", "SELECT device, time FROM claim WHERE batch_key = $1 AND unit = $2"
)
PUT_CLAIM = statement(
    "PUT_CLAIM",
    "INSERT INTO claim (batch_key, unit, device, time) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT DO NOTHING RETURNING unit",
)


class ScanPart:
    """See tracechain.app.ports.ScanStore."""

    _session: Session
    _rules: ScanRules

    async def record_scans(self, scans: Sequence[Scan]) -> list[ScanAnswer]:
        if not scans:
            return []
        of_unit: dict[Unit, list[int]] = defaultdict(list)
        for place, scan in enumerate(scans):
            of_unit[scan.batch_key, scan.unit].append(place)
        units = sorted(of_unit)

        async def work(
            transaction: Transaction,
        ) -> tuple[dict[int, ScanHistory], dict[Unit, tuple[Touch, ...]], dict[Unit, int]]:
            asked = by_keys(units)
            touches = await _covering(transaction, units)
            claims = {(r[0], r[1]): r[2] for r in await transaction.fetch_many(GET_CLAIMS, asked)}
            histories: dict[int, ScanHistory] = {}
            left, written = units, []
            while left:
                found = await transaction.fetch_many(GET_SUMMARIES, by_keys(left))
                summaries = {(row[0], row[1]): read_summary(row) for row in found}
                growing: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
                changed: dict[Unit, list[int]] = {}
                for unit in left:
                    before = summaries.get(unit)
                    after, new = self._folded(before, scans, of_unit[unit], histories)
                    if new:
                        changed[unit] = new
                        growing[len(new)].append(summary_row(unit, after))
                for growth, lines in sorted(growing.items()):
                    kept = await transaction.fetch(PUT_SUMMARIES, *columns(lines), growth)
                    for row in kept:
                        written += changed.pop((row[0], row[1]))
                left = list(changed)
            if written:
                await transaction.fetch(PUT_SCANS, *columns([scan_row(scans[n]) for n in written]))
            return histories, touches, claims

        histories, touches, claims = await self._session.transact(work)
        answers = []
        for place, scan in enumerate(scans):
            unit = (scan.batch_key, scan.unit)
            answers.append(ScanAnswer(histories[place], touches.get(unit, ()), claims.get(unit)))
        return answers

    def _folded(
        self,
        summary: ScanSummary | None,
        scans: Sequence[Scan],
        places: Sequence[int],
        histories: dict[int, ScanHistory],
    ) -> tuple[ScanSummary, list[int]]:
        """The history of a unit after its scans, and which of them are new; `histories` gets
        what each finds."""
        new = []
        for place in places:
            before, scan = summary, scans[place]
            summary = fold_scan(before, scan, self._rules)
            if summary is before:
                before = without_last(summary, scan.scan_id)
            else:
                new.append(place)
            histories[place] = ScanHistory(before, summary.suspicion)
        assert summary is not None
        return summary, new

    async def claim(self, attempt: ClaimAttempt) -> Claim:
        unit = (attempt.batch_key, attempt.unit)

        async def work(transaction: Transaction) -> Claim:
            while True:
                row = await transaction.row(GET_TRIES, *unit, attempt.device)
                before = Tries(*row) if row else None
                found = await transaction.row(GET_CLAIM, *unit)
                owner = (found[0], found[1]) if found else None
                answer, tries, claims = judge(attempt, before, owner)
                if claims and not await transaction.row(
                    PUT_CLAIM, *unit, attempt.device, attempt.time
                ):
                    continue
                if tries.count and tries != before:
                    seen = (before.window_start, before.count) if before else (0, -1)
                    if not await transaction.row(
                        PUT_TRIES, *unit, attempt.device, tries.window_start, tries.count, *seen
                    ):
                        continue
                return answer

        return await self._session.transact(work)


async def _covering(
    transaction: Transaction, units: Sequence[Unit]
) -> dict[Unit, tuple[Touch, ...]]:
    """The touches of each unit that has any."""
    keys = {key for key, _ in units}
    wanted = by_keys((key, level) for key in keys for level in range(len(LEVELS)))
    levels: dict[int, list[int]] = defaultdict(list)
    for key, level in await transaction.fetch_many(LEVELS_OF, wanted):
        levels[key].append(level)
    places = by_keys(
        (key, unit, unit, level, LEVELS[level]) for key, unit in units for level in levels[key]
    )
    return _of_units(await transaction.fetch_many(COVERING, places)) if places else {}


def _of_units(lines: Sequence[Sequence[Any]]) -> dict[Unit, tuple[Touch, ...]]:
    found: dict[Unit, list[Sequence[Any]]] = defaultdict(list)
    for line in lines:
        row = tuple(line[1:])
        for unit in line[0]:
            found[row[0], unit].append(row)
    return {unit: _read_touches(tuple(some)) for unit, some in found.items()}


@lru_cache(maxsize=1024)
def _read_touches(some: tuple[Sequence[Any], ...]) -> tuple[Touch, ...]:
    return tuple(read_touch(row) for row in some)
