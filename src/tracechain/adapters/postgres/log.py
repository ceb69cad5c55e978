"""The transparency log in PostgreSQL: the LogStore port, and how facts get into it.

Whoever continues the tree holds the row of its state, and looks at the fencing number there: a node
that lost its lease while it was away finds another one's number and does nothing. Facts are taken
out by their ids: one that was committed meanwhile stays for the next turn, whatever its time.
"""

from __future__ import annotations

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
from tracechain.adapters.postgres.session import Session, Transaction
from tracechain.adapters.postgres.statements import by_keys, columns, rows, statement
from tracechain.domain.log.checkpoint import Head
from tracechain.domain.log.fact import Fact
from tracechain.domain.log.sequencing import LogChain, LogLeaf, sequence
from tracechain.domain.log.tiles import Edge, Tile


def _put(table: str, names: tuple[str, ...], then: str = "") -> str:
    listed = ", ".join(names)
    return f"INSERT INTO {table} ({listed}) SELECT {listed} FROM {rows('n', names)}{then}"


PUT_PENDING = statement("PUT_PENDING", _put("log_pending", PENDING_COLUMNS))
LIST_PENDING = statement(
    "LIST_PENDING",
    f"SELECT {', '.join(PENDING_COLUMNS)} FROM log_pending WHERE batch_key = $1 "
    "ORDER BY time, fact_id LIMIT $2",
)
DROP_PENDING = statement(
    "DROP_PENDING",
    "DELETE FROM log_pending WHERE batch_key = $1 AND time >= $2 AND time <= $3 "
    "AND fact_id = ANY($4)",
)
COUNT_PENDING = statement(
    "COUNT_PENDING",
    "SELECT count(*), min(time) FROM (SELECT time FROM log_pending WHERE batch_key = $1 "
    "ORDER BY time, fact_id LIMIT $2) AS waiting",
)
TAKE_LEASE = statement(
    "TAKE_LEASE",
    "INSERT INTO log_state "
    "(batch_key, size, root, fence, holder, until, checkpoint_size, checkpoint) "
    "VALUES ($1, 0, $5, 1, $2, $4, 0, ''::bytea) ON CONFLICT (batch_key) DO UPDATE "
    "SET fence = log_state.fence + CASE WHEN log_state.holder = excluded.holder THEN 0 ELSE 1 END, "
    "holder = excluded.holder, until = excluded.until "
    "WHERE log_state.holder = excluded.holder OR log_state.until <= $3 RETURNING fence",
)
GET_LOG_HEAD = statement("GET_LOG_HEAD", "SELECT size, root FROM log_state WHERE batch_key = $1")
HOLD_LOG = statement(
    "HOLD_LOG", "SELECT fence, size, root FROM log_state WHERE batch_key = $1 FOR UPDATE"
)
GROW_LOG = statement("GROW_LOG", "UPDATE log_state SET size = $2, root = $3 WHERE batch_key = $1")
PUBLISH = statement(
    "PUBLISH",
    "UPDATE log_state SET checkpoint_size = $3, checkpoint = $4 "
    "WHERE batch_key = $1 AND fence = $2 AND checkpoint_size <= $3 RETURNING fence",
)
GET_CHECKPOINT = statement(
    "GET_CHECKPOINT", "SELECT checkpoint FROM log_state WHERE batch_key = $1"
)
PUT_LEAVES = statement("PUT_LEAVES", _put("log_leaf", LEAF_COLUMNS))
PUT_CHAIN_LINKS = statement("PUT_CHAIN_LINKS", _put("log_link", LINK_COLUMNS))
PUT_TILES = statement(
    "PUT_TILES",
    _put("log_tile", TILE_COLUMNS, " ON CONFLICT (batch_key, level, tile_index) DO UPDATE "
         "SET hashes = excluded.hashes"),
)  # fmt: skip
PUT_CHAINS = statement(
    "PUT_CHAINS",
    _put("log_chain", CHAIN_COLUMNS, " ORDER BY batch_key ON CONFLICT (batch_key) DO UPDATE "
         "SET length = excluded.length, last = excluded.last"),
)  # fmt: skip
GET_TILE = statement(
    "GET_TILE",
    "SELECT hashes FROM log_tile WHERE batch_key = $1 AND level = $2 AND tile_index = $3",
)
LIST_LEAVES = statement(
    "LIST_LEAVES",
    "SELECT leaf_index, entry, salt, body FROM log_leaf "
    "WHERE batch_key = $1 AND leaf_index >= $2 AND leaf_index < $3 ORDER BY leaf_index",
)
LIST_CHAIN_LINKS = statement(
    "LIST_CHAIN_LINKS",
    "SELECT leaf_index FROM log_link WHERE batch_key = $1 AND number >= $2 "
    "ORDER BY number LIMIT $3",
)
GET_CHAINS = statement(
    "GET_CHAINS",
    f"SELECT {', '.join(CHAIN_COLUMNS)} FROM log_chain WHERE batch_key = ANY($1::bigint[])",
)


