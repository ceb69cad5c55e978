"""What a scan, an event, a trace and a printed code cost on each backend, for docs/scale.md.

Bytes come from the tables themselves, filled through the Store port with scans and events of
units anywhere (rows that arrive in the order of their keys would lie closer than they ever will).
Costs come from calls over the wire under load, each part's CPU time by itself: the service, the
processes that it started, PostgreSQL, Redis. `benchmarks/province.py` computes the rest.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import redis

from benchmarks import processes
from benchmarks.backends import BACKENDS, Backend
from benchmarks.capture import PER_CALL, _event
from benchmarks.filling import Filling
from benchmarks.load import Result, drive
from benchmarks.stand import Stand, stand
from benchmarks.verify import VERIFY, requests
from tracechain import bootstrap
from tracechain.adapters.postgres.tenancy import SERVICE_SETTINGS
from tracechain.settings import Settings
from tracechain.v1 import capture_pb2, provenance_pb2, verification_pb2

CAPTURE = "/tracechain.v1.EventService/CaptureEvents"
TRACE = "/tracechain.v1.ProvenanceService/TraceUnit"
MILLION = 1_000_000
_TRACES = 200
_LOG = ("log_leaf", "log_link", "log_chain", "log_tile")

_Found = dict[str, Any]


def measure(
    calls: int = 3000,
    events: int = 5000,
    scans: int = 20_000,
    batches: int = 100,
    cached: int = 200,
) -> dict[str, object]:
    """Bytes, CPU microseconds and memory on each backend."""
    return {
        backend.name: _on(backend, calls, events, scans, batches, cached) for backend in BACKENDS
    }


def _on(backend: Backend, calls: int, events: int, scans: int, batches: int, cached: int) -> _Found:
    # What is cached must still be there when it is counted.
    with stand(backend, redis_lifetime_ms=600_000) as made:
        codes = _printed(made, batches)
        filled = asyncio.run(_filled(made, events, scans))
        rows = _rows(made)
        costs = _costs(made, calls, filled)
        return {
            "bytes": {"printed_code": codes, **rows},
            **costs,
            "resident_mib": round(processes.resident_bytes(made.pids) / (1 << 20)),
            **_cached(made, cached),
        }


def _printed(made: Stand, batches: int) -> float:
    before = _size(made)
    for number in range(batches):
        made.order(made.batch(f"SCALE-{number:04}", MILLION).name, MILLION)
    return round((_size(made) - before) / batches / MILLION, 6)


async def _filled(made: Stand, events: int, scans: int) -> list[str]:
    """Codes of units that have been somewhere."""
    app = await bootstrap.build(Settings(**made.settings, log_level="error"))
    try:
        filling = Filling(app)
        await filling.grow(events, scans)
        return filling.codes(_TRACES)
    finally:
        await app.close()


def _rows(made: Stand) -> _Found:
    _settled(made)
    sizes, counts = _tables(made)
    # Every event has a leaf; what else has one is seldom.
    leaf = sum(sizes[name] for name in _LOG) / counts["log_leaf"]
    return {
        "scan": round(sizes["scan"] / counts["scan"]),
        "touched_unit": round(sizes["unit_scan"] / counts["unit_scan"]),
        "event": round((sizes["event"] + sizes["touch"]) / counts["event"] + leaf),
    }


def _settled(made: Stand) -> None:
    """Waits until everything has its place in the log."""
    ends = time.monotonic() + 120
    waiting = "SELECT count(*) FROM log_pending"
    while (_postgres if _is_postgres(made) else _sqlite)(made, waiting)[0][0]:
        if time.monotonic() > ends:
            raise RuntimeError("the log does not keep up")
        time.sleep(0.1)


def _costs(made: Stand, calls: int, filled: list[str]) -> _Found:
    """CPU by part and bytes written, of each call; the first part of each warms up."""
    scans = [r.SerializeToString() for r in requests(made, "COSTS", calls + calls // 4)]
    warm, bodies = scans[: calls // 4], scans[calls // 4 :]
    traces = [provenance_pb2.TraceUnitRequest(epc=c).SerializeToString() for c in filled]
    captures = [
        capture_pb2.CaptureEventsRequest(
            events=[
                _event(i, biz_step="inspecting", epc_list=[verification_pb2.VerifyCodeRequest
                       .FromString(body).code.partition("?")[0]])
                for i, body in enumerate(bodies[at : at + PER_CALL], at)
            ]
        ).SerializeToString()
        for at in range(0, len(bodies), PER_CALL)
    ]  # fmt: skip
    drive(made.port, VERIFY, warm)
    issuer = made.metadata("issuer")
    cpu, written = {}, {}
    for name, path, some, per_call, who in (
        ("first_scan", VERIFY, bodies, 1, ()),
        ("repeat_scan", VERIFY, bodies, 1, ()),
        ("event", CAPTURE, captures, PER_CALL, issuer),
        ("trace", TRACE, traces, 1, issuer),
    ):
        before, log = _cpu(made), _written(made)
        result = drive(made.port, path, some, metadata=who)
        _check(name, result, len(some))
        count = len(some) * per_call if name != "event" else len(bodies)
        spent = _cpu(made)
        cpu[name] = {
            part: round((spent[part] - before[part]) / count * 1e6) for part in sorted(spent)
        }
        written[name] = round((_written(made) - log) / count)
        if name == "first_scan":
            message = sum(map(len, some)) + sum(map(len, result.answers))
    return {
        "cpu_us": cpu,
        "written_bytes": {k: v for k, v in written.items() if k != "trace"},
        "message_bytes_per_scan": round(message / len(bodies)),
    }


def _check(name: str, result: Result, count: int) -> None:
    """A cost of wrong answers is no cost."""
    if result.failed or len(result.answers) != count:
        raise RuntimeError(f"{name}: {result.failed} of {count} failed: {dict(result.refused)}")
    answer = result.answers[-1]
    if name.endswith("_scan"):
        verdict = verification_pb2.Verdict.FromString(answer)
        first = verdict.history == verification_pb2.HISTORY_FIRST_SCAN
        good = first == (name == "first_scan") and verdict.outcome == 1
    elif name == "trace":
        good = len(provenance_pb2.Trace.FromString(answer).steps) > 0
    else:
        results = capture_pb2.CaptureEventsResponse.FromString(answer).results
        good = all(r.status == capture_pb2.CAPTURE_STATUS_ACCEPTED for r in results)
    if not good:
        raise RuntimeError(f"{name}: not the answer it has to be: {answer[:200]!r}")


def _cpu(made: Stand) -> Counter[str]:
    """CPU seconds so far of each part: the service, what it started, the servers beside."""
    found: Counter[str] = Counter()
    for pid in made.pids:
        for one in processes.family(pid):
            found[_part(one, pid)] += processes.own_cpu_seconds(one)
    for name, pid in made.beside.items():
        found[name] += processes.cpu_seconds([pid])
    return found


def _part(pid: int, service: int) -> str:
    if pid == service:
        return "service"
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\x00")
    named = next((w.decode() for w in words if b"tracechain.adapters." in w), "helper")
    # The module that it runs: store_child, crypto_child.
    return named.rpartition("tracechain.adapters.")[2].partition(" ")[0]


def _postgres(made: Stand, sql: str) -> list[Any]:
    async def run() -> list[Any]:
        connection = await asyncpg.connect(
            made.settings["store_url"], server_settings=SERVICE_SETTINGS
        )
        try:
            found: list[Any] = await connection.fetch(sql)
            return found
        finally:
            await connection.close()

    return asyncio.run(run())


def _is_postgres(made: Stand) -> bool:
    return bool(made.settings.get("store_url"))


def _sqlite(made: Stand, sql: str) -> list[Any]:
    connection = sqlite3.connect(made.folder / "store.sqlite3", timeout=30)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def _size(made: Stand) -> int:
    """Bytes of all tables and indexes."""
    if _is_postgres(made):
        return int(_postgres(made, "SELECT pg_database_size(current_database())")[0][0])
    ((size,),) = _sqlite(made, "SELECT page_count * page_size FROM pragma_page_count, "
                               "pragma_page_size")  # fmt: skip
    return int(size)


def _tables(made: Stand) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes of each table with its indexes and partitions, and its rows."""
    names = ("scan", "unit_scan", "event", "touch", *_LOG)
    counted = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in names)
    if _is_postgres(made):
        sizes = _postgres(
            made,
            "SELECT root::text, sum(pg_total_relation_size(relid)) FROM "
            f"unnest(ARRAY{list(names)}::regclass[]) AS root, pg_partition_tree(root) GROUP BY 1 "
            "UNION ALL SELECT relname::text, pg_total_relation_size(oid) FROM pg_class "
            f"WHERE oid = ANY('{{unit_scan, touch, {', '.join(_LOG)}}}'::regclass[])",
        )
        counts = _postgres(made, counted)
    else:
        sizes = _sqlite(
            made,
            "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat AS s JOIN sqlite_schema AS m "
            "ON m.name = s.name GROUP BY 1",
        )
        counts = _sqlite(made, counted)
    return {n: int(size) for n, size in sizes}, {n: int(count) for n, count in counts}


