"""What a batch of a million printed codes adds to the store before anything is scanned."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from benchmarks.stand import GTIN, stand
from tracechain.v1 import issuance_pb2, issuance_pb2_grpc

QUANTITY = 1_000_000


def measure(batches: int = 400) -> dict[str, object]:
    """Bytes for each batch, from the growth of the whole file over many."""
    with stand() as made:
        stub = issuance_pb2_grpc.IssuanceServiceStub(made.channel)
        path = made.folder / "store.sqlite3"
        before = _bytes(path)
        for i in range(batches):
            batch = made.batch(f"SIZE-{i:04}", QUANTITY)
            made.order(batch.name, QUANTITY)
            held = stub.GetBatch(
                issuance_pb2.GetBatchRequest(name=batch.name), metadata=made.metadata("issuer")
            )
            assert held.issued_quantity == QUANTITY
            assert held.gtin == GTIN
        grown = _bytes(path) - before
    return {
        "bytes_per_batch_of_a_million": round(grown / batches),
        "batches": batches,
        "floor": {"bytes_per_batch_of_a_million": 4096},
    }


def _bytes(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    return path.stat().st_size
