"""What the proof of one leaf costs in a log of ten million, through the use case that serves it.

The tiles are made of leaf hashes that nobody needs to open, but for the leaves that are asked for:
each of those is verified. Beside it stands what reading the leaf alone costs.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tracechain.adapters.log_rows import LEAF_COLUMNS, LOG_KEY, TILE_COLUMNS
from tracechain.adapters.sqlite import open_store
from tracechain.adapters.store_process import open_in_process
from tracechain.app.log.published import PublishedLog
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.fact import FactKind
from tracechain.domain.log.leaf import NONE_BEFORE, Leaf, Link, chain_label, commitment
from tracechain.domain.log.merkle import leaf_hash
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.policy import Log, Policy
from tracechain.domain.log.proof import LogProof
from tracechain.domain.log.sequencing import LogLeaf
from tracechain.domain.log.tiles import Edge
from tracechain.domain.scan import ScanRules

_STEP = 1 << 16
_TEXT = '{"kind":"batch","time":1,"gtin":"06901234567892"}'


def measure(leaves: int = 10_000_000, asked: int = 500) -> dict[str, object]:
    """Median and 99th percentile of a proof, in milliseconds, and of reading its leaf."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder) / "store.sqlite3", leaves, asked))


async def _measure(path: Path, leaves: int, asked: int) -> dict[str, object]:
    dice = random.Random(6)
    picked = sorted(dice.sample(range(leaves), asked))
    store = await open_in_process(partial(open_store, path, ScanRules()))
    try:
        fence = await store.take_log_lease("the benchmark", 0, 1)
        assert fence is not None
        root = _fill(path, leaves, {index: _leaf(index) for index in picked}, dice)
        signer = NoteSigner("log.example/bench", Ed25519PrivateKey.generate())
        text = Checkpoint(signer.name, leaves, root).text
        assert await store.put_checkpoint(fence, leaves, Note(text, (signer.sign(text),)).encode())
        log, policy = PublishedLog(store), Policy((Log(signer.key),))

        async def proved(index: int) -> None:
            found.append(await log.prove(index))

        found: list[tuple[LogLeaf, bytes]] = []
        dice.shuffle(picked)
        proofs = await _times(proved, picked)
        for leaf, proof in found:
            parsed = LogProof.parse(proof)
            assert parsed.index == leaf.leaf_index
            parsed.verify(leaf_hash(leaf.entry), policy)
        reads = await _times(log.leaf, picked)
    finally:
        await store.close()
    return {
        "leaves": leaves,
        "median_ms": round(statistics.median(proofs), 2),
        "p99_ms": round(statistics.quantiles(proofs, n=100)[98], 2),
        "leaf_alone_median_ms": round(statistics.median(reads), 2),
        "verified": len(found),
        "ceiling": {"median_ms": 5.0},
    }


async def _times(call: Callable[[int], Awaitable[object]], indices: Iterable[int]) -> list[float]:
    """How long each call takes, in milliseconds, one after the other."""
    times = []
    for index in indices:
        started = time.perf_counter()
        await call(index)
        times.append((time.perf_counter() - started) * 1000)
    return times


def _leaf(index: int) -> LogLeaf:
    salt = index.to_bytes(32)
    link = Link(chain_label(salt, 1), 0, NONE_BEFORE)
    entry = Leaf(FactKind.BATCH, 1, commitment(salt, _TEXT), (link,)).encode()
    return LogLeaf(index, entry, salt, _TEXT)


def _fill(path: Path, leaves: int, opened: dict[int, LogLeaf], dice: random.Random) -> bytes:
    """Writes the tiles of a log whose leaves are any but those given, and gives its root."""
    edge = Edge()
    connection = sqlite3.connect(path)
    with connection:
        while edge.size < leaves:
            first, count = edge.size, min(_STEP, leaves - edge.size)
            block = dice.randbytes(32 * count)
            hashes = [block[at : at + 32] for at in range(0, len(block), 32)]
            for index in opened.keys() & range(first, first + count):
                hashes[index - first] = leaf_hash(opened[index].entry)
            edge, tiles = edge.append(hashes)
            connection.executemany(
                _insert("log_tile", TILE_COLUMNS),
                [(LOG_KEY, tile.level, tile.index, held) for tile, held in tiles.items()],
            )
        connection.executemany(
            _insert("log_leaf", LEAF_COLUMNS), [(LOG_KEY, *leaf) for leaf in opened.values()]
        )
        root = edge.root()
        connection.execute("UPDATE log_state SET size = ?, root = ?", (leaves, root))
    connection.close()
    return root


def _insert(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
