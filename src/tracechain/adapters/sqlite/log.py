"""The transparency log in SQLite: the LogStore port, and how facts get into it.

The writer's lock orders everything, so the facts that `sequence` reads are all that there are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracechain.adapters.log_rows import (
    CHAIN_COLUMNS,
    LEAF_COLUMNS,
    LINK_COLUMNS,
    LOG_KEY,
    MANY_PENDING,
    PENDING_COLUMNS,
    TILE_COLUMNS,
    pending_rows,
    read_pending,
    tile_content,
)
from tracechain.adapters.sqlite.session import Session
from tracechain.domain.log.checkpoint import Head
from tracechain.domain.log.fact import Fact
from tracechain.domain.log.sequencing import LogChain, LogLeaf, sequence
from tracechain.domain.log.tiles import Edge, Tile


def _put(table: str, columns: tuple[str, ...], then: str = "") -> str:
    places = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}){then}"


_PUT_PENDING = _put("log_pending", PENDING_COLUMNS)
_PUT_LEAF = _put("log_leaf", LEAF_COLUMNS)
_PUT_LINK = _put("log_link", LINK_COLUMNS)
_PUT_TILE = _put(
    "log_tile", TILE_COLUMNS,
    " ON CONFLICT (batch_key, level, tile_index) DO UPDATE SET hashes = excluded.hashes",
)  # fmt: skip
_PUT_CHAIN = _put(
    "log_chain", CHAIN_COLUMNS,
    " ON CONFLICT (batch_key) DO UPDATE SET length = excluded.length, last = excluded.last",
)  # fmt: skip
_LIST_PENDING = (
    f"SELECT {', '.join(PENDING_COLUMNS)} FROM log_pending WHERE batch_key = {LOG_KEY} "
    "ORDER BY time, fact_id LIMIT ?"
)
_DROP_PENDING = f"DELETE FROM log_pending WHERE batch_key = {LOG_KEY} AND (time, fact_id) <= (?, ?)"
_COUNT_PENDING = (
    "SELECT count(*), min(time) FROM (SELECT time FROM log_pending "
    f"WHERE batch_key = {LOG_KEY} ORDER BY time, fact_id LIMIT {MANY_PENDING})"
)
_TAKE_LEASE = f"""
INSERT INTO log_state
(batch_key, size, root, fence, holder, until, checkpoint_size, checkpoint)
VALUES ({LOG_KEY}, 0, ?4, 1, ?1, ?3, 0, x'') ON CONFLICT (batch_key) DO UPDATE
SET fence = fence + (holder <> excluded.holder), holder = excluded.holder, until = excluded.until
WHERE holder = excluded.holder OR until <= ?2 RETURNING fence
"""
_HEAD = f"SELECT size, root FROM log_state WHERE batch_key = {LOG_KEY}"
_HELD = f"SELECT size FROM log_state WHERE batch_key = {LOG_KEY} AND fence = ?"
_GROW = f"UPDATE log_state SET size = ?, root = ? WHERE batch_key = {LOG_KEY}"
_PUBLISH = f"""
UPDATE log_state SET checkpoint_size = ?2, checkpoint = ?3
WHERE batch_key = {LOG_KEY} AND fence = ?1 AND checkpoint_size <= ?2
"""
_CHECKPOINT = f"SELECT checkpoint FROM log_state WHERE batch_key = {LOG_KEY}"
_TILE = f"SELECT hashes FROM log_tile WHERE batch_key = {LOG_KEY} AND level = ? AND tile_index = ?"
_LEAVES = (
    f"SELECT leaf_index, entry, salt, body FROM log_leaf WHERE batch_key = {LOG_KEY} "
    "AND leaf_index >= ? AND leaf_index < ? ORDER BY leaf_index"
)
_LINKS = (
    "SELECT leaf_index FROM log_link WHERE batch_key = ? AND number >= ? ORDER BY number LIMIT ?"
)
_CHAINS = (
    f"SELECT {', '.join(CHAIN_COLUMNS)} FROM json_each(?) AS q CROSS JOIN log_chain "
    "WHERE batch_key = q.value"
)


class LogPart:
    """See tracechain.app.ports.LogStore."""

    _writer: Session
    _reader: Session
    _logs: bool
    _random: Callable[[int], bytes]

    def _note(self, connection: sqlite3.Connection, facts: Iterable[Fact]) -> None:
        """Lets facts wait for the log, within the transaction that keeps what they are about."""
        if self._logs:
            connection.executemany(_PUT_PENDING, pending_rows(list(facts), self._random))

    async def append_fact(self, fact: Fact) -> None:
        await self._writer.write(lambda connection: self._note(connection, [fact]))

    async def pending_facts(self) -> tuple[int, int | None]:
        row = await self._reader.read(lambda c: c.execute(_COUNT_PENDING).fetchone())
        return row[0], row[1]

    async def take_log_lease(self, holder: str, now: int, until: int) -> int | None:
        empty = Head().root

        def work(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(_TAKE_LEASE, (holder, now, until, empty)).fetchone()
            return row[0] if row else None

        return await self._writer.write(work)

    async def sequence(self, fence: int, limit: int) -> Head | None:
        def work(connection: sqlite3.Connection) -> Head | None:
            held = connection.execute(_HELD, (fence,)).fetchone()
            if held is None:
                return None
            rows = connection.execute(_LIST_PENDING, (limit,)).fetchall()
            if not rows:
                return _head(connection)
            facts = [read_pending(row) for row in rows]
            done = sequence(
                _edge(connection, held[0]),
                facts,
                _chains(connection, {key for fact in facts for key in fact.keys}),
                self._random,
            )
            connection.executemany(_PUT_LEAF, [(LOG_KEY, *leaf) for leaf in done.leaves])
            connection.executemany(_PUT_LINK, done.links)
            connection.executemany(_PUT_CHAIN, [(key, *end) for key, end in done.chains.items()])
            connection.executemany(
                _PUT_TILE,
                [(LOG_KEY, t.level, t.index, content) for t, content in done.tiles.items()],
            )
            connection.execute(_DROP_PENDING, rows[-1][1:3])
            head = Head(done.edge.size, done.edge.root())
            connection.execute(_GROW, (head.size, head.root))
            return head

        return await self._writer.write(work)

    async def log_head(self) -> Head:
        return await self._reader.read(_head)

    async def read_tiles(self, tiles: Sequence[Tile]) -> list[bytes | None]:
        return await self._reader.read(lambda c: [_tile(c, tile) for tile in tiles])

    async def read_leaves(self, first: int, end: int) -> list[LogLeaf]:
        rows = await self._reader.read(lambda c: c.execute(_LEAVES, (first, end)).fetchall())
        return [LogLeaf(*row) for row in rows]

    async def read_links(self, batch_key: int, first: int, limit: int) -> list[int]:
        asked = (batch_key, first, limit)
        rows = await self._reader.read(lambda c: c.execute(_LINKS, asked).fetchall())
        return [row[0] for row in rows]

    async def read_chains(self, batch_keys: Sequence[int]) -> list[LogChain | None]:
        found = await self._reader.read(lambda c: _chains(c, batch_keys))
        return [found.get(key) for key in batch_keys]

    async def put_checkpoint(self, fence: int, size: int, note: bytes) -> bool:
        return await self._writer.write(
            lambda c: c.execute(_PUBLISH, (fence, size, note)).rowcount == 1
        )

    async def get_checkpoint(self) -> bytes | None:
        row = await self._reader.read(lambda c: c.execute(_CHECKPOINT).fetchone())
        return row[0] or None if row else None


def _head(connection: sqlite3.Connection) -> Head:
    row = connection.execute(_HEAD).fetchone()
    return Head(*row) if row else Head()


def _tile(connection: sqlite3.Connection, tile: Tile) -> bytes | None:
    row = connection.execute(_TILE, (tile.level, tile.index)).fetchone()
    return tile_content(tile, row[0] if row else None)


def _edge(connection: sqlite3.Connection, size: int) -> Edge:
    contents = {tile: _tile(connection, tile) for tile in Edge.tiles(size)}
    return Edge.read(size, {tile: content or b"" for tile, content in contents.items()})


def _chains(connection: sqlite3.Connection, keys: Iterable[int]) -> dict[int, LogChain]:
    rows: list[Any] = connection.execute(_CHAINS, (json.dumps(list(keys)),)).fetchall()
    return {row[0]: LogChain(*row[1:]) for row in rows}
