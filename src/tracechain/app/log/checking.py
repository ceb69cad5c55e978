"""The whole log derived anew from what the store holds: `tracechain log check`.

Promises that what it passes is one tree: every leaf in its place, hashed into the tiles, the tiles
into the roots of head and checkpoint; every commitment opened by its fact; every chain without gap
(`checking_chains`); every fact as the store has it, and all of the store's in the log
(`checking_rows`). Who can write to the store can make another tree that holds as well: only a
checkpoint that somebody else signed, or kept, tells that it is another.

All is read in one snapshot, a page at a time; a service may go on writing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracechain.app.archive import Archive
from tracechain.app.archiving import Told, require_newest
from tracechain.app.checking import Findings, Groups
from tracechain.app.log.checking_chains import check_chains
from tracechain.app.log.checking_rows import Opened, ReadRecall, RowCheck
from tracechain.app.log.log_rows import LogRows, Row
from tracechain.domain.batch_key import LOG_KEY
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.leaf import Leaf, commitment
from tracechain.domain.log.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash
from tracechain.domain.log.note import Note
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.tiles import HEIGHT, WIDTH, Edge, Tile


@dataclass(slots=True)
class LogReport:
    """What a check found. `older` counts rows of each table that are older than the log, of which
    it says nothing; `pending` facts have no place yet, the oldest since `waiting`."""

    findings: Findings = field(default_factory=Findings)
    size: int = 0
    root: bytes = EMPTY_ROOT
    chains: int = 0
    checkpoint: Checkpoint | None = None
    pending: int = 0
    waiting: int | None = None
    older: dict[str, int] = field(default_factory=dict)


async def check_log(
    archive: Archive,
    told: Told,
    read_recall: ReadRecall,
    policy: Policy | None = None,
    kept: Sequence[Note] = (),
) -> LogReport:
    """Reads all of the log and says what does not hold. With a `policy` it must accept the
    published checkpoint, and those that were `kept` elsewhere, whose trees this one has to
    continue.

    Raises StoreRefused STORE_MISSING, SCHEMA_TOO_OLD; Unavailable; DataCorrupted where the
    database cannot read on.
    """
    await require_newest(archive)
    report = LogReport()
    async with archive.snapshot() as snapshot:
        rows = LogRows(snapshot, {table.name: table for table in archive.tables}, told)
        facts = RowCheck(rows, report.findings, read_recall)
        await facts.read_pending()
        tree = _Tree(rows, report, facts, policy)
        await tree.read_head(kept)
        await tree.check()
        report.chains = await check_chains(rows, report.findings, tree.links)
        await facts.check_rows()
        report.pending, report.waiting = facts.pending, facts.waiting
        report.older = dict(facts.older)
    return report


class _Tree:
    """One pass over the leaves beside their tiles. `links` counts the links of the leaves."""

    def __init__(
        self, rows: LogRows, report: LogReport, facts: RowCheck, policy: Policy | None
    ) -> None:
        self._rows = rows
        self._report = report
        self._findings = report.findings
        self._facts = facts
        self._policy = policy
        # Without the hash of a leaf nothing above it can be derived: then there is no edge.
        self._edge: Edge | None = Edge()
        self._previous: Leaf | None = None
        # Roots that are claimed for a tree of a size, and by what.
        self._claims: dict[int, list[tuple[str, bytes]]] = {}
        self.links = 0

    async def read_head(self, kept: Sequence[Note]) -> None:
        """Notes what head and checkpoints claim."""
        found = await self._rows.find("log_state", [(LOG_KEY,)])
        if state := found.get((LOG_KEY,)):
            self._report.size, self._report.root = state["size"], state["root"]
            self._claim("the head", state["size"], state["root"])
            if state["checkpoint"]:
                self._published(state)
        for number, note in enumerate(kept, 1):
            self._checkpoint(f"kept checkpoint {number}", note)

    async def check(self) -> None:
        """Reads all leaves and tiles."""
        size = self._report.size
        for claimed in sorted(n for n in self._claims if n > size):
            for what, _ in self._claims[claimed]:
                self._findings.add("TREE_TOO_SMALL", f"{what} has {claimed} leaves, the log {size}")
        leaves = _Leaves(self._rows.pages("log_leaf"), ("leaf_index",))
        await self._append([])
        for index in range(-(-size // WIDTH)):
            first, end = index * WIDTH, min(size, (index + 1) * WIDTH)
            await self._leaves(Tile(0, index, end - first), await leaves.before(end))
        while beyond := await leaves.before(None):
            for row in beyond:
                self._findings.add("LEAF_BEYOND_TREE", f"leaf {row['leaf_index']}")
        if self._edge is not None:
            for tile in Edge.tiles(size):
                if tile.level:
                    await self._compare(tile, b"".join(self._edge.rows[tile.level]))
        await self._count_tiles(size)

    async def _leaves(self, tile: Tile, rows: Sequence[Row]) -> None:
        """The leaves of one tile against it; then the facts that they open."""
        stored = await self._stored(tile)
        first = tile.index * WIDTH
        by_index = {row["leaf_index"]: row for row in rows}
        for index in by_index:
            if index < first:
                self._findings.add("LEAF_BEYOND_TREE", f"leaf {index}")
        hashes: list[bytes] = []
        opened = []
        for index in range(first, first + tile.width):
            row = by_index.get(index)
            held = stored[(index - first) * HASH_BYTES :][:HASH_BYTES] if stored else b""
            own = leaf_hash(row["entry"]) if row else b""
            if not row:
                self._findings.add("LEAF_MISSING", f"leaf {index}")
                self._previous = None
            elif held and held != own:
                self._findings.add("LEAF_NOT_IN_TILE", f"leaf {index} is not that of {tile.path}")
            # What is above was derived from the tile, so that one leaf is one difference.
            hashes.append(held or own)
            if row and (found := self._opened(row)):
                opened.append(found)
        await self._facts.check_facts(opened)
        if all(hashes):
            await self._append(hashes)
        else:
            self._edge = None

    def _opened(self, row: Row) -> Opened | None:
        """What a leaf is about, where it is the first of its fact."""
        index, before, self._previous = row["leaf_index"], self._previous, None
        try:
            leaf = Leaf.parse(row["entry"])
        except InvalidArgument as error:
            self._findings.add("LEAF_MALFORMED", f"leaf {index}: {error.message}")
            return None
        self._previous = leaf
        self.links += len(leaf.links)
        if leaf.part and before is not None and (
            (before.commitment, before.parts, before.part + 1)
            != (leaf.commitment, leaf.parts, leaf.part)
        ):  # fmt: skip
            self._findings.add("PARTS_DIFFER", f"leaf {index} does not continue the one before")
        if not leaf.part and before is not None and before.part + 1 != before.parts:
            self._findings.add("PARTS_DIFFER", f"leaf {index} stands within another fact's leaves")
        if commitment(row["salt"], row["body"]) != leaf.commitment:
            self._findings.add("OPENING_DIFFERS", f"leaf {index} was made for another fact")
            return None
        fact: dict[str, Any] = json.loads(row["body"])
        if (fact["kind"], fact["time"]) != (leaf.kind, leaf.time):
            self._findings.add("OPENING_DIFFERS", f"leaf {index} says another kind or time")
        return None if leaf.part else Opened(index, fact)

    async def _append(self, hashes: Sequence[bytes]) -> None:
        """Lets the derived tree grow; compares what it comes by."""
        if self._edge is None:
            return
        start = self._edge.size
        end = start + len(hashes)
        for stop in sorted({end, *(n for n in self._claims if start < n < end)}):
            self._edge, changed = self._edge.append(hashes[self._edge.size - start : stop - start])
            for tile, content in changed.items():
                if tile.level and tile.width == WIDTH:
                    await self._compare(tile, content)
            if stop > start or not start:
                for what, root in self._claims.get(stop, ()):
                    if self._edge.root() != root:
                        self._findings.add(
                            "ROOT_DIFFERS", f"{what}: its root is not that of its {stop} leaves"
                        )

    async def _compare(self, tile: Tile, derived: bytes) -> None:
        stored = await self._stored(tile)
        if stored is not None and stored != derived:
            at = range(0, len(derived), HASH_BYTES)
            first = next(n for n in at if stored[n : n + HASH_BYTES] != derived[n : n + HASH_BYTES])
            self._findings.add(
                "TILE_DIFFERS", f"{tile.path}: hash {first // HASH_BYTES} is not of what is below"
            )

    async def _stored(self, tile: Tile) -> bytes | None:
        """A tile as the store has it, where that is one."""
        key = (LOG_KEY, tile.level, tile.index)
        row = (await self._rows.find("log_tile", [key])).get(key)
        if row is None:
            self._findings.add("TILE_MISSING", tile.path)
            return None
        if len(row["hashes"]) != tile.width * HASH_BYTES:
            self._findings.add("TILE_DIFFERS", f"{tile.path} has {len(row['hashes'])} bytes")
            return None
        return bytes(row["hashes"])

    async def _count_tiles(self, size: int) -> None:
        known = {(tile.level, tile.index) for tile in Edge.tiles(size)}
        full = {level: (size >> HEIGHT * level) // WIDTH for level in range(HEIGHT)}
        if await self._rows.count("log_tile") == len(known) + sum(full.values()):
            return
        async for page in self._rows.pages("log_tile"):
            for row in page:
                at = (row["level"], row["tile_index"])
                if at not in known and not 0 <= at[1] < full.get(at[0], 0):
                    self._findings.add("TILE_BEYOND_TREE", f"level {at[0]}, index {at[1]}")

    def _published(self, state: Row) -> None:
        what = "the published checkpoint"
        try:
            note = Note.parse(state["checkpoint"])
        except InvalidArgument as error:
            self._findings.add("CHECKPOINT_MALFORMED", f"{what}: {error.message}")
            return
        self._report.checkpoint = found = self._checkpoint(what, note)
        if found and found.size != state["checkpoint_size"]:
            self._findings.add(
                "CHECKPOINT_MALFORMED",
                f"{what} is of {found.size} leaves, not of {state['checkpoint_size']}",
            )

    def _checkpoint(self, what: str, note: Note) -> Checkpoint | None:
        """Notes what a checkpoint claims, whoever signed it."""
        try:
            found = Checkpoint.parse(note.text)
        except InvalidArgument as error:
            self._findings.add("CHECKPOINT_MALFORMED", f"{what}: {error.message}")
            return None
        if self._policy is not None:
            try:
                self._policy.accept(note)
            except InvalidArgument as error:
                self._findings.add(error.reason, f"{what}: {error.message}")
        self._claim(what, found.size, found.root)
        return found

    def _claim(self, what: str, size: int, root: bytes) -> None:
        self._claims.setdefault(size, []).append((what, root))


class _Leaves(Groups):
    """The rows of leaves, a run at a time."""

    async def before(self, end: int | None) -> list[dict[str, Any]]:
        """The next rows whose index is below `end`; the next few of all that are left for None."""
        taken: list[dict[str, Any]] = []
        while (row := await self._peek()) is not None and (
            len(taken) < WIDTH if end is None else row["leaf_index"] < end
        ):
            taken.append(row)
            self._begun = False
        return taken
