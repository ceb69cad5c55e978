"""docs/scale.md says what was measured and what follows from it, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import province
from benchmarks.__main__ import RESULTS
from benchmarks.province import BEGIN, DOCUMENT, END, LOAD, MACHINE, needs, render, write

# One microsecond, or a round number, of everything: what comes out can be reckoned in one's head.
FLAT = {
    "bytes": {"printed_code": 0.001, "scan": 100, "touched_unit": 200, "event": 1000},
    "cpu_us": {
        call: {"service": 80, "store_child": 20, "postgresql": 100, "redis": 5}
        for call in ("first_scan", "repeat_scan", "event", "trace")
    },
    "written_bytes": {"first_scan": 400, "repeat_scan": 600, "event": 1000},
    "message_bytes_per_scan": 300,
    "resident_mib": 256,
    "redis_bytes_per_batch": 1000,
}


def much(**changes: float) -> dict[str, str]:
    """What is needed of each, where the load is changed so."""
    return {need.what: need.much for need in needs(FLAT, replace(LOAD, **changes), MACHINE)}


def test_the_document_holds_what_the_results_give() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    told = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert told == render(json.loads(RESULTS.read_text()))


def test_the_arithmetic() -> None:
    found = much(events_a_year=0, traces_a_second=0)
    # 50,000 scans x 100 µs = 5 cores, at most half busy.
    assert found["service, cores"] == "10"
    # 80 of the 100 µs in the process itself, which has one core.
    assert found["service, processes"] == "8"
    assert found["PostgreSQL, cores"] == "10"
    # Two years of 2 billion; five years of 1 billion units.
    assert found["rows of scans"] == "0.40 TB"
    assert found["histories of units"] == "1.00 TB"
    assert found["events and touches"] == "0.00 TB"
    assert found["batches and orders"] == "0.05 GB"
    # 50,000 x (400 + 600) / 2; 50,000 x (300 + 200) x 8; 250,000 x 1000.
    assert found["log of PostgreSQL at the peak"] == "25 MB/s"
    assert found["network at the peak"] == "0.20 Gbit/s"
    assert found["Redis"] == "0.25 GB"
    # 16 cores x 0.5 / 100 µs.
    assert found["one PostgreSQL without Citus carries"] == "80,000 scans a second"
    # 1.4 TB x 1.3, twice; one machine has the room and the cores. A month of scans and of units is
    # 33 GB, and half of 64 GB is 32.
    assert found["all of it on the disks"] == "3.6 TB"
    assert found["PostgreSQL, machines"] == "4"
    assert found["shards"] == "64"


def test_what_is_short_sets_the_number_of_machines() -> None:
    assert (
        much(scans_a_second=8e5, events_a_year=0, traces_a_second=0)["PostgreSQL, machines"] == "20"
    )
    assert much(event_years=50)["PostgreSQL, machines"] == "50"
    # A month's events of 33 GB in memory, as the scans of a month are.
    assert int(much(events_a_year=10e9)["PostgreSQL, machines"]) >= 20


def test_more_of_anything_never_needs_less() -> None:
    few = {need.what: need for need in needs(FLAT)}
    for name in ("scans_a_second", "events_a_year", "traces_a_second", "scans_a_year"):
        more = much(**{name: getattr(LOAD, name) * 3})
        for what in ("service, cores", "PostgreSQL, cores", "all of it on the disks"):
            was, is_now = (
                float(t.split()[0].replace(",", "")) for t in (few[what].much, more[what])
            )
            assert is_now >= was, (name, what)


def test_writing_keeps_the_words_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "scale.md"
    text = DOCUMENT.read_text(encoding="utf-8")
    copy.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(province, "DOCUMENT", copy)
    results = json.loads(RESULTS.read_text())
    write(results)
    first = copy.read_text(encoding="utf-8")
    write(results)
    assert copy.read_text(encoding="utf-8") == first
    assert (first.startswith("before\n"), first.endswith("\nafter\n")) == (True, True)
    assert "old" not in first.partition(BEGIN)[2].partition("|")[0]
    assert render(results) in first
    copy.write_text(text.replace(END, ""), encoding="utf-8")
    with pytest.raises(ValueError, match="markers"):
        write(results)
