"""From what was measured on one machine to a province: the arithmetic of docs/scale.md.

`render` gives the part of that document that stands between its markers, from results.json alone;
a test compares them, so neither can be changed without the other. Every figure is either measured
(benchmarks/scale.py), assumed (LOAD and MACHINE, below), or computed here from those two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracechain.adapters.tables import TABLES
from tracechain.settings import Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- begin: ./dev bench scale -->", "<!-- end: ./dev bench scale -->"
_YEAR = 365 * 86_400
_TB, _GB, _MB = 1e12, 1e9, 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What a province asks for. The first four are the task; the others are assumed."""

    codes_a_year: float = 10e9
    scans_a_year: float = 2e9
    scans_a_second: float = 50_000
    events_a_year: float = 1e9
    units_a_batch: float = 10_000
    first_scans: float = 0.5  # share of the scans that are a unit's first
    event_peak: float = 20  # how often the mean rate of events
    traces_a_second: float = 50
    active_batches: float = 250_000  # scanned within the life of a cached entry, at the peak
    scan_months: float = 24
    event_years: float = 5
    unit_years: float = 5


@dataclass(frozen=True, slots=True)
class Machine:
    """One server, and how full it may be. Its cores are taken to be as fast as those measured."""

    cores: int = 16
    memory_gb: float = 64
    disk_tb: float = 3.84
    network_gbit: float = 10
    busy: float = 0.5  # share of the cores at the peak
    full: float = 0.7  # share of the disk
    bloat: float = 1.3  # dead rows that vacuum has not taken away, half-empty pages
    hot_months: float = 1  # of scans and events whose rows and indexes should be in memory
    copies: int = 2  # of the data: a primary and its standby
    shard_gb: float = 50  # a shard (of all tables together) that is larger is slow to move
    call_overhead: float = 200  # bytes of HTTP/2 and TCP beside the messages of a scan


LOAD, MACHINE = Load(), Machine()
_Measured = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    """One line of the result: what, how much, and how it was reckoned."""

    what: str
    much: str
    how: str


