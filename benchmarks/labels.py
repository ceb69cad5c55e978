"""Labels a second, and the memory that ten times as many of them take."""

from __future__ import annotations

import threading
import time
import uuid

from benchmarks.processes import resident_bytes
from benchmarks.stand import Stand, stand
from tracechain.v1 import issuance_pb2, issuance_pb2_grpc

FORMATS = ("PDF", "ZPL", "SVG", "PNG")
_EVERY = 0.02


def measure(few: int = 1000, many: int = 10_000) -> dict[str, object]:
    """PDF sheets of few and of many labels by the service; then a part of them in each format.

    Memory is that of the service and all its processes, the most that was seen while labels were
    drawn; sheets of 200 labels are drawn before, so that every process is there.
    """
    with stand() as made:
        batch = made.batch("LABELS", many)
        order = uuid.uuid4().hex
        made.order(batch.name, many, order)
        _drawn(made, batch.name, order, "PDF", min(200, few))
        found = {str(count): _drawn(made, batch.name, order, "PDF", count) for count in (few, many)}
        formats = {
            name: _drawn(made, batch.name, order, name, few)["labels_per_second"]
            for name in FORMATS
        }
    ratio = float(found[str(many)]["peak_mib"]) / float(found[str(few)]["peak_mib"])
    return {
        "sheets": found,
        "peak_of_many_to_few": round(ratio, 3),
        "labels_per_second": formats,
        "floor": {"peak_of_many_to_few": 1.15},
    }


def _drawn(made: Stand, parent: str, order: str, format: str, count: int) -> dict[str, float]:
    """What one call took; its bytes are counted and thrown away."""
    stub = issuance_pb2_grpc.IssuanceServiceStub(made.channel)
    request = issuance_pb2.RenderLabelsRequest(
        parent=parent,
        order=order,
        count=count,
        format=issuance_pb2.LabelFormat.Value(f"LABEL_FORMAT_{format}"),
        include_pins=format in ("PDF", "ZPL"),
    )
    peak, done = [resident_bytes(made.pids)], threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            peak[0] = max(peak[0], resident_bytes(made.pids))

    watching = threading.Thread(target=watch)
    watching.start()
    started = time.perf_counter()
    try:
        labels = size = 0
        for answer in stub.RenderLabels(request, metadata=made.metadata("issuer")):
            labels += answer.label_count
            size += sum(len(part.data) for part in answer.parts)
    finally:
        done.set()
        watching.join()
    seconds = time.perf_counter() - started
    assert labels == count
    return {
        "seconds": round(seconds, 1),
        "labels_per_second": round(count / seconds),
        "peak_mib": round(peak[0] / 2**20, 1),
        "bytes_per_label": round(size / count),
    }
