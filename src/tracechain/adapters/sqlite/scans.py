"""Scans and claims in SQLite: the ScanStore port.

A group of scans is three statements, whatever its width. Rows travel as one JSON text each way:
Python's lock is given up once a statement instead of once a row, and the event loop goes on.
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

_FROM_JSON = ", ".join(f"json_extract(value, '$[{i}]')" for i in range(len(SUMMARY_COLUMNS)))
_READ = f"""
SELECT json_group_array(json_array({", ".join("u." + c for c in SUMMARY_COLUMNS)}))
FROM json_each(?) AS q CROSS JOIN unit_scan AS u
ON u.batch_key = json_extract(q.value, '$[0]') AND u.unit = json_extract(q.value, '$[1]')
"""
_WRITE_SUMMARIES = f"""
INSERT INTO unit_scan ({", ".join(SUMMARY_COLUMNS)})
SELECT {_FROM_JSON} FROM json_each(?) WHERE true
ON CONFLICT (batch_key, unit) DO UPDATE SET
{", ".join(f"{c} = excluded.{c}" for c in CHANGING_COLUMNS)}
"""
_WRITE_SCANS = f"""
INSERT INTO scan ({", ".join(SCAN_COLUMNS)})
SELECT {", ".join(f"json_extract(value, '$[{i}]')" for i in range(len(SCAN_COLUMNS)))}
FROM json_each(?) WHERE true ON CONFLICT DO NOTHING
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
_CLAIMS = """
SELECT json_group_array(json_array(q.key, c.time)) FROM json_each(?) AS q CROSS JOIN claim AS c
ON c.batch_key = json_extract(q.value, '$[0]') AND c.unit = json_extract(q.value, '$[1]')
"""


class ScanPart:
    """See tracechain.app.ports.ScanStore."""

    _writer: Session
    _rules: ScanRules

    async def record_scans(self, scans: Sequence[Scan]) -> list[ScanAnswer]:
        units = list(dict.fromkeys((scan.batch_key, scan.unit) for scan in scans))
        wanted = json.dumps(units)
        batch_keys = {scan.batch_key for scan in scans}

        def work(connection: sqlite3.Connection) -> tuple[list[ScanHistory], str, str]:
            found = json.loads(connection.execute(_READ, (wanted,)).fetchone()[0])
            levels = levels_of(connection, batch_keys)
            sizes = {level: LEVELS[level] for some in levels.values() for level in some}
            touches = "[]"
            if sizes:
                touches = connection.execute(_TOUCHES, (wanted, json.dumps(sizes))).fetchone()[0]
            claims: str = connection.execute(_CLAIMS, (wanted,)).fetchone()[0]
            summaries = {(row[0], row[1]): read_summary(row) for row in found}
            histories: list[ScanHistory] = []
            rows: list[tuple[Any, ...]] = []
            changed: dict[tuple[int, int], ScanSummary] = {}
            for scan in scans:
                key = (scan.batch_key, scan.unit)
                before = summaries.get(key)
                after = fold_scan(before, scan, self._rules)
                repeated = after is before
                if not repeated:
                    summaries[key] = changed[key] = after
                    rows.append(scan_row(scan))
                if repeated:
                    before = without_last(after, scan.scan_id)
                histories.append(ScanHistory(before, after.suspicion))
            if rows:
                lines = [summary_row(key, summary) for key, summary in changed.items()]
                connection.execute(_WRITE_SUMMARIES, (json.dumps(lines, ensure_ascii=False),))
                connection.execute(_WRITE_SCANS, (json.dumps(rows, ensure_ascii=False),))
            return histories, touches, claims

        histories, touches, claims = await self._writer.write(work)
        touches_of = {units[place]: _read_touches(text) for place, text in json.loads(touches)}
        claimed = {units[place]: time for place, time in json.loads(claims)}
        return [
            ScanAnswer(history, touches_of.get(key, ()), claimed.get(key))
            for history, key in zip(
                histories, ((scan.batch_key, scan.unit) for scan in scans), strict=True
            )
        ]

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


@lru_cache(maxsize=1024)
def _read_touches(text: str) -> tuple[Touch, ...]:
    found = []
    for row in json.loads(text):
        row[5], row[6] = bytes.fromhex(row[5]), bytes.fromhex(row[6])
        found.append(read_touch(row))
    return tuple(found)