def needs(found: _Measured, load: Load = LOAD, machine: Machine = MACHINE) -> list[Need]:
    """What the province needs of PostgreSQL with Redis, from what that backend was measured at."""
    size, cpu = found["bytes"], found["cpu_us"]
    scan = {part: _mixed(cpu, part, load.first_scans) for part in cpu["first_scan"]}
    own = sum(v for part, v in scan.items() if part not in ("postgresql", "redis"))
    event = sum(v for part, v in cpu["event"].items() if part not in ("postgresql", "redis"))
    trace = sum(v for part, v in cpu["trace"].items() if part not in ("postgresql", "redis"))
    events = load.events_a_year / _YEAR * load.event_peak
    service = _cores(load, events, own, event, trace) / machine.busy
    database = (
        _cores(load, events, *(_of(cpu, scan, name, "postgresql") for name in _CALLS))
        / machine.busy
    )
    touched = load.scans_a_year * load.first_scans
    disk = {
        "batches": load.codes_a_year * size["printed_code"] * load.unit_years,
        "scans": load.scans_a_year * load.scan_months / 12 * size["scan"],
        "histories": touched * load.unit_years * size["touched_unit"],
        "events": load.events_a_year * load.event_years * size["event"],
    }
    total = sum(disk.values()) * machine.bloat
    month = (load.scans_a_year * size["scan"] + load.events_a_year * size["event"]) / 12
    hot = month * machine.hot_months + touched / 12 * size["touched_unit"] * machine.hot_months
    written = found["written_bytes"]
    log = load.scans_a_second * (
        written["first_scan"] * load.first_scans + written["repeat_scan"] * (1 - load.first_scans)
    )
    by_cpu = math.ceil(database / machine.cores)
    by_disk = math.ceil(total / (machine.disk_tb * _TB * machine.full))
    by_memory = math.ceil(hot / (machine.memory_gb * _GB / 2))
    nodes = max(by_cpu, by_disk, by_memory)
    shards = 1 << math.ceil(math.log2(max(nodes * 4, total / (machine.shard_gb * _GB))))
    tables = _WHOLE + load.scan_months + load.event_years * 12
    # One event loop, so one core at most; what it starts runs on others.
    loops = _cores(load, events, *(_of(cpu, scan, name, "service") for name in _CALLS))
    processes = math.ceil(loops / machine.busy)
    wire = load.scans_a_second * (found["message_bytes_per_scan"] + machine.call_overhead)
    one = machine.cores * machine.busy / (_of(cpu, scan, "scan", "postgresql") / 1e6)
    return [
        Need("events at their peak", f"{events:,.0f} a second",
             f"{_short(load.events_a_year)} a year, {load.event_peak:g} times the mean"),
        Need("service, cores", f"{service:,.0f}",
             f"{_short(load.scans_a_second)} scans of {own:,.0f} µs, events of {event:,.0f} µs, "
             f"traces of {trace:,.0f} µs; {machine.busy:.0%} busy"),
        Need("service, processes", f"{processes:,}",
             f"each has one core at most for its own part ({scan['service']:,.0f} µs a scan)"),
        Need("service, machines", f"{math.ceil(service / machine.cores):,}",
             f"of {machine.cores} cores"),
        Need("service, memory", f"{processes * found['resident_mib'] / 1024:,.0f} GiB",
             f"{found['resident_mib']} MiB for each process, with those that it starts"),
        Need("PostgreSQL, cores", f"{database:,.0f}",
             f"a scan takes {_of(cpu, scan, 'scan', 'postgresql'):,.0f} µs there, an event "
             f"{cpu['event']['postgresql']:,.0f} µs, a trace {cpu['trace']['postgresql']:,.0f} µs"),
        Need("rows of scans", f"{disk['scans'] / _TB:,.2f} TB",
             f"{load.scan_months:g} months of {size['scan']} bytes a scan"),
        Need("histories of units", f"{disk['histories'] / _TB:,.2f} TB",
             f"{load.unit_years:g} years of {_short(touched)} units, {size['touched_unit']} bytes "
             "each; nothing drops them"),
        Need("events and touches", f"{disk['events'] / _TB:,.2f} TB",
             f"{load.event_years:g} years of {size['event']:,} bytes an event"),
        Need("batches and orders", f"{disk['batches'] / _GB:,.2f} GB",
             f"{_short(load.codes_a_year * load.unit_years)} codes of {size['printed_code']:.4f} "
             "bytes; with batches of "
             f"{_short(load.units_a_batch)} instead of a million, "
             f"{disk['batches'] * 1e6 / load.units_a_batch / _GB:,.1f} GB"),
        Need("all of it on the disks", f"{total * machine.copies / _TB:,.1f} TB",
             f"{machine.copies} copies, {machine.bloat:g} times for dead rows and free space"),
        Need("hot rows", f"{hot / _GB:,.0f} GB",
             f"{machine.hot_months:g} month of scans, events and first-scanned units"),
        Need("PostgreSQL, machines", f"{nodes * machine.copies:,}",
             f"{nodes} with a standby each; by cores {by_cpu}, by disk {by_disk} ("
             f"{machine.disk_tb:g} TB, {machine.full:.0%} full), by memory {by_memory} (half of "
             f"{machine.memory_gb:g} GB)"),
        Need(
            "shards",
            f"{shards:,}",
            f"at least four for each machine, none beyond {machine.shard_gb:g} GB",
        ),
        Need(
            "tables on each machine",
            f"{shards * tables / nodes:,.0f}",
            f"each shard has {tables:,.0f}: {_WHOLE} and one for each month that is kept",
        ),
        Need("log of PostgreSQL at the peak", f"{log / _MB:,.0f} MB/s",
             f"{written['first_scan']:,} bytes a first scan, {written['repeat_scan']:,} a repeated "
             f"one; {log / nodes / _MB:,.0f} MB/s a machine, and as much to its standby"),
        Need("network at the peak", f"{wire * 8 / _GB:,.2f} Gbit/s",
             f"{found['message_bytes_per_scan']} bytes of messages and "
             f"{machine.call_overhead:g} around them a scan"),
        Need("Redis", f"{load.active_batches * found['redis_bytes_per_batch'] / _GB:,.2f} GB",
             f"{_short(load.active_batches)} batches of {found['redis_bytes_per_batch']:,} bytes"),
        Need(
            "connections to PostgreSQL",
            f"{processes * _CONNECTIONS:,}",
            f"{_CONNECTIONS} for each process at most (store_connections)",
        ),
        Need("one PostgreSQL without Citus carries", f"{one:,.0f} scans a second",
             f"{machine.cores} cores, {machine.busy:.0%} busy, by CPU alone"),
    ]  # fmt: skip


