"""Scans and claims in SQLite: the ScanStore port.

Histories and claims are looked up unit by unit and written row by row: a statement that is ready
costs less than the JSON of a row. Only touches are asked for together, since a unit has few or
many, at several levels.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tracechain.adapters.scan_rows import (
    CHANGING_COLUMNS,
    SCAN_COLUMNS,
    SUMMARY_COLUMNS,
    read_summary,
    scan_row,
    summary_row,
)
from tracechain.adapters.sqlite.events import levels_of
from tracechain.adapters.sqlite.session import Session
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

_READ = f"""
SELECT {", ".join(SUMMARY_COLUMNS)} FROM unit_scan WHERE batch_key = ? AND unit = ?
"""
_WRITE_SUMMARY = f"""
INSERT INTO unit_scan ({", ".join(SUMMARY_COLUMNS)})
VALUES ({", ".join("?" * len(SUMMARY_COLUMNS))})
ON CONFLICT (batch_key, unit) DO UPDATE SET
{", ".join(f"{c} = excluded.{c}" for c in CHANGING_COLUMNS)}
"""
_WRITE_SCAN = f"""
INSERT INTO scan ({", ".join(SCAN_COLUMNS)}) VALUES ({", ".join("?" * len(SCAN_COLUMNS))})
ON CONFLICT DO NOTHING
"""
_JSON_TOUCH = ", ".join(
    f"hex(t.{name})" if name in ("event_id", "declaration") else f"t.{name}"
    for name in TOUCH_COLUMNS
)
# For each unit one text of all the touches that cover it, whatever the size of their runs: units
# of one pallet have the same text, which is read once.
_TOUCHES = f"""
SELECT json_group_array(json_array(place, touches)) FROM (
    SELECT q.key AS place, json_group_array(json_array({_JSON_TOUCH})) AS touches
    FROM json_each(?) AS q CROSS JOIN json_each(?) AS size CROSS JOIN touch AS t
    ON t.batch_key = json_extract(q.value, '$[0]') AND t.level = CAST(size.key AS INTEGER)
    AND t.first BETWEEN json_extract(q.value, '$[1]') - size.value + 1
        AND json_extract(q.value, '$[1]')
    WHERE t.beyond > json_extract(q.value, '$[1]')
    GROUP BY q.key)
"""
_CLAIM = "SELECT time FROM claim WHERE batch_key = ? AND unit = ?"

Unit = tuple[int, int]


class ScanPart:
    """See tracechain.app.ports.ScanStore."""

    _writer: Session
    _rules: ScanRules

    async def record_scans(self, scans: Sequence[Scan]) -> list[ScanAnswer]:
        units = list(dict.fromkeys((scan.batch_key, scan.unit) for scan in scans))
        batch_keys = {scan.batch_key for scan in scans}

        def work(connection: sqlite3.Connection) -> list[ScanAnswer]:
            find = connection.execute
            summaries = {
                unit: read_summary(row) for unit in units if (row := find(_READ, unit).fetchone())
            }
            claimed = {unit: row[0] for unit in units if (row := find(_CLAIM, unit).fetchone())}
            touches = _touches_of(connection, units, batch_keys)
            answers: list[ScanAnswer] = []
            rows: list[tuple[Any, ...]] = []
            changed: dict[Unit, ScanSummary] = {}
            for scan in scans:
                key = (scan.batch_key, scan.unit)
                before = summaries.get(key)
                after = fold_scan(before, scan, self._rules)
                if after is before:
                    before = without_last(after, scan.scan_id)
                else:
                    summaries[key] = changed[key] = after
                    rows.append(scan_row(scan))
                answers.append(
                    ScanAnswer(
                        ScanHistory(before, after.suspicion), touches.get(key, ()), claimed.get(key)
                    )
                )
            if rows:
                lines = [summary_row(unit, summary) for unit, summary in changed.items()]
                connection.executemany(_WRITE_SUMMARY, lines)
                connection.executemany(_WRITE_SCAN, rows)
            return answers

        return await self._writer.write(work)

    async def claim(self, attempt: ClaimAttempt) -> Claim:
        unit = (attempt.batch_key, attempt.unit)

        def work(connection: sqlite3.Connection) -> Claim:
            row = connection.execute(
                "SELECT window_start, count FROM claim_try "
                "WHERE batch_key = ? AND unit = ? AND device = ?",
                (*unit, attempt.device),
            ).fetchone()
            owner = connection.execute(
                "SELECT device, time FROM claim WHERE batch_key = ? AND unit = ?", unit
            ).fetchone()
            answer, tries, claims = judge(attempt, Tries(*row) if row else None, owner)
            if tries.count:
                connection.execute(
                    "INSERT INTO claim_try (batch_key, unit, device, window_start, count) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (batch_key, unit, device) "
                    "DO UPDATE SET window_start = excluded.window_start, count = excluded.count",
                    (*unit, attempt.device, tries.window_start, tries.count),
                )
            if claims:
                connection.execute(
                    "INSERT INTO claim (batch_key, unit, device, time) VALUES (?, ?, ?, ?)",
                    (*unit, attempt.device, attempt.time),
                )
            return answer

        return await self._writer.write(work)


def _touches_of(
    connection: sqlite3.Connection, units: Sequence[Unit], batch_keys: set[int]
) -> dict[Unit, tuple[Touch, ...]]:
    """The touches that cover each unit that has any."""
    levels = levels_of(connection, batch_keys)
    sizes = {level: LEVELS[level] for some in levels.values() for level in some}
    if not sizes:
        return {}
    found = connection.execute(_TOUCHES, (json.dumps(units), json.dumps(sizes))).fetchone()[0]
    return {units[place]: _read_touches(text) for place, text in json.loads(found)}


@lru_cache(maxsize=1024)
def _read_touches(text: str) -> tuple[Touch, ...]:
    found = []
    for row in json.loads(text):
        row[5], row[6] = bytes.fromhex(row[5]), bytes.fromhex(row[6])
        found.append(read_touch(row))
    return tuple(found)
