"""Events, touches and documents in SQLite: the EventStore port."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracechain.adapters.sqlite.session import Session
from tracechain.adapters.touch_rows import LEVELS, TOUCH_COLUMNS, read_touch, touch_row
from tracechain.app.ports import (
    NewEvent,
    PlaceSummary,
    StoredDocument,
    StoredEvent,
)
from tracechain.domain.batch_key import derived, event_key
from tracechain.domain.log.fact import Fact
from tracechain.domain.touch import Thing, Touch

_INSERT_EVENT = (
    "INSERT INTO event (batch_key, event_id, declaration, event_time, record_time, recorder, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_INSERT_TOUCH = (
    f"INSERT INTO touch (level, {', '.join(TOUCH_COLUMNS)}) "
    f"VALUES ({', '.join('?' * (len(TOUCH_COLUMNS) + 1))}) ON CONFLICT DO NOTHING"
)
_OVERLAPPING = (
    f"SELECT {', '.join(TOUCH_COLUMNS)} FROM touch WHERE batch_key = ? AND level = ? "
    "AND first BETWEEN ? AND ? AND beyond > ? AND event_time <= ? "
    "ORDER BY event_time, event_id LIMIT ?"
)
_ENDED = """
SELECT first, beyond FROM touch WHERE batch_key = ? AND declaration = x'' AND is_class = 0
AND (disposition IN ('retail_sold', 'dispensed', 'destroyed', 'disposed')
    OR step IN ('retail_selling', 'consuming', 'dispensing', 'decommissioning', 'exporting',
        'destroying') OR role = 'input')
ORDER BY first, beyond
"""


_LEVELS_OF = """
SELECT k.value, s.value FROM json_each(?) AS k CROSS JOIN json_each(?) AS s
WHERE EXISTS (SELECT 1 FROM touch WHERE batch_key = k.value AND level = s.value)
"""
_ALL_LEVELS = json.dumps(list(range(len(LEVELS) - 1, -1, -1)))


class EventPart:
    """See tracechain.app.ports.EventStore."""

    _writer: Session
    _reader: Session
    _note: Callable[[sqlite3.Connection, Iterable[Fact]], None]

    async def append_events(self, events: Sequence[NewEvent]) -> list[bool]:
        def work(connection: sqlite3.Connection) -> list[bool]:
            added: list[bool] = []
            rows: list[tuple[Any, ...]] = []
            for new in events:
                event = new.event
                cursor = connection.execute(
                    _INSERT_EVENT,
                    (
                        event_key(event.event_id),
                        event.event_id,
                        event.declaration,
                        event.event_time,
                        event.record_time,
                        event.recorder,
                        event.body,
                    ),
                )
                added.append(cursor.rowcount == 1)
                if added[-1]:
                    rows.extend(touch_row(touch) for touch in new.touches)
            connection.executemany(_INSERT_TOUCH, rows)
            fresh = zip(events, added, strict=True)
            self._note(connection, [new.fact() for new, is_new in fresh if is_new])
            return added

        return await self._writer.write(work)

    async def get_events(self, ids: Sequence[tuple[bytes, bytes]]) -> list[StoredEvent | None]:
        def work(connection: sqlite3.Connection) -> list[StoredEvent | None]:
            found: list[StoredEvent | None] = []
            for event_id, declaration in ids:
                row = connection.execute(
                    "SELECT event_id, declaration, event_time, record_time, recorder, body "
                    "FROM event WHERE batch_key = ? AND event_id = ? AND declaration = ?",
                    (event_key(event_id), event_id, declaration),
                ).fetchone()
                found.append(StoredEvent(*row) if row else None)
            return found

        return await self._reader.read(work)

    async def touches(
        self, things: Sequence[Thing], limit: int, until: int | None = None
    ) -> list[list[Touch]]:
        latest = until if until is not None else (1 << 63) - 1

        def one(connection: sqlite3.Connection, thing: Thing, levels: Sequence[int]) -> list[Touch]:
            rows: list[tuple[Any, ...]] = []
            for level in levels:
                if len(rows) >= limit:
                    break
                rows += connection.execute(
                    _OVERLAPPING,
                    (
                        thing.batch_key,
                        level,
                        thing.first - LEVELS[level] + 1,
                        thing.end - 1,
                        thing.first,
                        latest,
                        limit - len(rows),
                    ),
                ).fetchall()
            found = [read_touch(row) for row in rows]
            return sorted(found, key=lambda t: (t.digest.event_time, t.digest.event_id))

        def work(connection: sqlite3.Connection) -> list[list[Touch]]:
            levels = levels_of(connection, (thing.batch_key for thing in things))
            return [one(connection, thing, levels[thing.batch_key]) for thing in things]

        return await self._reader.read(work)

    async def places(self, batch_key: int, limit: int) -> list[PlaceSummary]:
        sql = (
            "SELECT CASE biz_location WHEN '' THEN read_point ELSE biz_location END AS place, "
            "recorder, max(event_time) AS latest FROM touch "
            "WHERE batch_key = ? AND declaration = x'' GROUP BY place, recorder "
            "ORDER BY latest DESC LIMIT ?"
        )
        rows = await self._reader.read(lambda c: c.execute(sql, (batch_key, limit)).fetchall())
        return [PlaceSummary(*row) for row in rows]

    async def count_ended(self, batch_key: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            total = reached = 0
            for first, beyond in connection.execute(_ENDED, (batch_key,)):
                total += max(0, beyond - max(first, reached))
                reached = max(reached, beyond)
            return total

        return await self._reader.read(work)

    async def put_document(self, document: StoredDocument) -> None:
        entries = [
            entry if isinstance(entry, str) else [entry[0].hex(), entry[1].hex()]
            for entry in document.entries
        ]
        row = (
            _document_key(document.document_id),
            document.document_id,
            document.recorder,
            document.header,
            json.dumps(entries, ensure_ascii=False),
            document.create_time,
        )
        sql = (
            "INSERT INTO document (batch_key, document_id, recorder, header, entries, create_time)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        await self._writer.write(lambda connection: connection.execute(sql, row).rowcount)

    async def get_document(self, document_id: str) -> StoredDocument | None:
        sql = (
            "SELECT document_id, recorder, header, entries, create_time FROM document "
            "WHERE batch_key = ? AND document_id = ?"
        )
        row = await self._reader.read(
            lambda c: c.execute(sql, (_document_key(document_id), document_id)).fetchone()
        )
        if row is None:
            return None
        entries = tuple(
            entry if isinstance(entry, str) else (bytes.fromhex(entry[0]), bytes.fromhex(entry[1]))
            for entry in json.loads(row[3])
        )
        return StoredDocument(row[0], row[1], row[2], entries, row[4])


def levels_of(connection: sqlite3.Connection, batch_keys: Iterable[int]) -> dict[int, list[int]]:
    """The size classes that each key has runs of, large ones first: where a limit cuts, it cuts
    what concerns single units. Goods have one or two; looking once spares each unit the others."""
    keys = list(dict.fromkeys(batch_keys))
    found: dict[int, list[int]] = {key: [] for key in keys}
    for key, level in connection.execute(_LEVELS_OF, (json.dumps(keys), _ALL_LEVELS)):
        found[key].append(level)
    return found


def _document_key(document_id: str) -> int:
    return derived("document:" + document_id)