_CALLS = ("scan", "event", "trace")
# Tables about goods that are not parted by month, and the default parts of the two that are.
_WHOLE = sum(table.of_goods for table in TABLES)
_CONNECTIONS: int = Settings.model_fields["store_connections"].default


def _mixed(cpu: _Measured, part: str, first: float) -> float:
    return float(
        cpu["first_scan"].get(part, 0) * first + cpu["repeat_scan"].get(part, 0) * (1 - first)
    )


def _of(cpu: _Measured, scan: dict[str, float], call: str, part: str) -> float:
    return scan[part] if call == "scan" else float(cpu[call][part])


def _cores(load: Load, events: float, scan: float, event: float, trace: float) -> float:
    spent = load.scans_a_second * scan + events * event + load.traces_a_second * trace
    return spent / 1e6


def _short(number: float) -> str:
    for size, word in ((1e9, " billion"), (1e6, " million")):
        if number >= size:
            return f"{number / size:g}{word}"
    return f"{number:,.0f}"


def render(results: dict[str, Any]) -> str:
    """The generated part of the document, without its markers."""
    machine, measured = results["scale_machine"], results["scale"]
    lines = [
        f"Measured on {machine['date']}, {machine['cores']} cores, Python {machine['python']}, "
        f"{machine['system']}.",
        "",
        "| measured | " + " | ".join(measured) + " |",
        "|---|" + "---:|" * len(measured),
    ]
    for what, path in _MEASURED:
        cells = [_at(found, path) for found in measured.values()]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    lines += ["", "| assumed | |", "|---|---:|"]
    lines += [f"| {what} | {much} |" for what, much in _assumed(LOAD, MACHINE)]
    lines += ["", "| needed | | how |", "|---|---:|---|"]
    needed = needs(measured["postgresql_redis"])
    lines += [f"| {need.what} | {need.much} | {need.how} |" for need in needed]
    return "\n".join(lines)


_MEASURED = (
    ("bytes of a printed code (batches of a million)", ("bytes", "printed_code")),
    ("bytes of a scan", ("bytes", "scan")),
    ("bytes of a unit that was scanned once or more", ("bytes", "touched_unit")),
    ("bytes of an event with its touches and its leaf in the log", ("bytes", "event")),
    *(
        (f"CPU µs of {words}, {part}", ("cpu_us", call, part))
        for call, words in (("first_scan", "a first scan"), ("repeat_scan", "a repeated scan"),
                            ("event", "an event"), ("trace", "a trace of fifty events"))
        for part in ("service", "crypto_child", "store_child", "postgresql", "redis")
    ),
    ("bytes written to the log by a first scan", ("written_bytes", "first_scan")),
    ("bytes written to the log by a repeated scan", ("written_bytes", "repeat_scan")),
    ("bytes written to the log by an event", ("written_bytes", "event")),
    ("bytes of a scan's request and answer", ("message_bytes_per_scan",)),
    ("MiB of a service process and its helpers", ("resident_mib",)),
    ("bytes of a cached batch in Redis", ("redis_bytes_per_batch",)),
)  # fmt: skip


def _at(found: Any, path: tuple[str, ...]) -> str:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        return "—"
    return f"{found:.6f}" if isinstance(found, float) else f"{found:,}"


def _assumed(load: Load, machine: Machine) -> list[tuple[str, str]]:
    return [
        ("codes printed a year", _short(load.codes_a_year)),
        ("scans a year", _short(load.scans_a_year)),
        ("scans a second at the peak", _short(load.scans_a_second)),
        ("events a year", _short(load.events_a_year)),
        ("units of a batch", _short(load.units_a_batch)),
        ("scans that are a unit's first", f"{load.first_scans:.0%}"),
        ("traces a second", _short(load.traces_a_second)),
        ("batches that are scanned within 5 s at the peak", _short(load.active_batches)),
        ("scans are kept", f"{load.scan_months:g} months"),
        ("events are kept", f"{load.event_years:g} years"),
        ("histories of units are kept", f"{load.unit_years:g} years"),
        ("a machine", f"{machine.cores} cores, {machine.memory_gb:g} GB, {machine.disk_tb:g} TB, "
                      f"{machine.network_gbit:g} Gbit/s"),
    ]  # fmt: skip


def write(results: dict[str, Any]) -> None:
    """Puts the generated part into the document. Raises ValueError where its markers are gone."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{DOCUMENT} has lost its markers")
    made = f"{before}{BEGIN}\n\n{render(results)}\n\n{END}{after}"
    DOCUMENT.write_text(made, encoding="utf-8")