def _written(made: Stand) -> int:
    """Bytes of PostgreSQL's log so far; of SQLite, what its process has written to its files."""
    if _is_postgres(made):
        return int(_postgres(made, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")[0][0])
    return sum(processes.written_bytes(one) for p in made.pids for one in processes.family(p))


def _cached(made: Stand, batches: int) -> _Found:
    url = made.settings.get("redis_url")
    if not url:
        return {}
    # A scan of one unit of each of some batches, so that each is cached once.
    bodies = []
    for number in range(batches):
        batch = made.batch(f"CACHED-{number}", 1)
        code = made.codes(batch.name, 1)[0]
        bodies.append(verification_pb2.VerifyCodeRequest(code=code).SerializeToString())
    _check("first_scan", drive(made.port, VERIFY, bodies), len(bodies))
    of_batch: Counter[bytes] = Counter()
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter("tc:*", count=1000):
            # The facts of a batch and its generation have one tag. What is gone by now counts
            # nothing.
            tag = key.partition(b"{")[2].partition(b"}")[0]
            of_batch[tag] += client.memory_usage(key) or 0
    if len(of_batch) < batches:
        raise RuntimeError(f"{len(of_batch)} batches are cached, of {batches}")
    return {"redis_bytes_per_batch": round(statistics.median(of_batch.values()))}
