"""`tracechain store`: the commands as an operator runs them, and what each says when it cannot."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import postgres_server
from tests.support.command import ROOT, Command, start
from tests.support.service import gln_of, gtin_of
from tests.support.stores import RULES, batch, issuer_key, order, party, product, scan
from tracechain.adapters.postgres.statements import EVERY
from tracechain.adapters.sqlite import open_store
from tracechain.adapters.tables import TABLES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of a small store."""

    async def fill() -> None:
        store = await open_store(tmp_path / "data" / "store.sqlite3", RULES)
        await store.put_party(party(1))
        await store.put_key(issuer_key(await store.reserve_key_id(), gln_of(1), "k"))
        await store.put_product(product(1, gln_of(1)))
        lot = await store.put_batch(batch(gtin_of(1)))
        await store.allocate(order(lot.batch_number, "o", 10))
        await store.record_scans([scan(lot.batch_number, 1, n, n) for n in range(3)])
        await store.close()

    asyncio.run(fill())
    return tmp_path / "data"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    server = postgres_server.shared()
    yield asyncio.run(server.database(tmp_path))
    asyncio.run(server.drop(tmp_path))


def test_a_store_moves_to_postgresql(
    run: Command, folder: Path, database: str, tmp_path: Path
) -> None:
    here, there = {"data_dir": str(folder)}, {"store_url": database}
    checked = run("store", "check", **here)
    assert (checked.status, "all holds" in checked.out) == (0, True), checked.err
    file = tmp_path / "store.gz"
    exported = run("store", "export", file, "--json", **here)
    assert exported.status == 0, exported.err
    assert file.stat().st_mode & 0o077 == 0
    assert not file.with_name("store.gz.part").exists()
    tables = exported.json["tables"]
    assert set(tables) == {table.name for table in TABLES}
    assert tables["scan"]["rows"] == 3

    imported = run("store", "import", file, "--json", **there)
    assert (imported.status, imported.json["tables"]) == (0, tables), imported.err
    checked = run("store", "check", "--json", **there)
    assert checked.status == 0
    assert checked.json == {
        "rows": {name: found["rows"] for name, found in tables.items()}, "differences": [],
        "warnings": [],
    }  # fmt: skip
    back = run("store", "export", tmp_path / "back.gz", **there)
    assert (back.status, "scan" in back.out) == (0, True)
    assert "keep it as you keep the store" in back.out
    assert (tmp_path / "back.gz").read_bytes() == file.read_bytes()

    again = run("store", "import", file, "--json", **there)
    assert (again.status, again.error["reason"]) == (1, "STORE_NOT_EMPTY")
    assert "empty database or folder" in again.error["cure"]


def test_through_pipes(folder: Path, database: str, tmp_path: Path) -> None:
    writer = start(["store", "export", "-"], folder)
    assert writer.stdout is not None
    reader = subprocess.run(
        [*writer.args[:3], "store", "import", "-"],  # type: ignore[index]
        stdin=writer.stdout,
        env={**os.environ, "TRACECHAIN_STORE_URL": database},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    writer.stdout.close()
    assert (writer.wait(), reader.returncode) == (0, 0), reader.stderr
    assert "what the file holds" in reader.stdout


def test_migrating_says_what_was_and_is(run: Command, database: str, tmp_path: Path) -> None:
    for place in ({"store_url": database}, {"data_dir": str(tmp_path / "none")}):
        first = run("store", "migrate", "--json", **place)
        assert first.json["from"] == 0
        again = run("store", "migrate", "--json", **place)
        assert again.json == {"from": first.json["to"], "to": first.json["to"]}
        assert "up to date" in run("store", "migrate", **place).out


def test_a_check_names_what_is_wrong_and_fails(run: Command, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "store.sqlite3")) as file, file:
        file.execute("DELETE FROM unit_scan")
        file.execute("DELETE FROM party")
    ran = run("store", "check", "--json", data_dir=str(folder))
    kinds = {each["kind"]: each for each in ran.json["differences"]}
    assert (ran.status, set(kinds)) == (1, {"HISTORY_MISSING", "PARTY_MISSING"})
    assert kinds["HISTORY_MISSING"]["first"] == ["scan 1/1"]
    assert kinds["PARTY_MISSING"]["count"] == 2
    shown = run("store", "check", data_dir=str(folder))
    assert shown.status == 1
    assert "PARTY_MISSING: 2" in shown.out


def test_a_file_that_is_there_is_not_written_over(run: Command, folder: Path) -> None:
    file = folder / "mine"
    file.write_text("mine")
    ran = run("store", "export", file, "--json", data_dir=str(folder))
    assert (ran.status, ran.error["reason"], file.read_text()) == (1, "FILE_EXISTS", "mine")


def _cut(path: Path) -> bytes:
    return path.read_bytes()[:-20]


def _other(path: Path) -> bytes:
    return gzip.compress(b'{"format": "x"}\n')


def _of_schema(path: Path, schema: int) -> bytes:
    text = gzip.decompress(path.read_bytes())
    return gzip.compress(re.sub(rb'"schema":\d+', b'"schema":%d' % schema, text, count=1))


def _newer(path: Path) -> bytes:
    return _of_schema(path, 9999)


def _older(path: Path) -> bytes:
    return _of_schema(path, 0)


def _changed(path: Path) -> bytes:
    return gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"L1"', b'"L2"'))