class LogPart:
    """See tracechain.app.ports.LogStore."""

    _session: Session
    _logs: bool
    _random: Callable[[int], bytes]

    async def _note(self, transaction: Transaction, facts: Iterable[Fact]) -> None:
        """Lets facts wait for the log, within the transaction that keeps what they are about."""
        lines = pending_rows(list(facts), self._random) if self._logs else []
        if lines:
            await transaction.fetch(PUT_PENDING, *columns(lines))

    async def append_fact(self, fact: Fact) -> None:
        await self._session.transact(lambda transaction: self._note(transaction, [fact]))

    async def pending_facts(self) -> tuple[int, int | None]:
        row = await self._session.row(COUNT_PENDING, LOG_KEY, MANY_PENDING)
        return (row[0], row[1]) if row else (0, None)

    async def take_log_lease(self, holder: str, now: int, until: int) -> int | None:
        row = await self._session.row(TAKE_LEASE, LOG_KEY, holder, now, until, Head().root)
        return row[0] if row else None

    async def sequence(self, fence: int, limit: int) -> Head | None:
        async def work(transaction: Transaction) -> Head | None:
            held = await transaction.row(HOLD_LOG, LOG_KEY)
            if held is None or held[0] != fence:
                return None
            size = held[1]
            found = await transaction.fetch(LIST_PENDING, LOG_KEY, limit)
            if not found:
                return Head(size, held[2])
            facts = [read_pending(row) for row in found]
            keys = {key for fact in facts for key in fact.keys}
            done = sequence(
                await _edge(transaction, size),
                facts,
                _chains(await transaction.fetch_many(GET_CHAINS, _calls(keys))),
                self._random,
            )
            head = Head(done.edge.size, done.edge.root())
            await transaction.fetch(PUT_LEAVES, *columns((LOG_KEY, *leaf) for leaf in done.leaves))
            await transaction.fetch(PUT_CHAIN_LINKS, *columns(done.links))
            ends = [(key, *end) for key, end in done.chains.items()]
            await transaction.fetch(PUT_CHAINS, *columns(ends))
            tiles = [(LOG_KEY, t.level, t.index, content) for t, content in done.tiles.items()]
            await transaction.fetch(PUT_TILES, *columns(tiles))
            ids = [row[2] for row in found]
            await transaction.fetch(DROP_PENDING, LOG_KEY, found[0][1], found[-1][1], ids)
            await transaction.fetch(GROW_LOG, LOG_KEY, head.size, head.root)
            return head

        return await self._session.transact(work)

    async def log_head(self) -> Head:
        row = await self._session.row(GET_LOG_HEAD, LOG_KEY)
        return Head(row[0], row[1]) if row else Head()

    async def read_tiles(self, tiles: Sequence[Tile]) -> list[bytes | None]:
        return await self._session.transact(lambda transaction: _tiles(transaction, tiles))

    async def read_leaves(self, first: int, end: int) -> list[LogLeaf]:
        found = await self._session.fetch(LIST_LEAVES, LOG_KEY, first, end)
        return [LogLeaf(*row) for row in found]

    async def read_links(self, batch_key: int, first: int, limit: int) -> list[int]:
        found = await self._session.fetch(LIST_CHAIN_LINKS, batch_key, first, limit)
        return [row[0] for row in found]

    async def read_chains(self, batch_keys: Sequence[int]) -> list[LogChain | None]:
        found = _chains(await self._session.fetch_many(GET_CHAINS, _calls(batch_keys)))
        return [found.get(key) for key in batch_keys]

    async def put_checkpoint(self, fence: int, size: int, note: bytes) -> bool:
        return await self._session.row(PUBLISH, LOG_KEY, fence, size, note) is not None

    async def get_checkpoint(self) -> bytes | None:
        row = await self._session.row(GET_CHECKPOINT, LOG_KEY)
        return row[0] or None if row else None


async def _tiles(transaction: Transaction, tiles: Sequence[Tile]) -> list[bytes | None]:
    found = []
    for tile in tiles:
        row = await transaction.row(GET_TILE, LOG_KEY, tile.level, tile.index)
        found.append(tile_content(tile, row[0] if row else None))
    return found


async def _edge(transaction: Transaction, size: int) -> Edge:
    tiles = Edge.tiles(size)
    contents = await _tiles(transaction, tiles)
    return Edge.read(size, {t: held or b"" for t, held in zip(tiles, contents, strict=True)})


def _calls(keys: Iterable[int]) -> list[list[Sequence[Any]]]:
    return [call[:1] for call in by_keys([(key,) for key in keys])]


def _chains(found: Sequence[Sequence[Any]]) -> dict[int, LogChain]:
    return {row[0]: LogChain(*row[1:]) for row in found}
