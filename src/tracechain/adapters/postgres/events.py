"""Events, touches and documents in PostgreSQL: the EventStore port.

An event lies under a key of its own and what it touches lies with the goods: one transaction
writes both. Rows travel as one array for each column, whatever their number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from tracechain.adapters.postgres.session import Session, Transaction
from tracechain.adapters.postgres.statements import by_keys, columns, rows, statement
from tracechain.adapters.touch_rows import LEVELS, TOUCH_COLUMNS, read_touch, touch_row
from tracechain.app.ports import NewEvent, PlaceSummary, StoredDocument, StoredEvent
from tracechain.domain.batch_key import derived, event_key
from tracechain.domain.log.fact import Fact
from tracechain.domain.touch import Thing, Touch

_EVENT_COLUMNS = (
    "batch_key", "event_id", "declaration", "event_time", "record_time", "recorder", "body",
)  # fmt: skip
_TOUCH_ROW = ("level", *TOUCH_COLUMNS)
_LATEST = (1 << 63) - 1

_SIZES = ", ".join(f"({level}, {width})" for level, width in enumerate(LEVELS))


# The touches of `q` that overlap units q.first to q.last, of one size class: a run of a class
# that covers unit n begins less than its width before n. Grouped by their own key, so that the
# planner looks them up run by run: left free, and with no statistics yet, it reads whole batches.
# $1 are the keys that `q` names, so that a cluster knows where to look.
def overlapping(size: str) -> str:
    """The touches of the size class `size` (with a level and a width) that overlap `q`."""
    return f"""
    CROSS JOIN LATERAL (
        SELECT {", ".join(TOUCH_COLUMNS)} FROM touch
        WHERE batch_key = q.batch_key AND batch_key = ANY($1::bigint[]) AND level = {size}.level
        AND first BETWEEN q.first - {size}.width + 1 AND q.last AND beyond > q.first
        GROUP BY
        batch_key, level, first, event_time, event_id, declaration, role, beyond, parent_key
    ) AS t
    """


# In the order of their keys: two that wrote the same ones the other way round would wait for
# each other.
PUT_EVENTS = statement(
    "PUT_EVENTS",
    f"INSERT INTO event ({', '.join(_EVENT_COLUMNS)}) "
    f"SELECT {', '.join(_EVENT_COLUMNS)} FROM {rows('n', _EVENT_COLUMNS)} "
    "ORDER BY batch_key, event_id, declaration "
    "ON CONFLICT DO NOTHING RETURNING event_id, declaration",
)
PUT_TOUCHES = statement(
    "PUT_TOUCHES",
    f"INSERT INTO touch ({', '.join(_TOUCH_ROW)}) "
    f"SELECT {', '.join(_TOUCH_ROW)} FROM {rows('n', _TOUCH_ROW)} ON CONFLICT DO NOTHING",
)
GET_EVENTS = statement(
    "GET_EVENTS",
    f"""
    SELECT e.* FROM {rows("q", _EVENT_COLUMNS[:3], 2)} CROSS JOIN LATERAL (
        SELECT {", ".join(_EVENT_COLUMNS[1:])} FROM event
        WHERE batch_key = q.batch_key AND batch_key = ANY($1::bigint[])
        AND event_id = q.event_id AND declaration = q.declaration
        GROUP BY batch_key, event_id, declaration, event_time
    ) AS e
    """,
)
# Large runs first: where the limit cuts, it cuts what concerns single units.
OVERLAPPING = statement(
    "OVERLAPPING",
    f"""
    SELECT place, {", ".join(TOUCH_COLUMNS)} FROM (
        SELECT q.place, t.*, row_number() OVER (
            PARTITION BY t.batch_key, q.place ORDER BY size.level DESC, t.event_time, t.event_id
        ) AS position
        FROM {rows("q", ("batch_key", "first", "last", "place"), 2)}
        CROSS JOIN (VALUES {_SIZES}) AS size (level, width) {overlapping("size")}
        WHERE t.event_time <= $6
    ) AS found WHERE position <= $7
    """,
)
PLACES = statement(
    "PLACES",
    "SELECT CASE biz_location WHEN '' THEN read_point ELSE biz_location END AS place, recorder, "
    "max(event_time) AS latest FROM touch WHERE batch_key = $1 AND declaration = ''::bytea "
    "GROUP BY 1, 2 ORDER BY latest DESC LIMIT $2",
)
# What each run adds beyond those that begin before it: runs overlap.
COUNT_ENDED = statement(
    "COUNT_ENDED",
    """
    SELECT coalesce(sum(greatest(0, beyond - greatest(first, reached))), 0)::bigint FROM (
        SELECT first, beyond, coalesce(max(beyond) OVER (
            ORDER BY first, beyond ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS reached
        FROM touch WHERE batch_key = $1 AND declaration = ''::bytea AND is_class = 0
        AND (disposition IN ('retail_sold', 'dispensed', 'destroyed', 'disposed')
            OR step IN ('retail_selling', 'consuming', 'dispensing', 'decommissioning',
                'exporting', 'destroying') OR role = 'input')
    ) AS run
    """,
)
PUT_DOCUMENT = statement(
    "PUT_DOCUMENT",
    "INSERT INTO document (batch_key, document_id, recorder, header, entries, create_time) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
)
GET_DOCUMENT = statement(
    "GET_DOCUMENT",
    "SELECT document_id, recorder, header, entries, create_time FROM document "
    "WHERE batch_key = $1 AND document_id = $2",
)


class EventPart:
    """See tracechain.app.ports.EventStore."""

    _session: Session
    _note: Callable[[Transaction, Iterable[Fact]], Coroutine[Any, Any, None]]

    async def append_events(self, events: Sequence[NewEvent]) -> list[bool]:
        if not events:
            return []
        new: dict[tuple[bytes, bytes], NewEvent] = {}
        for each in events:
            new.setdefault((each.event.event_id, each.event.declaration), each)
        lines = [_event_row(each.event) for each in new.values()]

        async def work(transaction: Transaction) -> set[tuple[bytes, bytes]]:
            found = await transaction.fetch(PUT_EVENTS, *columns(lines))
            added = {(row[0], row[1]) for row in found}
            touches = [touch_row(t) for key in added for t in new[key].touches]
            if touches:
                await transaction.fetch(PUT_TOUCHES, *columns(touches))
            # In the order in which they came, whatever order the database gave.
            await self._note(transaction, [e.fact() for key, e in new.items() if key in added])
            return added

        added = await self._session.transact(work)
        answers = []
        for each in events:
            key = (each.event.event_id, each.event.declaration)
            answers.append(key in added)
            # Told twice in one call, the second time it is there already.
            added.discard(key)
        return answers

    async def get_events(self, ids: Sequence[tuple[bytes, bytes]]) -> list[StoredEvent | None]:
        if not ids:
            return []
        asked = [(event_key(event_id), event_id, more) for event_id, more in dict.fromkeys(ids)]
        found = await self._session.fetch_many(GET_EVENTS, by_keys(asked))
        events = {(row[0], row[1]): StoredEvent(*row) for row in found}
        return [events.get((event_id, declaration)) for event_id, declaration in ids]

    async def touches(
        self, things: Sequence[Thing], limit: int, until: int | None = None
    ) -> list[list[Touch]]:
        if not things:
            return []
        asked = [(thing.batch_key, thing.first, thing.end - 1, n) for n, thing in enumerate(things)]
        latest = until if until is not None else _LATEST
        calls = [[*call, latest, limit] for call in by_keys(asked)]
        lines = await self._session.fetch_many(OVERLAPPING, calls)
        found: list[list[Touch]] = [[] for _ in things]
        for line in lines:
            found[line[0]].append(read_touch(line[1:]))
        for each in found:
            each.sort(key=lambda t: (t.digest.event_time, t.digest.event_id))
        return found

    async def places(self, batch_key: int, limit: int) -> list[PlaceSummary]:
        found = await self._session.fetch(PLACES, batch_key, limit)
        return [PlaceSummary(*row) for row in found]

    async def count_ended(self, batch_key: int) -> int:
        row = await self._session.row(COUNT_ENDED, batch_key)
        return row[0] if row else 0

    async def put_document(self, document: StoredDocument) -> None:
        entries = [
            entry if isinstance(entry, str) else [entry[0].hex(), entry[1].hex()]
            for entry in document.entries
        ]
        await self._session.fetch(
            PUT_DOCUMENT,
            _document_key(document.document_id),
            document.document_id,
            document.recorder,
            document.header,
            json.dumps(entries, ensure_ascii=False),
            document.create_time,
        )

    async def get_document(self, document_id: str) -> StoredDocument | None:
        row = await self._session.row(GET_DOCUMENT, _document_key(document_id), document_id)
        if row is None:
            return None
        entries = tuple(
            entry if isinstance(entry, str) else (bytes.fromhex(entry[0]), bytes.fromhex(entry[1]))
            for entry in json.loads(row[3])
        )
        return StoredDocument(row[0], row[1], row[2], entries, row[4])


def _event_row(event: StoredEvent) -> tuple[Any, ...]:
    return (
        event_key(event.event_id), event.event_id, event.declaration, event.event_time,
        event.record_time, event.recorder, event.body,
    )  # fmt: skip


def _document_key(document_id: str) -> int:
    return derived("document:" + document_id)