@pytest.mark.parametrize(
    ("damage", "reason", "cure"),
    [
        (_cut, "ARCHIVE_CUT_OFF", "Export it again"),
        (_changed, "ARCHIVE_ALTERED", "Export it again"),
        (_other, "ARCHIVE_UNKNOWN", "store export"),
        (_newer, "SCHEMA_TOO_NEW", "newer"),
        (_older, "ARCHIVE_TOO_OLD", "store migrate"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(
    run: Command, folder: Path, tmp_path: Path, damage: object, reason: str, cure: str
) -> None:
    assert callable(damage)
    file, bad, new = tmp_path / "good", tmp_path / "bad", tmp_path / "new"
    assert run("store", "export", file, data_dir=str(folder)).status == 0
    bad.write_bytes(damage(file))
    ran = run("store", "import", bad, "--json", data_dir=str(new))
    assert (ran.status, ran.error["reason"]) == (1, reason), ran.err
    assert cure in ran.error["cure"]
    # Nothing of it is left, so that the right one goes in.
    assert run("store", "import", file, data_dir=str(new)).status == 0


def test_where_there_is_nothing_to_work_on(run: Command, tmp_path: Path, database: str) -> None:
    none = {"data_dir": str(tmp_path / "none")}
    for arguments in (["check"], ["export", str(tmp_path / "x")]):
        for place in (none, {"store_url": database}):
            ran = run("store", *arguments, "--json", **place)
            assert (ran.status, ran.error["reason"]) == (1, "STORE_MISSING")
            assert "TRACECHAIN_STORE_URL" in ran.error["cure"]
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "none").exists()
    ran = run("store", "import", tmp_path / "no-file", "--json", **none)
    assert (ran.status, ran.error["reason"]) == (1, "FILE_ERROR")
    wrong = "postgresql://me:hunter2@127.0.0.1:1/none"
    ran = run("store", "check", "--json", store_url=wrong)
    assert (ran.status, ran.error["reason"]) == (1, "STORE_UNAVAILABLE")
    assert "hunter2" not in ran.err


def test_distributing_says_what_is_missing(run: Command, folder: Path, database: str) -> None:
    for command in (["distribute"], ["statements", "verify"]):
        ran = run("store", *command, "--json", data_dir=str(folder))
        assert (ran.status, ran.error["reason"]) == (1, "STORE_EMBEDDED")
        assert "TRACECHAIN_STORE_URL" in ran.error["cure"]
    ran = run("store", "distribute", "--json", store_url=database)
    assert (ran.status, ran.error["reason"]) == (1, "STORE_MISSING")
    assert run("store", "migrate", store_url=database).status == 0
    ran = run("store", "distribute", "--json", store_url=database)
    assert (ran.status, ran.error["reason"]) == (1, "CITUS_MISSING")
    assert "CREATE EXTENSION citus" in ran.error["cure"]


def _documented() -> dict[str, list[str]]:
    """The statements of each call as docs/architecture.md lists them, by title."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = {}
    for title, names in re.findall(r"^\| ([^|]+?) \| ((?:`[A-Z_ ×0-9]+`,? ?)+) \|", text, re.M):
        found[title] = re.findall(r"`(?:(\d) × )?([A-Z_]+)`", names)
    return {
        title: [name for times, name in names for _ in range(int(times or 1))]
        for title, names in found.items()
    }


def test_what_a_verification_asks_is_what_the_documents_say(run: Command, database: str) -> None:
    ran = run("store", "statements", "verify", "--json", store_url=database)
    assert ran.status == 0, ran.err
    runs = {each["of"]: each for each in ran.json["runs"]}
    first, again = runs["a first scan, nothing remembered"], runs["the same unit again"]
    for each in (first, again):
        (key,) = each["batch_keys"]
        assert key == 1
        assert len({shard for s in each["statements"] for shard in s["shards"]}) == 1
    packed = runs["a unit in a case on a pallet"]
    # What it writes and what it reads of the unit is under the batch's key; each level of
    # containers is read under its own.
    assert len(packed["batch_keys"]) == 3
    beyond = [s["name"] for s in packed["statements"] if s["batch_keys"] != [1]]
    assert beyond == ["OVERLAPPING"]
    documented = _documented()
    for title, each in runs.items():
        sent = [s["name"] for s in each["statements"] for _ in range(s["times"])]
        assert sorted(sent) == sorted(documented[title]), title
        for said in each["statements"]:
            assert said["sql"] == EVERY[said["name"]].sql
            assert said["table"] in {table.name for table in TABLES}


def test_what_a_trace_asks_is_shown_and_nothing_stays_behind(run: Command, database: str) -> None:
    ran = run("store", "statements", "trace", "--json", "--shards", "64", store_url=database)
    assert ran.status == 0, ran.err
    alone, packed = ran.json["runs"]
    documented = _documented()
    for each in (alone, packed):
        sent = [s["name"] for s in each["statements"] for _ in range(s["times"])]
        assert sorted(sent) == sorted(documented[each["of"]]), each["of"]
        # It reads, and that somebody asked is on record.
        writes = [s["name"] for s in each["statements"] if not s["sql"].startswith("SELECT")]
        assert writes == ["PUT_AUDIT"]
    assert len(packed["batch_keys"]) > 2
    assert all(0 <= shard < 64 for s in packed["statements"] for shard in s["shards"])
    shown = run("store", "statements", "verify", store_url=database)
    assert "1 × PUT_SCANS  scan: 1 (shard" in shown.out
    server = postgres_server.shared()
    left = asyncio.run(
        server.run(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tracechain%'",
            database.rpartition("/")[2],
        )
    )
    assert left == []


def test_every_store_command_has_help_and_json(run: Command) -> None:
    for name in ("migrate", "check", "export", "import", "distribute", "statements"):
        shown = run("store", name, "--help")
        assert (shown.status, "--json" in shown.out) == (0, True), name
